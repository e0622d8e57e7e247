/*
 * changes.h
 *		The column "changes" of the log: what a write did to a deal.
 */
#ifndef CRM_DEALS_CHANGES_H
#define CRM_DEALS_CHANGES_H

#include "base/types.h"
#include "utils/jsonb.h"

/*
 * {"column": [old, new]}; "old" is NULL for an insert, "new" for a delete, and
 * then every column that is not null is there.
 */
extern Jsonb *deal_changes(const DealRow *old, const DealRow *new);

#endif							/* CRM_DEALS_CHANGES_H */
