/*
 * deal_row.c
 *		Reading and comparing versions of a deal.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "utils/datum.h"
#include "utils/fmgrprotos.h"

#include "base/deal_row.h"

/* Deforms a tuple into a row. */
DealRow
deal_row_from_tuple(const DealTable *table, TupleDesc desc, HeapTuple tuple)
{
	DealRow		row = {.table = table, .desc = desc};

	row.values = palloc(desc->natts * sizeof(Datum));
	row.isnull = palloc(desc->natts * sizeof(bool));
	heap_deform_tuple(tuple, desc, row.values, row.isnull);
	return row;
}

/* The row lives as long as the slot holds the tuple. */
DealRow
deal_row_from_slot(const DealTable *table, TupleTableSlot *slot)
{
	DealRow		row = {.table = table, .desc = slot->tts_tupleDescriptor};

	slot_getallattrs(slot);
	row.values = slot->tts_values;
	row.isnull = slot->tts_isnull;
	return row;
}

/* Copies the row's arrays, but not the values that they point to. */
DealRow
deal_row_copy(const DealRow *row)
{
	DealRow		copy = {.table = row->table, .desc = row->desc};
	int			natts = row->desc->natts;

	copy.values = palloc(natts * sizeof(Datum));
	copy.isnull = palloc(natts * sizeof(bool));
	memcpy(copy.values, row->values, natts * sizeof(Datum));
	memcpy(copy.isnull, row->isnull, natts * sizeof(bool));
	return copy;
}

/* Forms a tuple of the row, in the place of the original. */
HeapTuple
deal_row_to_tuple(const DealRow *row, HeapTuple original)
{
	HeapTuple	tuple = heap_form_tuple(row->desc, row->values, row->isnull);

	tuple->t_data->t_ctid = original->t_data->t_ctid;
	tuple->t_self = original->t_self;
	tuple->t_tableOid = original->t_tableOid;
	return tuple;
}

/* Returns whether both point to the same toasted value, which then need not be fetched. */
static bool
same_toast_pointer(Datum a, Datum b)
{
	struct varlena *x = (struct varlena *) DatumGetPointer(a);
	struct varlena *y = (struct varlena *) DatumGetPointer(b);

	return VARATT_IS_EXTERNAL_ONDISK(x) && VARATT_IS_EXTERNAL_ONDISK(y) &&
		memcmp(x, y, VARSIZE_EXTERNAL(x)) == 0;
}

/* Returns whether two versions have the same value in an attribute. */
bool
deal_attribute_same(const DealRow *a, const DealRow *b, int index)
{
	Form_pg_attribute att = TupleDescAttr(a->desc, index);

	if (att->attisdropped)
		return true;
	if (a->isnull[index] || b->isnull[index])
		return a->isnull[index] && b->isnull[index];
	if (att->attlen == -1 && same_toast_pointer(a->values[index], b->values[index]))
		return true;
	if (datum_image_eq(a->values[index], b->values[index], att->attbyval, att->attlen))
		return true;
	if (att->atttypid == NUMERICOID)
		return DatumGetBool(DirectFunctionCall2(numeric_eq, a->values[index], b->values[index]));
	return att->atttypid == JSONBOID &&
		DatumGetBool(DirectFunctionCall2(jsonb_eq, a->values[index], b->values[index]));
}

/* Gives values that are the same the form that they had, 10.0 for 10.00. */
void
deal_row_keep_same(const DealRow *old, DealRow *new)
{
	for (int i = 0; i < old->desc->natts; i++)
		if (!old->isnull[i] && deal_attribute_same(old, new, i))
			new->values[i] = old->values[i];
}

/* Returns whether any column differs, version and updated_at aside. */
bool
deal_row_differs(const DealRow *a, const DealRow *b)
{
	int			version = deal_index(a, DEAL_VERSION);
	int			updated_at = deal_index(a, DEAL_UPDATED_AT);

	for (int i = 0; i < a->desc->natts; i++)
		if (i != version && i != updated_at && !deal_attribute_same(a, b, i))
			return true;
	return false;
}

/* Raises that a deal has no value in a column that has one in every stored row. */
void
raise_null_in_deal(DealColumn column)
{
	ereport(ERROR,
			(errcode(ERRCODE_NOT_NULL_VIOLATION),
			 errmsg("null value in column \"%s\" of a deal", deal_column_name(column)),
			 errdetail("A row of crm_deals.deal is never without it."),
			 err_deal(column, NULL)));
}

/* Adds schema, table, column and constraint of deal to an error report. */
int
err_deal(DealColumn column, const char *constraint)
{
	err_generic_string(PG_DIAG_SCHEMA_NAME, "crm_deals");
	err_generic_string(PG_DIAG_TABLE_NAME, "deal");
	err_generic_string(PG_DIAG_COLUMN_NAME, deal_column_name(column));
	if (constraint != NULL)
		err_generic_string(PG_DIAG_CONSTRAINT_NAME, constraint);
	return 0;
}
