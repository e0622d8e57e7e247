/*
 * deal_row.h
 *		Reading and comparing versions of a deal.
 */
#ifndef CRM_DEALS_DEAL_ROW_H
#define CRM_DEALS_DEAL_ROW_H

#include "access/htup.h"
#include "executor/tuptable.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "base/catalog.h"
#include "base/compat.h"

static inline int
deal_index(const DealRow *row, DealColumn column)
{
	return row->table->attnum[column] - 1;
}

static inline bool
deal_isnull(const DealRow *row, DealColumn column)
{
	return row->isnull[deal_index(row, column)];
}

static inline Datum
deal_get(const DealRow *row, DealColumn column)
{
	return row->values[deal_index(row, column)];
}

static inline void
deal_set(DealRow *row, DealColumn column, Datum value)
{
	row->values[deal_index(row, column)] = value;
	row->isnull[deal_index(row, column)] = false;
}

static inline void
deal_set_null(DealRow *row, DealColumn column)
{
	row->values[deal_index(row, column)] = (Datum) 0;
	row->isnull[deal_index(row, column)] = true;
}

/* Gives the row the other's value of the column, which may be NULL. */
static inline void
deal_set_from(DealRow *row, const DealRow *other, DealColumn column)
{
	row->values[deal_index(row, column)] = deal_get(other, column);
	row->isnull[deal_index(row, column)] = deal_isnull(other, column);
}

/* 0 stands for NULL, whose value cannot be read: on some machines it would be a pointer. */
static inline int64
deal_int64(const DealRow *row, DealColumn column)
{
	return deal_isnull(row, column) ? 0 : DatumGetInt64(deal_get(row, column));
}

static inline TimestampTz
deal_time(const DealRow *row, DealColumn column)
{
	return deal_isnull(row, column) ? 0 : DatumGetTimestampTz(deal_get(row, column));
}

/* Raises that a deal has no value in a column that has one in every stored row. */
pg_noreturn extern void raise_null_in_deal(DealColumn column);

/* Returns a value that no stored row lacks; but a row that a caller made up may lack any. */
static inline Datum
deal_value(const DealRow *row, DealColumn column)
{
	if (deal_isnull(row, column))
		raise_null_in_deal(column);
	return deal_get(row, column);
}

#define deal_int32(row, column)		DatumGetInt32(deal_value(row, column))
#define deal_bool(row, column)		DatumGetBool(deal_value(row, column))
#define deal_text(row, column)		TextDatumGetCString(deal_value(row, column))
#define deal_status(row)			deal_status_of((row)->table, deal_value(row, DEAL_STATUS))

static inline void
deal_set_status(DealRow *row, DealStatus status)
{
	deal_set(row, DEAL_STATUS, ObjectIdGetDatum(row->table->status_label[status]));
}

extern DealRow deal_row_from_tuple(const DealTable *table, TupleDesc desc, HeapTuple tuple);
extern DealRow deal_row_from_slot(const DealTable *table, TupleTableSlot *slot);
extern DealRow deal_row_copy(const DealRow *row);
extern HeapTuple deal_row_to_tuple(const DealRow *row, HeapTuple original);

/*
 * Returns whether the attribute is the same in both versions. Numbers of
 * another scale are the same, also in jsonb: 10.00 is 10.
 */
extern bool deal_attribute_same(const DealRow *a, const DealRow *b, int index);

static inline bool
deal_column_same(const DealRow *a, const DealRow *b, DealColumn column)
{
	return deal_attribute_same(a, b, deal_index(a, column));
}

/* Gives values that are the same the form that they had. */
extern void deal_row_keep_same(const DealRow *old, DealRow *new);

/* Returns whether any column differs, version and updated_at aside. */
extern bool deal_row_differs(const DealRow *a, const DealRow *b);

/* For ereport(): the fields that a program reads; the constraint may be NULL */
extern int	err_deal(DealColumn column, const char *constraint);

#endif							/* CRM_DEALS_DEAL_ROW_H */
