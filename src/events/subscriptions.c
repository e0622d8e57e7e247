/*
 * subscriptions.c
 *		What the rest of the code must know of consumers.
 */
#include "postgres.h"

#include "base/catalog.h"
#include "base/owner_query.h"
#include "base/relation_watch.h"
#include "base/spi_result.h"
#include "events/subscriptions.h"

/* The name of the dispatcher among consumers, which crm_deals_internal.dispatcher() returns in SQL */
#define DISPATCHER_CONSUMER "crm_deals dispatcher"

static OwnerQuery any_query = {
	.sql = "SELECT EXISTS (SELECT FROM crm_deals.event_consumer AS c"
	" WHERE c.consumer OPERATOR(pg_catalog.<>) '" DISPATCHER_CONSUMER "')",
	.returns = RETURNS(BOOLOID),
};

/*
 * Returns whether any consumer but the dispatcher is subscribed. A change of
 * event_consumer invalidates the token, as a change of a stage does.
 */
bool
any_consumer(void)
{
	static RelationWatch watch;
	static bool known = false;
	static bool any;

	if (known && relation_unchanged(&watch))
		return any;
	known = false;
	relation_watch_begin(&watch, writers_token());
	SPI_connect();
	owner_query_read_latest(&any_query, NULL, NULL);
	any = result_bool(1);
	SPI_finish();
	known = true;
	return any;
}

static OwnerQuery forget_places_query = {
	.sql = "UPDATE crm_deals.event_consumer SET seen_id = 0, upto = NULL, upto_id = NULL,"
	" delivered_id = 0, unacked = '{}', leased = 0, leased_until = NULL",
};

/* Lets consumers go on with events that come after a TRUNCATE, which took those that they had still to get. */
void
forget_places_of_consumers(void)
{
	SPI_connect();
	(void) owner_query_run(&forget_places_query, NULL, NULL);
	SPI_finish();
}
