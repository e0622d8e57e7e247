/*
 * event_row.h
 *		Logged events, as the queries on the log return them.
 */
#ifndef CRM_DEALS_EVENT_ROW_H
#define CRM_DEALS_EVENT_ROW_H

#include "access/htup.h"

#include "events/channels.h"
#include "events/payload.h"

/*
 * What a query that takes events, run as the owner of the tables, returned in
 * its one row: their ids.  Now their facts, in that order, in SPI_tuptable.
 */
extern void load_taken_events(void);

/* A column by name; NULL where it is null */
extern char *fact_text(HeapTuple row, TupleDesc desc, const char *column);
extern Datum fact(HeapTuple row, TupleDesc desc, const char *column, bool *isnull);

/* Facts of a row of _event_facts(), all but the name of the event */
extern EventFacts event_facts(HeapTuple row, TupleDesc desc);
extern Channels event_channels(HeapTuple row, TupleDesc desc);

#endif							/* CRM_DEALS_EVENT_ROW_H */
