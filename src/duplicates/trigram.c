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

/* Makes space for n tokens; those that are there may be lost. */
static void
make_space(TokenSet *set, int n)
{
	if (n <= set->allocated)
		return;
	if (set->tokens != NULL)
		pfree(set->tokens);
	set->allocated = Max(n, 2 * set->allocated);
	set->tokens = MemoryContextAllocHuge(set->memory, sizeof(uint32) * set->allocated);
}

/* Sorts the tokens and removes repeated ones. */
static void
sort_set(TokenSet *set)
{
	sort_tokens(set->tokens, set->n);
	set->n = (int) qunique(set->tokens, set->n, sizeof(uint32), compare_tokens);
}

/* Reads a name by pg_trgm. */
static void
read_by_pg_trgm(TokenSet *set, text *name)
{
	int32		n = 0;
	Datum	   *keys = call_pg_trgm(name, &n);

	make_space(set, n);
	for (int i = 0; i < n; i++)
		set->tokens[i] = (uint32) DatumGetInt32(keys[i]);
	set->n = n;
	if (keys != NULL)
		pfree(keys);
	/* pg_trgm sorts by signed or unsigned characters, as the platform has them */
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

/* Reads a name without pg_trgm; returns false if a character needs it.  "  word " has one trigram more than letters. */
static bool
read_characters(TokenSet *set, const unsigned char *name, const unsigned char *end)
{
	Character	before = blank;
	Character	last = blank;
	bool		in_word = false;
	int			n = 0;

	make_space(set, 2 * (end - name) + 1);
	while (name < end)
	{
		int			length;
		uint16		lower = lower_case_of(read_character(name, &length));

		if (lower == NEEDS_PG_TRGM)
			return false;
		if (lower != NO_WORD)
		{
			Character	letter = character_of(lower);

			set->tokens[n++] = trigram(&before, &last, &letter);
			before = last;
			last = letter;
			in_word = true;
		}
		else if (in_word)
		{
			set->tokens[n++] = trigram(&before, &last, &blank);
			before = last = blank;
			in_word = false;
		}
		name += length;
	}
	if (in_word)
		set->tokens[n++] = trigram(&before, &last, &blank);
	set->n = n;
	sort_set(set);
	return true;
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
	if (!read_characters(set, begin, begin + VARSIZE_ANY_EXHDR(name)))
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
