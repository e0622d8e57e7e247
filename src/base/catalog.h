/*
 * catalog.h
 *		The tables of triggers, and the columns of deal by name.
 */
#ifndef CRM_DEALS_CATALOG_H
#define CRM_DEALS_CATALOG_H

#include "base/installed.h"
#include "base/types.h"
#include "commands/trigger.h"
#include "fmgr.h"
#include "utils/rel.h"

/* The sequence behind deal_event.id */
extern Oid	event_id_sequence(void);

/* Returns the sequence that gives the column its values, or raises that it has none. */
extern Oid	identity_of(Relation table, const char *column);

#define BEFORE_ROW			(TRIGGER_EVENT_BEFORE | TRIGGER_EVENT_ROW)
#define BEFORE_STATEMENT	TRIGGER_EVENT_BEFORE
#define AFTER_STATEMENT		TRIGGER_EVENT_AFTER
#define AFTER_ROW			(TRIGGER_EVENT_AFTER | TRIGGER_EVENT_ROW)
#define ANY_STATEMENT		((TriggerEvent) -1)
#define ANY_ROW				((TriggerEvent) -2)

/*
 * Returns the data of a trigger. Refuses any other call, another moment, and
 * any relation but the installed ones of these names. The list ends with NULL;
 * a caller that passes no list uses deal_table() or trigger_table(), which check.
 */
extern TriggerData *trigger_data(FunctionCallInfo fcinfo, TriggerEvent moment, const char *const *tables);

/* Returns which of these names the relation has. It need not be as installed. Refuses any other relation. */
extern const char *trigger_table(Relation relation, const char *const *tables);

/* Refuses any relation but the installed table deal. */
extern const DealTable *deal_table(Relation relation);
extern const DealTable *deal_table_by_name(void);
extern const char *deal_column_name(DealColumn column);

/* For ereport(): the fields that a program reads */
extern int	err_column_constraint(Relation relation, AttrNumber column, const char *constraint);

extern DealStatus deal_status_of(const DealTable *table, Datum value);
extern const char *deal_status_name(DealStatus status);
extern DealStatus deal_status_by_name(const char *name);

#endif							/* CRM_DEALS_CATALOG_H */
