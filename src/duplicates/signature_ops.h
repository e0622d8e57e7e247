/*
 * signature_ops.h
 *		The query that finds similar names in the index of signatures.
 */
#ifndef CRM_DEALS_SIGNATURE_OPS_H
#define CRM_DEALS_SIGNATURE_OPS_H

#include "duplicates/trigram.h"

/* The right operand of the operator of the index, for a set that is not empty */
extern Datum signature_query_of(text *organization, const TokenSet *set, float4 built, float4 threshold);

#endif							/* CRM_DEALS_SIGNATURE_OPS_H */
