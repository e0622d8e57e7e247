/*
 * duplicates.h
 *		Deals whose name a statement wrote, and the deals that they look like.
 */
#ifndef CRM_DEALS_DUPLICATES_H
#define CRM_DEALS_DUPLICATES_H

#include "duplicates/written_names.h"

extern void duplicates_init(void);

/*
 * Stores the names and does what the deals' pipelines say of duplicates.  A
 * statement that puts back what was is never refused, its deals are flagged.
 */
extern void duplicates_of_statement(WrittenNames *names, bool may_refuse);

#endif							/* CRM_DEALS_DUPLICATES_H */
