/*
 * log_transaction.h
 *		Transaction numbers that keep their order through dump and restore.
 */
#ifndef CRM_DEALS_LOG_TRANSACTION_H
#define CRM_DEALS_LOG_TRANSACTION_H

#include "access/transam.h"

/* Returns the number of the running transaction. */
extern FullTransactionId log_transaction(void);

#endif							/* CRM_DEALS_LOG_TRANSACTION_H */
