/*
 * progress.h
 *		Tells the user how far a long search for duplicates has come.
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

/* Counts deals that were read. */
extern void progress_tell(Progress *progress, int64 deals);

#endif							/* CRM_DEALS_PROGRESS_H */
