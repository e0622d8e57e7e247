/*
 * duplicate_check.h
 *		What a statement does about duplicates, after its rows are written.
 */
#ifndef CRM_DEALS_DUPLICATE_CHECK_H
#define CRM_DEALS_DUPLICATE_CHECK_H

#include "duplicates/deal_names.h"

extern void duplicate_check_init(void);

/*
 * Stores the names, searches for duplicates, and flags or refuses them as the
 * pipelines of the deals say.  If may_refuse is false, they are flagged instead of
 * refused.
 */
extern void check_duplicates(NameChanges *changes, bool may_refuse);

#endif							/* CRM_DEALS_DUPLICATE_CHECK_H */
