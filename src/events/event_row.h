/*
 * event_row.h
 *		Rows of crm_deals_internal.event_facts(): events of the log with names of their time.
 */
#ifndef CRM_DEALS_EVENT_ROW_H
#define CRM_DEALS_EVENT_ROW_H

#include "access/htup.h"

#include "events/channels.h"
#include "events/payload.h"

/*
 * Loads the facts of taken events into SPI_tuptable. The caller has just run a
 * query as the owner of the tables whose one row has the ids of these events.
 */
extern void load_taken_events(void);

/* A column by name; NULL stands for null. */
extern char *fact_text(HeapTuple row, TupleDesc desc, const char *column);
extern Datum fact(HeapTuple row, TupleDesc desc, const char *column, bool *isnull);

/* All facts but the name of the event */
extern EventFacts event_facts(HeapTuple row, TupleDesc desc);
extern Channels event_channels(HeapTuple row, TupleDesc desc);

#endif							/* CRM_DEALS_EVENT_ROW_H */
