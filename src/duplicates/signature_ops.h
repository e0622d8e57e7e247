/*
 * signature_ops.h
 *		The query that finds similar names in their index.
 */
#ifndef CRM_DEALS_SIGNATURE_OPS_H
#define CRM_DEALS_SIGNATURE_OPS_H

#include "duplicates/trigram.h"

/* For a set that is not empty: what the operator of the index asks for */
extern Datum signature_query_of(text *organization, const TokenSet *set, float4 built, float4 threshold);

/* An error (22023) for what is no threshold */
extern float4 checked_threshold(float4 threshold);

#endif							/* CRM_DEALS_SIGNATURE_OPS_H */
