/*
 * relatives.h
 *		Parents and children of the table deal, and parents of stage and pipeline.
 */
#ifndef CRM_DEALS_RELATIVES_H
#define CRM_DEALS_RELATIVES_H

#include "utils/rel.h"

/* Refuses every write of a row of stage or pipeline while the table has a parent. */
extern void refuse_parent(Relation table);

/* Refuses every write of deals while their table has a parent or a child. */
extern void refuse_relatives(Relation deal);

#endif							/* CRM_DEALS_RELATIVES_H */
