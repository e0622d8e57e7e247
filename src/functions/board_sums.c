/*
 * board_sums.c
 *		An aggregate over the deals in one column of a board.
 *
 * It returns their number and, for each currency, the sum of their amounts and
 * the sum of amount times probability. It reads the deals once, in the order
 * of the index. A query that grouped them by currency and probability spent
 * more time on its hash table than on reading the index.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/fmgrprotos.h"
#include "utils/memutils.h"
#include "utils/numeric.h"

#include "base/json.h"

PG_FUNCTION_INFO_V1(crm_deals_board_sums_add);
PG_FUNCTION_INFO_V1(crm_deals_board_sums_result);

/*
 * Most deals have the probability of their stage. So the amounts of all deals
 * with the probability that came first are added up, and multiplied by it once
 * at the end.
 */
typedef struct CurrencySums
{
	struct CurrencySums *next;
	text	   *currency;
	Numeric		probability;	/* of the first deal that has an amount */
	Datum		usual;			/* this and the next two: states of sum(numeric), 0 until something is added */
	Datum		other;
	Datum		other_weighted;
} CurrencySums;

typedef struct BoardSums
{
	int64		deals;
	CurrencySums *currencies;	/* the one that came last stands first */
} BoardSums;

/* Adds a value as sum(numeric) does, in the memory of our aggregate. */
static void
add_to(Datum *state, Datum value, FunctionCallInfo aggregate)
{
	LOCAL_FCINFO(call, 2);

	InitFunctionCallInfoData(*call, NULL, 2, InvalidOid, aggregate->context, NULL);
	call->args[0].value = *state;
	call->args[0].isnull = *state == (Datum) 0;
	call->args[1].value = value;
	call->args[1].isnull = false;
	*state = numeric_avg_accum(call);
}

/* Returns the sum, as sum(numeric) does. */
static Numeric
sum_of(Datum state, FunctionCallInfo aggregate)
{
	LOCAL_FCINFO(call, 1);

	if (state == (Datum) 0)
		return int64_to_numeric(0);
	InitFunctionCallInfoData(*call, NULL, 1, InvalidOid, aggregate->context, NULL);
	call->args[0].value = state;
	call->args[0].isnull = false;
	return DatumGetNumeric(numeric_sum(call));
}

/* Returns whether two varlena values have the same bytes. */
static bool
same_bytes(const void *a, const void *b)
{
	return VARSIZE_ANY_EXHDR(a) == VARSIZE_ANY_EXHDR(b) &&
		memcmp(VARDATA_ANY(a), VARDATA_ANY(b), VARSIZE_ANY_EXHDR(a)) == 0;
}

/* Returns the sums of the currency, which move to the front of the list. */
static CurrencySums *
sums_of_currency(BoardSums *sums, text *currency, MemoryContext context)
{
	CurrencySums *found;

	for (CurrencySums **link = &sums->currencies; (found = *link) != NULL; link = &found->next)
		if (same_bytes(found->currency, currency))
		{
			*link = found->next;
			break;
		}
	if (found == NULL)
	{
		found = MemoryContextAllocZero(context, sizeof(CurrencySums));
		found->currency = MemoryContextAlloc(context, VARSIZE_ANY_EXHDR(currency) + VARHDRSZ);
		SET_VARSIZE(found->currency, VARSIZE_ANY_EXHDR(currency) + VARHDRSZ);
		memcpy(VARDATA(found->currency), VARDATA_ANY(currency), VARSIZE_ANY_EXHDR(currency));
	}
	found->next = sums->currencies;
	sums->currencies = found;
	return found;
}

/* Calls an operator of numeric. */
static Numeric
calculate(PGFunction operator, Numeric a, Numeric b)
{
	return DatumGetNumeric(DirectFunctionCall2(operator, NumericGetDatum(a), NumericGetDatum(b)));
}

/* Returns the amount's share of this many percent; dividing first, it bears the largest number. */
static Numeric
weighted_by(Numeric amount, Numeric percent)
{
	return calculate(numeric_mul, amount, calculate(numeric_mul, percent, int64_div_fast_to_numeric(1, 2)));
}

/* Adds the amount of a deal. */
static void
add_amount(CurrencySums *sums, Datum amount, Datum probability, MemoryContext context, FunctionCallInfo aggregate)
{
	Numeric		percent = DatumGetNumeric(probability);

	if (sums->probability == NULL)
	{
		MemoryContext caller = MemoryContextSwitchTo(context);

		sums->probability = DatumGetNumericCopy(probability);
		MemoryContextSwitchTo(caller);
	}
	if (same_bytes(sums->probability, percent))
		add_to(&sums->usual, amount, aggregate);
	else
	{
		add_to(&sums->other, amount, aggregate);
		add_to(&sums->other_weighted, NumericGetDatum(weighted_by(DatumGetNumeric(amount), percent)), aggregate);
	}
}

/* board_sums_add(state, currency, amount, probability) adds a deal. */
Datum
crm_deals_board_sums_add(PG_FUNCTION_ARGS)
{
	MemoryContext context;
	BoardSums  *sums;
	CurrencySums *of_currency;

	if (!AggCheckCallContext(fcinfo, &context))
		elog(ERROR, "board sums are an aggregate");
	sums = PG_ARGISNULL(0) ? MemoryContextAllocZero(context, sizeof(BoardSums)) : (BoardSums *) PG_GETARG_POINTER(0);
	sums->deals++;
	if (PG_ARGISNULL(1))
		PG_RETURN_POINTER(sums);
	of_currency = sums_of_currency(sums, PG_GETARG_TEXT_PP(1), context);
	if (!PG_ARGISNULL(2) && !PG_ARGISNULL(3))
		add_amount(of_currency, PG_GETARG_DATUM(2), PG_GETARG_DATUM(3), context, fcinfo);
	PG_RETURN_POINTER(sums);
}

/* ----------
 * The result, such as {"deals": 3, "amounts": {"EUR": 100}, "weighted": {"EUR": 25}}
 * ----------
 */

/* Returns the sum of the amounts. */
static Numeric
amount_of(const CurrencySums *sums, FunctionCallInfo aggregate)
{
	return calculate(numeric_add, sum_of(sums->usual, aggregate), sum_of(sums->other, aggregate));
}

/* Returns the sum of the weighted amounts. */
static Numeric
weighted_amount_of(const CurrencySums *sums, FunctionCallInfo aggregate)
{
	Numeric		weighted = sum_of(sums->other_weighted, aggregate);

	if (sums->probability != NULL)
		weighted = calculate(numeric_add, weighted,
							 weighted_by(sum_of(sums->usual, aggregate), sums->probability));
	return weighted;
}

/* Adds a key with a number. */
static void
push_number(JsonbBuilder *builder, const char *key, int length, Numeric number)
{
	JsonbValue	value = {.type = jbvNumeric, .val.numeric = number};

	json_push_key(builder, key, length);
	jsonb_push(builder, WJB_VALUE, &value);
}

/* Adds an object with a figure of each currency. */
static void
push_sums(JsonbBuilder *builder, const char *key, const BoardSums *sums,
		  Numeric (*figure) (const CurrencySums *, FunctionCallInfo), FunctionCallInfo aggregate)
{
	json_push_key(builder, key, strlen(key));
	jsonb_push(builder, WJB_BEGIN_OBJECT, NULL);
	for (const CurrencySums *of = sums->currencies; of != NULL; of = of->next)
		push_number(builder, VARDATA(of->currency), VARSIZE(of->currency) - VARHDRSZ, figure(of, aggregate));
	jsonb_push(builder, WJB_END_OBJECT, NULL);
}

/* board_sums_result(state) returns the sums as jsonb. */
Datum
crm_deals_board_sums_result(PG_FUNCTION_ARGS)
{
	BoardSums	none = {0};
	BoardSums  *sums = PG_ARGISNULL(0) ? &none : (BoardSums *) PG_GETARG_POINTER(0);
	JsonbBuilder builder = {0};

	jsonb_push(&builder, WJB_BEGIN_OBJECT, NULL);
	push_number(&builder, "deals", strlen("deals"), int64_to_numeric(sums->deals));
	push_sums(&builder, "amounts", sums, amount_of, fcinfo);
	push_sums(&builder, "weighted", sums, weighted_amount_of, fcinfo);
	jsonb_push(&builder, WJB_END_OBJECT, NULL);
	PG_RETURN_POINTER(JsonbValueToJsonb(builder.result));
}
