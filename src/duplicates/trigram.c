/*
 * trigram.c
 *		The bridge to pg_trgm: what it takes a name for.
 *
 * Trigrams come from pg_trgm's own code, found in its library, whatever schema
 * the extension is in.  Most names take a short way: what pg_trgm makes of each
 * character, a letter in lower case or nothing, is asked once a backend, and
 * trigrams are put together of that.  A character that is not alone in what
 * becomes of it, or of which pg_trgm makes anything else, sends the whole name to
 * pg_trgm.
 */
#include "postgres.h"

#include "catalog/pg_collation.h"
#include "common/hashfn.h"
#include "fmgr.h"
#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"
#include "utils/formatting.h"
#include "utils/memutils.h"
#include "utils/pg_crc.h"

#include "base/compat.h"
#include "duplicates/core/similarity.h"
#include "duplicates/trigram.h"

#define ST_SORT sort_tokens
#define ST_ELEMENT_TYPE uint32
#define ST_COMPARE(a, b) (*(a) < *(b) ? -1 : *(a) > *(b) ? 1 : 0)
#define ST_SCOPE static
#define ST_DEFINE
#include "lib/sort_template.h"

PG_FUNCTION_INFO_V1(crm_deals_similarity);

/* What the table says of a character, else its lower case */
#define UNKNOWN		0
#define NO_WORD		1			/* it parts words */
#define ASK			2			/* pg_trgm has a way of its own with it */

/* The characters that it has room for; others are asked for */
#define N_CHARACTERS	0x10000

static uint16 *character_table = NULL;

/* ----------
 * pg_trgm's own
 * ----------
 */

static Datum *
ask_pg_trgm(text *name, int32 *n)
{
	static PGFunction extract = NULL;

	if (extract == NULL)
		extract = (PGFunction) load_external_function("$libdir/pg_trgm", "gin_extract_value_trgm", true, NULL);
	return (Datum *) DatumGetPointer(DirectFunctionCall2Coll(extract, DEFAULT_COLLATION_OID,
															 PointerGetDatum(name), PointerGetDatum(n)));
}

static void
make_room(TokenSet *set, int n)
{
	if (n <= set->allocated)
		return;
	if (set->tokens != NULL)
		pfree(set->tokens);
	set->allocated = Max(n, 2 * set->allocated);
	set->tokens = MemoryContextAllocHuge(set->memory, sizeof(uint32) * set->allocated);
}

static void
sort_and_unite(TokenSet *set)
{
	int			kept = 0;

	sort_tokens(set->tokens, set->n);
	for (int i = 0; i < set->n; i++)
		if (i == 0 || set->tokens[i] != set->tokens[kept - 1])
			set->tokens[kept++] = set->tokens[i];
	set->n = kept;
}

static void
read_by_pg_trgm(TokenSet *set, text *name)
{
	int32		n = 0;
	Datum	   *keys = ask_pg_trgm(name, &n);

	make_room(set, n);
	for (int i = 0; i < n; i++)
		set->tokens[i] = (uint32) DatumGetInt32(keys[i]);
	set->n = n;
	if (keys != NULL)
		pfree(keys);
	/* its order is that of signed or unsigned characters, as the platform has them */
	sort_and_unite(set);
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

static bool
is_utf8(void)
{
	return GetDatabaseEncoding() == PG_UTF8;
}

/* The character at the begin of a valid text: its number, and the bytes it takes */
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

/* As pg_trgm does it: three bytes as they are, more by a checksum */
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
 * What becomes of a character
 * ----------
 */

/*
 * Lower case may depend on the characters around: of a capital sigma on whether
 * it ends a word, of some letters on a mark that follows.  Such and whatever
 * is not known to be free of it are asked for.
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

/* A word of one letter has two trigrams, "  x" and " x ". */
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
		return ASK;
	keys = ask_pg_trgm(name, &n);
	if (n == 0)
		return NO_WORD;
	lower = str_tolower((char *) character.bytes, character.length, DEFAULT_COLLATION_OID);
	result = read_character((unsigned char *) lower, &length);
	if (lower[0] == '\0' || lower[length] != '\0' || result <= ASK || result >= N_CHARACTERS ||
		!has_trigrams_of(keys, n, result))
		return ASK;
	return (uint16) result;
}

static uint16
what_becomes_of(uint32 c)
{
	if (c >= N_CHARACTERS)
		return ASK;
	if (character_table[c] == UNKNOWN)
		character_table[c] = learn_character(c);
	return character_table[c];
}

/* ----------
 * The short way
 * ----------
 */

/* False where a character needs pg_trgm.  A word has a trigram more than letters: "  word ". */
static bool
read_characters(TokenSet *set, const unsigned char *name, const unsigned char *end)
{
	Character	before = blank;
	Character	last = blank;
	bool		in_word = false;
	int			n = 0;

	make_room(set, 2 * (end - name) + 1);
	while (name < end)
	{
		int			length;
		uint16		lower = what_becomes_of(read_character(name, &length));

		if (lower == ASK)
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
	sort_and_unite(set);
	return true;
}

/* ----------
 * Names
 * ----------
 */

TokenSet *
token_set_create(void)
{
	TokenSet   *set = palloc0(sizeof(TokenSet));

	set->memory = CurrentMemoryContext;
	return set;
}

void
token_set_read(TokenSet *set, text *name)
{
	const unsigned char *begin = (const unsigned char *) VARDATA_ANY(name);

	if (character_table == NULL)
		character_table = MemoryContextAllocZero(TopMemoryContext, sizeof(uint16) * N_CHARACTERS);
	if (!read_characters(set, begin, begin + VARSIZE_ANY_EXHDR(name)))
		read_by_pg_trgm(set, name);
}

float4
token_set_similarity(const TokenSet *a, const TokenSet *b)
{
	if (a->n == 0 || b->n == 0)
		return 0;
	return similarity_of(common_tokens(a->tokens, a->n, b->tokens, b->n, 0), a->n, b->n);
}

/* similarity(a, b) */
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
 * All of ASCII, and letters whose case and kind locales and encodings disagree
 * about.  What an encoding cannot write is passed over.
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
