/*
 * name_index.h
 *		Searches deal_name, the table of deal names, by its index of signatures.
 */
#ifndef CRM_DEALS_NAME_INDEX_H
#define CRM_DEALS_NAME_INDEX_H

#include "utils/snapshot.h"

#include "duplicates/trigram.h"

typedef struct NameIndex NameIndex;

/*
 * Called for a similar name.  `writer` is another transaction, still in progress,
 * that has inserted (is_new) or is deleting the row; 0 if there is none.
 */
typedef void (*name_found) (void *arg, int64 deal_id, float4 similarity, TransactionId writer, bool is_new);

/* Called for a row that the transaction `writer`, still in progress, has inserted or is deleting. */
typedef void (*uncommitted_name_found) (void *arg, text *organization, text *name, TransactionId writer);

/*
 * Sees what the snapshot sees.  Without a snapshot it sees every row that was not
 * rolled back, committed or not (a "dirty" snapshot).
 */
extern NameIndex *name_index_open(Snapshot snapshot);
extern void name_index_close(NameIndex *index);

/* Does deal_name lack names that it should have? */
extern bool names_are_missing(void);

/* Can the index answer for this threshold?  Raises a WARNING if it is missing or stale, or if names are missing. */
extern bool name_index_answers(NameIndex *index, float4 threshold);

/* Finds every similar name of the organization, in no order; a name may come more than once. */
extern void name_index_probe(NameIndex *index, text *organization, text *name, float4 threshold,
							 name_found found, void *arg);

/* The same for the name that deal_name has of a deal; finds nothing if it has none */
extern void name_index_probe_deal(NameIndex *index, int64 deal_id, float4 threshold, name_found found, void *arg);

/* Finds every row that another transaction, still in progress, has inserted or is deleting. */
extern void name_index_scan_uncommitted(NameIndex *index, uncommitted_name_found found, void *arg);

/* About how many names there are */
extern double name_index_size(const NameIndex *index);

#endif							/* CRM_DEALS_NAME_INDEX_H */
