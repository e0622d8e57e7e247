/*
 * write_as_caller.c
 *		Statements that write under the caller's search_path.
 *
 * Our SQL is read under a pinned search_path, so that no object of the
 * caller's captures a name or an operator of it. But a user's trigger, policy
 * or default that the statement runs must find what it names, as under a plain
 * statement of the caller's. PostgreSQL looks up the names of a statement when
 * it analyses it. So a statement is analysed under the pinned path, and then
 * planned and run under the caller's.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "executor/tstoreReceiver.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "parser/parsetree.h"
#include "tcop/tcopprot.h"
#include "tcop/utility.h"
#include "utils/builtins.h"
#include "utils/portal.h"

#include "base/catalog.h"
#include "base/compat.h"
#include "base/search_path.h"
#include "base/write_as_caller.h"
#include "base/write_context.h"

PG_FUNCTION_INFO_V1(crm_deals_write_as_caller);
PG_FUNCTION_INFO_V1(crm_deals_write_as_caller_returning);

/* Takes the position in our statement out of an error: the client knows another statement. */
static void
forget_position(void *arg)
{
	(void) arg;
	if (geterrposition() > 0)
		errposition(0);
}

/* Returns the statement's syntax tree; refuses what is not one INSERT, UPDATE or DELETE. */
static RawStmt *
parse_write(const char *statement)
{
	List	   *trees = pg_parse_query(statement);
	RawStmt    *tree = list_length(trees) == 1 ? linitial_node(RawStmt, trees) : NULL;

	if (tree == NULL ||
		!(IsA(tree->stmt, InsertStmt) || IsA(tree->stmt, UpdateStmt) || IsA(tree->stmt, DeleteStmt)))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("only one INSERT, UPDATE or DELETE can be written as the caller")));
	return tree;
}

/* Returns the analysed statement, whose names were looked up under the pinned path. */
static List *
analyse_write(const char *statement, ParamListInfo parameters)
{
	int			n = parameters == NULL ? 0 : parameters->numParams;
	Oid		   *types = palloc(sizeof(Oid) * (n + 1));
	int			level = search_path_set(PINNED_PATH);
	List	   *queries;

	for (int i = 0; i < n; i++)
		types[i] = parameters->params[i].ptype;
	queries = pg_analyze_and_rewrite_fixedparams(parse_write(statement), statement, types, n, NULL);
	search_path_restore(level);
	return queries;
}

/* Returns the text in the only column of the first row, or NULL. */
static char *
first_text(Portal portal, Tuplestorestate *rows)
{
	TupleTableSlot *slot;
	char	   *first = NULL;

	if (portal->tupDesc == NULL || portal->tupDesc->natts != 1 ||
		TupleDescAttr(portal->tupDesc, 0)->atttypid != TEXTOID)
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("the statement must return one text")));
	slot = MakeSingleTupleTableSlot(portal->tupDesc, &TTSOpsMinimalTuple);
	if (tuplestore_gettupleslot(rows, true, false, slot))
	{
		bool		isnull;
		Datum		value = slot_getattr(slot, 1, &isnull);

		first = isnull ? NULL : TextDatumGetCString(value);
	}
	ExecDropSingleTupleTableSlot(slot);
	return first;
}

/* Plans and runs the queries; see write_under_path(). */
static uint64
run_write(const char *statement, List *queries, ParamListInfo parameters, char **returned)
{
	List	   *plans = pg_plan_queries(queries, statement, 0, parameters);
	Portal		portal = CreateNewPortal();
	Tuplestorestate *rows = tuplestore_begin_heap(false, false, work_mem);
	DestReceiver *receiver = CreateDestReceiver(DestTuplestore);
	QueryCompletion completion;

	SetTuplestoreDestReceiverParams(receiver, rows, CurrentMemoryContext, false, NULL, NULL);
	portal->visible = false;
	PortalDefineQuery(portal, NULL, statement,
					  plans == NIL ? CMDTAG_UNKNOWN : CreateCommandTag(linitial(plans)), plans, NULL);
	PortalStart(portal, parameters, 0, InvalidSnapshot);
	InitializeQueryCompletion(&completion);
	(void) portal_run_all(portal, receiver, &completion);
	if (returned != NULL)
		*returned = first_text(portal, rows);
	PortalDrop(portal, false);
	receiver->rDestroy(receiver);
	tuplestore_end(rows);
	return completion.nprocessed;
}

/* Returns whether the query writes deals. */
static bool
writes_deals(List *queries)
{
	Query	   *query = queries == NIL ? NULL : linitial_node(Query, queries);

	return query != NULL && query->resultRelation != 0 &&
		rt_fetch(query->resultRelation, query->rtable)->relid == installed_table("deal");
}

/* Runs the queries as a statement of the context, if there is one. */
static uint64
run_in_context(WriteContext *context, const char *statement, List *queries, ParamListInfo parameters,
			   char **returned)
{
	uint64		rows;

	if (context == NULL || !writes_deals(queries))
		return run_write(statement, queries, parameters, returned);
	write_context_expect(context);
	PG_TRY();
	{
		rows = run_write(statement, queries, parameters, returned);
	}
	PG_FINALLY();
	{
		write_context_expect_none(context);
	}
	PG_END_TRY();
	return rows;
}

/* Runs one INSERT, UPDATE or DELETE under the path, or with the ticket of a context under its path. */
uint64
write_under_path(const char *path, const char *statement, ParamListInfo parameters, char **returned)
{
	ErrorContextCallback callback = {0};
	WriteContext *context = write_context_of_ticket(path);
	List	   *queries;
	uint64		rows;
	int			level;

	callback.previous = error_context_stack;
	callback.callback = forget_position;
	error_context_stack = &callback;
	CommandCounterIncrement();
	queries = analyse_write(statement, parameters);
	level = search_path_set(context != NULL ? context->callers_path : path);
	rows = run_in_context(context, statement, queries, parameters, returned);
	search_path_restore(level);
	CommandCounterIncrement();
	error_context_stack = callback.previous;
	return rows;
}

/* Returns the arguments of the function from the given one on, as parameters of a statement. */
static ParamListInfo
parameters_of_call(FunctionCallInfo fcinfo, int first)
{
	ParamListInfo parameters = makeParamList(PG_NARGS() - first);

	for (int i = first; i < PG_NARGS(); i++)
	{
		ParamExternData *parameter = &parameters->params[i - first];

		parameter->value = PG_GETARG_DATUM(i);
		parameter->isnull = PG_ARGISNULL(i);
		parameter->pflags = PARAM_FLAG_CONST;
		parameter->ptype = get_fn_expr_argtype(fcinfo->flinfo, i);
		if (!OidIsValid(parameter->ptype) || parameter->ptype == UNKNOWNOID)
			ereport(ERROR,
					(errcode(ERRCODE_INDETERMINATE_DATATYPE),
					 errmsg("the type of an argument of the statement is not known")));
	}
	return parameters;
}

/* Runs the statement of an SQL call: (path, statement, VARIADIC arguments). */
static uint64
write_of_call(FunctionCallInfo fcinfo, char **returned)
{
	if (PG_ARGISNULL(0) || PG_ARGISNULL(1) || get_fn_expr_variadic(fcinfo->flinfo))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("a path, a statement and its arguments are needed")));
	return write_under_path(text_to_cstring(PG_GETARG_TEXT_PP(0)), text_to_cstring(PG_GETARG_TEXT_PP(1)),
							parameters_of_call(fcinfo, 2), returned);
}

/* write_as_caller(path, statement, VARIADIC arguments) returns the number of rows. */
Datum
crm_deals_write_as_caller(PG_FUNCTION_ARGS)
{
	PG_RETURN_INT64((int64) write_of_call(fcinfo, NULL));
}

/* write_as_caller_returning(path, statement, VARIADIC arguments) returns the text that the statement returns. */
Datum
crm_deals_write_as_caller_returning(PG_FUNCTION_ARGS)
{
	char	   *returned;

	(void) write_of_call(fcinfo, &returned);
	if (returned == NULL)
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(cstring_to_text(returned));
}
