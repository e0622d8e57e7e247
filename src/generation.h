/*
 * generation.h
 *		Transaction numbers that keep their order through dump and restore.
 */
#ifndef CRM_DEALS_GENERATION_H
#define CRM_DEALS_GENERATION_H

#include "access/transam.h"

extern void generation_init(void);

/* The running transaction as the log names it */
extern FullTransactionId log_transaction(void);

#endif							/* CRM_DEALS_GENERATION_H */
