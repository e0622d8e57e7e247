/*
 * crm_deals.c
 *		Module entry.
 */
#include "postgres.h"

#include "fmgr.h"

#include "base/catalog.h"
#include "base/settings.h"
#include "config/pipeline_cache.h"
#include "duplicates/duplicates.h"
#include "duplicates/name_index.h"
#include "events/notify.h"
#include "log/log_transaction.h"

PG_MODULE_MAGIC;

void		_PG_init(void);

void
_PG_init(void)
{
	settings_init();
	catalog_init();
	generation_init();
	name_index_init();
	pipeline_cache_init();
	notify_init();
	duplicates_init();
}
