/*
 * fill_nulls.c
 *		The trigger for which NULL says nothing, in a column that is never empty.
 *
 * A client that saves an object which it has not read back sends NULL for
 * what it does not know.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "commands/trigger.h"
#include "executor/executor.h"
#include "rewrite/rewriteHandler.h"
#include "utils/rel.h"

#include "base/catalog.h"
#include "base/installed.h"

PG_FUNCTION_INFO_V1(crm_deals_fill_nulls);

/* Returns the row with a value in one column. */
static HeapTuple
with_value(Relation relation, HeapTuple row, int attnum, Datum value, bool isnull)
{
	return heap_modify_tuple_by_cols(row, RelationGetDescr(relation), 1, &attnum, &value, &isnull);
}

/* Returns the row with the default of one column, which stays NULL if it has none. */
static HeapTuple
with_default(Relation relation, HeapTuple row, int attnum)
{
	Expr	   *expression = (Expr *) build_column_default(relation, attnum);
	EState	   *estate;
	Datum		value;
	bool		isnull;

	if (expression == NULL)
		return row;
	estate = CreateExecutorState();
	value = ExecEvalExprSwitchContext(ExecPrepareExpr(expression, estate), GetPerTupleExprContext(estate), &isnull);
	row = with_value(relation, row, attnum, value, isnull);
	FreeExecutorState(estate);
	return row;
}

/*
 * BEFORE INSERT or UPDATE … FOR EACH ROW; the arguments are the columns
 *
 * It relies on no type, so it serves tables that are not as installed, too.
 */
Datum
crm_deals_fill_nulls(PG_FUNCTION_ARGS)
{
	static const char *const tables[] = {"activity", "lead", "account", "contact", NULL};
	TriggerData *data = trigger_data(fcinfo, BEFORE_ROW, NULL);
	TupleDesc	desc = RelationGetDescr(data->tg_relation);
	bool		is_update = TRIGGER_FIRED_BY_UPDATE(data->tg_event);
	HeapTuple	row = is_update ? data->tg_newtuple : data->tg_trigtuple;

	(void) trigger_table(data->tg_relation, tables);
	for (int i = 0; i < data->tg_trigger->tgnargs; i++)
	{
		int			attnum = installed_column(data->tg_relation, data->tg_trigger->tgargs[i]);

		if (!heap_attisnull(row, attnum, desc))
			continue;
		if (is_update)
		{
			bool		isnull;
			Datum		value = heap_getattr(data->tg_trigtuple, attnum, desc, &isnull);

			row = with_value(data->tg_relation, row, attnum, value, isnull);
		}
		else
			row = with_default(data->tg_relation, row, attnum);
	}
	return PointerGetDatum(row);
}
