/*
 * trigram.c
 *		The trigrams of a name, exactly as pg_trgm makes them.
 *
 * The trigrams are those of pg_trgm's own code, which is found in its library,
 * whatever schema the extension is in.  But most names do not need a call of it.
 * Once in a backend pg_trgm is called for each character: it makes a lower-case
 * letter of the character, or nothing.  The trigrams are then put together from the
 * results.  If the lower case of a character depends on its neighbours, or if
 * pg_trgm makes anything else of it, the whole name goes to pg_trgm.
 */
#include "postgres.h"

#include "catalog/pg_collation.h"
#include "common/hashfn.h"
#include "fmgr.h"
#include "lib/qunique.h"
#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/formatting.h"
#include "utils/memutils.h"
#include "utils/pg_crc.h"

#include "base/compat.h"
#include "duplicates/core/similarity.h"
#include "duplicates/trigram.h"

/* Compares two tokens as unsigned numbers. */
static inline int
compare_tokens(const void *a, const void *b)
{
	uint32		x = *(const uint32 *) a;
	uint32		y = *(const uint32 *) b;

	return x < y ? -1 : x > y;
}

#define ST_SORT sort_tokens
#define ST_ELEMENT_TYPE uint32
#define ST_COMPARE(a, b) compare_tokens(a, b)
#define ST_SCOPE static
#define ST_DEFINE
#include "lib/sort_template.h"

PG_FUNCTION_INFO_V1(crm_deals_similarity);

/* An element of the character table: one of these, or the lower case of the character */
#define UNKNOWN		0
#define NO_WORD		1			/* the character separates words */
#define NEEDS_PG_TRGM	2		/* pg_trgm must read every name that has the character */

/* The table has this many characters; all others need pg_trgm. */
#define N_CHARACTERS	0x10000

static uint16 *character_table = NULL;

/* ----------
 * The way through pg_trgm
 * ----------
 */

/* Calls pg_trgm, and returns the trigrams as integers. */
static Datum *
call_pg_trgm(text *name, int32 *n)
{
	static PGFunction extract = NULL;

	if (extract == NULL)
		extract = (PGFunction) load_external_function("$libdir/pg_trgm", "gin_extract_value_trgm", true, NULL);
	return (Datum *) DatumGetPointer(DirectFunctionCall2Coll(extract, DEFAULT_COLLATION_OID,
															 PointerGetDatum(name), PointerGetDatum(n)));
}

/* Makes space for n tokens; those that are there stay. */
static void
make_space(TokenSet *set, int n)
{
	if (n <= set->allocated)
		return;
	set->allocated = Max(n, 2 * set->allocated);
	if (set->tokens == NULL)
		set->tokens = MemoryContextAllocHuge(set->memory, sizeof(uint32) * set->allocated);
	else
		set->tokens = repalloc_huge(set->tokens, sizeof(uint32) * set->allocated);
}

/* Sorts the tokens and removes repeated ones. */
static void
sort_set(TokenSet *set)
{
	sort_tokens(set->tokens, set->n);
	set->n = (int) qunique(set->tokens, set->n, sizeof(uint32), compare_tokens);
}

/* Adds the tokens that pg_trgm makes of a text. */
static void
add_by_pg_trgm(TokenSet *set, text *name)
{
	int32		n = 0;
	Datum	   *keys = call_pg_trgm(name, &n);

	make_space(set, set->n + n);
	for (int i = 0; i < n; i++)
		set->tokens[set->n++] = (uint32) DatumGetInt32(keys[i]);
	if (keys != NULL)
		pfree(keys);
}

/* Reads a name by pg_trgm, which sorts by signed or unsigned characters, as the platform has them. */
static void
read_by_pg_trgm(TokenSet *set, text *name)
{
	set->n = 0;
	add_by_pg_trgm(set, name);
	sort_set(set);
}

/* ----------
 * Trigrams of characters
 * ----------
 */

/* A character as its bytes */
typedef struct Character
{
	uint8		bytes[4];
	uint8		length;
} Character;

static const Character blank = {{' '}, 1};

/* Is UTF-8 the encoding of the database? */
static bool
is_utf8(void)
{
	return GetDatabaseEncoding() == PG_UTF8;
}

/* Returns the number of the first character of a valid text, and sets its length in bytes. */
static inline uint32
read_character(const unsigned char *at, int *length)
{
	if (at[0] < 0x80 || pg_database_encoding_max_length() == 1)
	{
		*length = 1;
		return at[0];
	}
	*length = pg_mblen((const char *) at);
	return is_utf8() ? utf8_to_unicode(at) : N_CHARACTERS;
}

/* Returns the bytes of a character. */
static inline Character
character_of(uint32 number)
{
	Character	character = {{0}, 1};

	if (number < 0x80 || !is_utf8())
		character.bytes[0] = (uint8) number;
	else
	{
		unicode_to_utf8(number, character.bytes);
		character.length = number < 0x800 ? 2 : 3;
	}
	return character;
}

/* Returns the trigram as pg_trgm makes it: three bytes stay as they are, more become a checksum. */
static inline uint32
trigram(const Character *a, const Character *b, const Character *c)
{
	uint8		bytes[12];
	int			length = a->length + b->length + c->length;
	pg_crc32	checksum;

	if (length == 3)
		return (uint32) a->bytes[0] << 16 | (uint32) b->bytes[0] << 8 | c->bytes[0];
	memcpy(bytes, a->bytes, 4);
	memcpy(bytes + a->length, b->bytes, 4);
	memcpy(bytes + a->length + b->length, c->bytes, 4);
	INIT_LEGACY_CRC32(checksum);
	COMP_LEGACY_CRC32(checksum, bytes, length);
	FIN_LEGACY_CRC32(checksum);
	memcpy(bytes, &checksum, sizeof(checksum));
	return (uint32) bytes[0] << 16 | (uint32) bytes[1] << 8 | bytes[2];
}

/* ----------
 * The lower case of a character
 * ----------
 */

/*
 * Is the lower case of the character the same whatever its neighbours are?  That of
 * a capital sigma depends on whether it ends a word, that of some letters on a mark
 * that follows.  The blocks are those that are known to have no such character.
 */
static bool
stands_alone(uint32 c)
{
	static const struct
	{
		uint16		first;
		uint16		last;
	}			blocks[] = {
		{0x0000, 0x02ff}, {0x0370, 0x03a2}, {0x03a4, 0x0482}, {0x048a, 0x052f}, {0x1e00, 0x1eff},
		{0x2000, 0x206f}, {0x20a0, 0x20cf}, {0x2100, 0x214f}, {0x3000, 0x3029}, {0x3030, 0x3098},
		{0x309b, 0x30ff}, {0x4e00, 0x9fff}, {0xac00, 0xd7a3}, {0xff01, 0xff9d}
	};

	if (!is_utf8())
		return true;
	for (size_t i = 0; i < lengthof(blocks); i++)
		if (c <= blocks[i].last)
			return c >= blocks[i].first;
	return false;
}

/* Are these the trigrams of a word of one letter?  It has two, "  x" and " x ". */
static bool
has_trigrams_of(const Datum *keys, int32 n, uint32 lower)
{
	Character	letter = character_of(lower);
	uint32		first = trigram(&blank, &blank, &letter);
	uint32		second = trigram(&blank, &letter, &blank);

	return n == 2 && first != second &&
		(((uint32) DatumGetInt32(keys[0]) == first && (uint32) DatumGetInt32(keys[1]) == second) ||
		 ((uint32) DatumGetInt32(keys[0]) == second && (uint32) DatumGetInt32(keys[1]) == first));
}

/* Finds out by pg_trgm what it makes of a character. */
static uint16
learn_character(uint32 c)
{
	Character	character = character_of(c);
	text	   *name = cstring_to_text_with_len((char *) character.bytes, character.length);
	int32		n = 0;
	Datum	   *keys;
	char	   *lower;
	int			length;
	uint32		result;

	if (!stands_alone(c))
		return NEEDS_PG_TRGM;
	keys = call_pg_trgm(name, &n);
	if (n == 0)
		return NO_WORD;
	lower = str_tolower((char *) character.bytes, character.length, DEFAULT_COLLATION_OID);
	result = read_character((unsigned char *) lower, &length);
	if (lower[0] == '\0' || lower[length] != '\0' || result <= NEEDS_PG_TRGM || result >= N_CHARACTERS ||
		!has_trigrams_of(keys, n, result))
		return NEEDS_PG_TRGM;
	return (uint16) result;
}

/* Returns the element of a character in the table, which is filled when it is first needed. */
static uint16
lower_case_of(uint32 c)
{
	if (c >= N_CHARACTERS)
		return NEEDS_PG_TRGM;
	if (character_table[c] == UNKNOWN)
		character_table[c] = learn_character(c);
	return character_table[c];
}

/* ----------
 * The way without pg_trgm
 * ----------
 */

/* The letters before the next one, for the trigrams */
typedef struct Letters
{
	Character	before;
	Character	last;
	bool		in_word;
} Letters;

static const Letters no_letters = {{{' '}, 1}, {{' '}, 1}, false};

/* Adds the trigram that ends a word.  "  word " has one trigram more than letters. */
static inline void
end_word(TokenSet *set, Letters *letters)
{
	if (letters->in_word)
		set->tokens[set->n++] = trigram(&letters->before, &letters->last, &blank);
	*letters = no_letters;
}

/*
 * Adds the tokens of these characters; the set has the space.  Returns false if
 * a character needs pg_trgm.
 */
static inline bool
add_characters(TokenSet *set, Letters *letters, const unsigned char *at, const unsigned char *end)
{
	while (at < end)
	{
		int			length;
		uint16		lower = lower_case_of(read_character(at, &length));

		if (lower == NEEDS_PG_TRGM)
			return false;
		if (lower != NO_WORD)
		{
			Character	letter = character_of(lower);

			set->tokens[set->n++] = trigram(&letters->before, &letters->last, &letter);
			letters->before = letters->last;
			letters->last = letter;
			letters->in_word = true;
		}
		else
			end_word(set, letters);
		at += length;
	}
	return true;
}

/* Reads a name without pg_trgm; returns false if a character needs it. */
static bool
read_characters(TokenSet *set, const unsigned char *name, const unsigned char *end)
{
	Letters		letters = no_letters;

	set->n = 0;
	make_space(set, 2 * (end - name) + 1);
	if (!add_characters(set, &letters, name, end))
		return false;
	end_word(set, &letters);
	sort_set(set);
	return true;
}

/* ----------
 * Long names: piece by piece, so that a cancelled query stops and the memory is that of different tokens
 * ----------
 */

#define LONG_NAME	0x10000		/* bytes */
#define LONGEST_WORD	0x100000	/* bytes that pg_trgm, which cannot be interrupted, reads at once */

/* Returns the end of a piece that begins here. */
static const unsigned char *
end_of_piece(const unsigned char *at, const unsigned char *end)
{
	const unsigned char *stop = at + Min(end - at, LONG_NAME);

	while (at < stop)
		at += pg_mblen((const char *) at);
	return at;
}

/* Makes space for the tokens of a piece.  It sorts only if the set has grown as much as it was: that costs little. */
static void
make_space_for_piece(TokenSet *set)
{
	CHECK_FOR_INTERRUPTS();
	if (set->n + 2 * LONG_NAME + 8 <= set->allocated)
		return;
	sort_set(set);
	if (2 * set->n + 4 * LONG_NAME > set->allocated)
		make_space(set, 4 * (set->n + LONG_NAME));
}

/* Returns the end of the word that begins here, and whether a character in it needs pg_trgm. */
static const unsigned char *
end_of_word(const unsigned char *at, const unsigned char *end, bool *needs_pg_trgm)
{
	*needs_pg_trgm = false;
	for (int n = 0; at < end; n++)
	{
		int			length;
		uint16		lower = lower_case_of(read_character(at, &length));

		if (n % LONG_NAME == 0)
			CHECK_FOR_INTERRUPTS();
		if (lower == NO_WORD)
			break;
		*needs_pg_trgm |= lower == NEEDS_PG_TRGM;
		at += length;
	}
	return at;
}

/* Adds the tokens of a word by pg_trgm, as of a name of its own: pg_trgm reads word by word. */
static void
add_word_by_pg_trgm(TokenSet *set, const unsigned char *word, const unsigned char *end)
{
	text	   *name;

	if (end - word > LONGEST_WORD)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("a word of %lld bytes is too long to be compared", (long long) (end - word)),
				 errdetail("It has letters whose lower case depends on other letters. Such words may have %d bytes.",
						   LONGEST_WORD)));
	name = cstring_to_text_with_len((const char *) word, end - word);
	add_by_pg_trgm(set, name);
	pfree(name);
}

/* Adds the tokens of a word without pg_trgm. */
static void
add_word(TokenSet *set, const unsigned char *word, const unsigned char *end)
{
	Letters		letters = no_letters;

	while (word < end)
	{
		const unsigned char *stop = end_of_piece(word, end);

		make_space_for_piece(set);
		(void) add_characters(set, &letters, word, stop);
		word = stop;
	}
	end_word(set, &letters);
}

/* Reads a long name word by word. */
static void
read_long_name(TokenSet *set, const unsigned char *name, const unsigned char *end)
{
	set->n = 0;
	while (name < end)
	{
		bool		needs_pg_trgm;
		const unsigned char *stop = end_of_word(name, end, &needs_pg_trgm);

		make_space_for_piece(set);
		if (needs_pg_trgm)
			add_word_by_pg_trgm(set, name, stop);
		else
			add_word(set, name, stop);
		if (stop < end)
			stop += pg_mblen((const char *) stop);
		name = stop;
	}
	sort_set(set);
}

/* ----------
 * Names
 * ----------
 */

/* Makes an empty set. */
TokenSet *
token_set_create(void)
{
	TokenSet   *set = palloc0(sizeof(TokenSet));

	set->memory = CurrentMemoryContext;
	return set;
}

/* Reads the trigrams of a name, without pg_trgm if that is possible. No name has none. */
void
token_set_read(TokenSet *set, text *name)
{
	const unsigned char *begin;

	set->n = 0;
	if (name == NULL)
		return;
	begin = (const unsigned char *) VARDATA_ANY(name);
	if (character_table == NULL)
		character_table = MemoryContextAllocZero(TopMemoryContext, sizeof(uint16) * N_CHARACTERS);
	if (VARSIZE_ANY_EXHDR(name) > LONG_NAME)
		read_long_name(set, begin, begin + VARSIZE_ANY_EXHDR(name));
	else if (!read_characters(set, begin, begin + VARSIZE_ANY_EXHDR(name)))
		read_by_pg_trgm(set, name);
}

/* Returns the similarity of two names. */
float4
token_set_similarity(const TokenSet *a, const TokenSet *b)
{
	if (a->n == 0 || b->n == 0)
		return 0;
	return similarity_of(common_tokens(a->tokens, a->n, b->tokens, b->n, 0), a->n, b->n);
}

/* similarity(a, b): what similarity() of pg_trgm returns */
Datum
crm_deals_similarity(PG_FUNCTION_ARGS)
{
	TokenSet   *a = token_set_create();
	TokenSet   *b = token_set_create();

	token_set_read(a, PG_GETARG_TEXT_PP(0));
	token_set_read(b, PG_GETARG_TEXT_PP(1));
	PG_RETURN_FLOAT4(token_set_similarity(a, b));
}

/*
 * Returns a hash of the trigrams that pg_trgm makes of all ASCII characters and of
 * letters that locales and encodings treat differently.  Letters that the encoding
 * does not have are left out.
 */
uint64
trigram_canary(void)
{
	static const pg_wchar letters[] = {
		0xDF, 0xE4, 0xC4, 0xE9, 0xC9, 0xF1, 0x130, 0x131, 0x15E, 0x1C5, 0x3A3, 0x3C2, 0x416, 0x5D0, 0x627, 0x661,
		0x915, 0x1E9E, 0x2160, 0x2167, 0x24B6, 0x3042, 0x30A2, 0x4E2D, 0xAC00, 0xFF21, 0x10400, 0x1F600, 0x1D400
	};
	TokenSet   *set = token_set_create();
	StringInfoData name;
	uint64		canary = 0;

	initStringInfo(&name);
	for (char c = ' '; c < 127; c++)
		appendStringInfo(&name, "%ca%c ", c, c);
	for (size_t i = 0; i < lengthof(letters) && GetDatabaseEncoding() == PG_UTF8; i++)
	{
		unsigned char utf8[8] = {0};

		unicode_to_utf8(letters[i], utf8);
		appendStringInfo(&name, "%sa%s ", utf8, utf8);
	}
	for (int c = 0xA0; c <= 0xFF && pg_database_encoding_max_length() == 1; c++)
		appendStringInfo(&name, "%ca%c ", c, c);

	read_by_pg_trgm(set, cstring_to_text_with_len(name.data, name.len));
	for (int i = 0; i < set->n; i++)
		canary = hash_combine64(canary, hash_bytes_uint32_extended(set->tokens[i], 0));
	return canary;
}
