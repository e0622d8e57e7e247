/*
 * name_index.h
 *		deal_name, the names of deals beside them, and its index of signatures.
 */
#ifndef CRM_DEALS_NAME_INDEX_H
#define CRM_DEALS_NAME_INDEX_H

#include "utils/snapshot.h"

#include "duplicates/trigram.h"

typedef struct NameIndex NameIndex;

/*
 * A name that was found.  `writer` has it in hand: 0, or a transaction that has
 * not ended; the name is new with that, or committed and about to go.
 */
typedef void (*name_found) (void *arg, int64 deal_id, float4 similarity, TransactionId writer, bool is_new);
typedef void (*name_in_hand) (void *arg, int64 deal_id, text *organization, text *name, TransactionId writer);


/* Sees by the snapshot, or where there is none everything that is not rolled back. */
extern NameIndex *name_index_open(Snapshot snapshot);
extern void name_index_close(NameIndex *index);

/* Can the index answer for this threshold?  Warns where it was made for another world. */
extern bool name_index_answers(NameIndex *index, float4 threshold);

/* Every name of the organization that reaches the threshold, in no order, perhaps more than once */
extern void name_index_probe(NameIndex *index, text *organization, text *name, float4 threshold,
							 name_found found, void *arg);

/* The same for the name that a deal has there, if any */
extern void name_index_probe_deal(NameIndex *index, int64 deal_id, float4 threshold, name_found found, void *arg);

/* Every name that another transaction has in hand */
extern void name_index_in_hand(NameIndex *index, name_in_hand found, void *arg);

/* About how many names there are */
extern double name_index_size(const NameIndex *index);

#endif							/* CRM_DEALS_NAME_INDEX_H */
