/*
 * changes.h
 *		The column "changes" of the log: what a write did to a deal.
 */
#ifndef CRM_DEALS_CHANGES_H
#define CRM_DEALS_CHANGES_H

#include "utils/jsonb.h"

#include "base/types.h"

/*
 * Returns {"column": [old, new]} for each column that differs. "old" is NULL
 * for an insert and "new" for a delete: then it has every column that is not
 * null.
 */
extern Jsonb *deal_changes(const DealRow *old, const DealRow *new);

#endif							/* CRM_DEALS_CHANGES_H */
