/*
 * progress.h
 *		Who waits long for duplicates is told how far it is.
 */
#ifndef CRM_DEALS_PROGRESS_H
#define CRM_DEALS_PROGRESS_H

#include "datatype/timestamp.h"

typedef struct Progress
{
	int64		deals;
	TimestampTz next_notice;
} Progress;

extern Progress progress_begin(void);

/* So many deals more */
extern void progress_tell(Progress *progress, int64 deals);

#endif							/* CRM_DEALS_PROGRESS_H */
