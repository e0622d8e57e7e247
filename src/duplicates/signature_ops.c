/*
 * signature_ops.c
 *		The operator class of the index of signatures: the keys of a row and the
 *		look-ups of a probe.
 *
 * The index is a GIN index on signatures(organization, name, built, made_for) with
 * the operator class signature_ops, both in the schema crm_deals_internal.
 * name_index.c reads the arguments `built` and `made_for` from its definition.
 */
#include "postgres.h"

#include "access/gin.h"
#include "access/stratnum.h"
#include "catalog/pg_type.h"
#include "common/hashfn.h"
#include "fmgr.h"
#include "utils/builtins.h"

#include "base/arrays.h"
#include "base/compat.h"
#include "duplicates/core/signature.h"
#include "duplicates/duplicate_rule.h"
#include "duplicates/signature_ops.h"

PG_FUNCTION_INFO_V1(crm_deals_signatures);
PG_FUNCTION_INFO_V1(crm_deals_signatures_meet);
PG_FUNCTION_INFO_V1(crm_deals_signature_query);
PG_FUNCTION_INFO_V1(crm_deals_signature_consistent);
PG_FUNCTION_INFO_V1(crm_deals_signature_compare_partial);

/* Returns a number for the organization, so that names of different organizations have different keys. */
static uint64
seed_of(text *organization)
{
	if (organization == NULL)
		return 0;
	return hash_bytes_extended((unsigned char *) VARDATA_ANY(organization), VARSIZE_ANY_EXHDR(organization), 1);
}

/* signatures(organization, name, built, made_for): the keys of a row */
Datum
crm_deals_signatures(PG_FUNCTION_ARGS)
{
	TokenSet   *set = token_set_create();
	float4		built;
	ArrayType  *array;

	if (PG_ARGISNULL(1) || PG_ARGISNULL(2))
		PG_RETURN_NULL();
	built = checked_threshold(PG_GETARG_FLOAT4(2));
	token_set_read(set, PG_GETARG_TEXT_PP(1));
	if (set->n == 0)
		PG_RETURN_ARRAYTYPE_P(int8_array_create(0));
	array = int8_array_create(signature_count(set->n, built));
	(void) signatures(seed_of(PG_ARGISNULL(0) ? NULL : PG_GETARG_TEXT_PP(0)), set->tokens, set->n, built,
					  int8_array_elements(array));
	PG_RETURN_ARRAYTYPE_P(array);
}

/* Writes the probe to an array of the length that it needs. */
Datum
signature_query_of(text *organization, const TokenSet *set, float4 built, float4 threshold)
{
	ArrayType  *array = int8_array_create(probe_query_length(set->n, built, threshold));

	int8_array_cut(array, probe_query(seed_of(organization), set->tokens, set->n, built, threshold,
									  int8_array_elements(array)));
	return PointerGetDatum(array);
}

/* Reads the look-ups of a query; anybody can write a bigint[], so it may be none. */
static SignatureProbe *
probes_of(ArrayType *query, int32 *n)
{
	SignatureProbe *probes;

	*n = Max(int8_array_length(query) - PROBE_HEADER, 0);
	probes = palloc(sizeof(SignatureProbe) * Max(*n, 1));
	if (!probe_decode(int8_array_elements(query), int8_array_length(query), probes))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("this is not a query for signatures")));
	return probes;
}

/* extractQuery of GIN: every look-up is a range of keys */
Datum
crm_deals_signature_query(PG_FUNCTION_ARGS)
{
	int32	   *n = (int32 *) PG_GETARG_POINTER(1);
	bool	  **partial = (bool **) PG_GETARG_POINTER(3);
	Pointer   **extra = (Pointer **) PG_GETARG_POINTER(4);
	SignatureProbe *probes = probes_of(PG_GETARG_ARRAYTYPE_P(0), n);
	Datum	   *keys = palloc(sizeof(Datum) * Max(*n, 1));

	*partial = palloc(sizeof(bool) * Max(*n, 1));
	*extra = palloc(sizeof(Pointer) * Max(*n, 1));
	for (int i = 0; i < *n; i++)
	{
		keys[i] = Int64GetDatum(probes[i].low);
		(*partial)[i] = true;
		(*extra)[i] = (Pointer) &probes[i];
	}
	PG_RETURN_POINTER(keys);
}

/* comparePartial of GIN: 0 for a match, -1 for none, 1 at the end of the range */
Datum
crm_deals_signature_compare_partial(PG_FUNCTION_ARGS)
{
	int64		key = PG_GETARG_INT64(1);
	SignatureProbe *probe = (SignatureProbe *) PG_GETARG_POINTER(3);

	if (key > probe->high)
		PG_RETURN_INT32(1);
	PG_RETURN_INT32(signature_may_match(probe, key) ? 0 : -1);
}

/* consistent of GIN: one key that matches is enough */
Datum
crm_deals_signature_consistent(PG_FUNCTION_ARGS)
{
	bool	   *check = (bool *) PG_GETARG_POINTER(0);
	int32		n = PG_GETARG_INT32(3);
	bool	   *recheck = (bool *) PG_GETARG_POINTER(5);

	*recheck = false;
	for (int i = 0; i < n; i++)
		if (check[i])
			PG_RETURN_BOOL(true);
	PG_RETURN_BOOL(false);
}

/* signatures_meet(signatures, query): the operator, if no index is used */
Datum
crm_deals_signatures_meet(PG_FUNCTION_ARGS)
{
	ArrayType  *row = PG_GETARG_ARRAYTYPE_P(0);
	int			n_keys = int8_array_length(row);
	int32		n_probes;
	SignatureProbe *probes = probes_of(PG_GETARG_ARRAYTYPE_P(1), &n_probes);

	for (int i = 0; i < n_probes; i++)
		for (int k = 0; k < n_keys; k++)
			if (signature_may_match(&probes[i], int8_array_elements(row)[k]))
				PG_RETURN_BOOL(true);
	PG_RETURN_BOOL(false);
}
