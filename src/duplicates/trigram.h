/*
 * trigram.h
 *		The trigrams of a name, exactly as pg_trgm makes them.
 */
#ifndef CRM_DEALS_TRIGRAM_H
#define CRM_DEALS_TRIGRAM_H

/* The trigrams of one name: a set of unsigned numbers, ascending.  It can be used again for the next name. */
typedef struct TokenSet
{
	int			n;
	uint32	   *tokens;
	int			allocated;
	MemoryContext memory;
} TokenSet;

/* Makes an empty set; its memory lives in the current memory context. */
extern TokenSet *token_set_create(void);

/* Reads the trigrams that similarity() of pg_trgm compares. */
extern void token_set_read(TokenSet *set, text *name);

/* similarity() of pg_trgm; a name without letters and digits is similar to no name */
extern float4 token_set_similarity(const TokenSet *a, const TokenSet *b);

/* A number that changes if pg_trgm makes other trigrams, because of the locale, the encoding or a version */
extern uint64 trigram_canary(void);

#endif							/* CRM_DEALS_TRIGRAM_H */
