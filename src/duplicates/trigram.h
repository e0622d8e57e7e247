/*
 * trigram.h
 *		The bridge to pg_trgm: what it takes a name for.
 */
#ifndef CRM_DEALS_TRIGRAM_H
#define CRM_DEALS_TRIGRAM_H

/* The trigrams of one name: a set, ascending as unsigned numbers.  Used again for the next name. */
typedef struct TokenSet
{
	int			n;
	uint32	   *tokens;
	int			allocated;
	MemoryContext memory;
} TokenSet;

/* Empty; its memory lives in the current context. */
extern TokenSet *token_set_create(void);

/* Exactly the trigrams that pg_trgm compares by similarity() */
extern void token_set_read(TokenSet *set, text *name);

/* similarity() of pg_trgm; names without letters and digits are like none */
extern float4 token_set_similarity(const TokenSet *a, const TokenSet *b);

/* A number that changes with what pg_trgm makes of letters: locale, encoding, versions */
extern uint64 trigram_canary(void);

#endif							/* CRM_DEALS_TRIGRAM_H */
