/*
 * trigram.c
 *		The bridge to pg_trgm: what it takes a name for.
 *
 * Trigrams come from pg_trgm's own code, found in its library, whatever schema
 * the extension is in.  Names of plain ASCII take a short way, by a table of
 * what pg_trgm makes of each character, which it is asked for once a backend.
 */
#include "postgres.h"

#include "catalog/pg_collation.h"
#include "common/hashfn.h"
#include "fmgr.h"
#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "compat.h"
#include "similarity.h"
#include "trigram.h"

#define ST_SORT sort_tokens
#define ST_ELEMENT_TYPE uint32
#define ST_COMPARE(a, b) (*(a) < *(b) ? -1 : *(a) > *(b) ? 1 : 0)
#define ST_SCOPE static
#define ST_DEFINE
#include "lib/sort_template.h"

PG_FUNCTION_INFO_V1(crm_deals_similarity);

#define N_ASCII 128

/* What the table says of a character, besides what a letter or digit becomes */
#define NO_WORD	'\0'			/* it parts words */
#define ASK		'\xff'			/* pg_trgm has a way of its own with it */

static char word_character[N_ASCII];

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
 * The short way
 * ----------
 */

static inline uint32
trigram(unsigned char a, unsigned char b, unsigned char c)
{
	return (uint32) a << 16 | (uint32) b << 8 | c;
}

/* A word of one letter has two trigrams, "  x" and " x ". */
static char
learn_character(char c)
{
	int32		n = 0;
	Datum	   *keys = ask_pg_trgm(cstring_to_text_with_len(&c, 1), &n);
	uint32		low;
	uint32		high;
	unsigned char lower;

	if (n == 0)
		return NO_WORD;
	if (n != 2)
		return ASK;
	low = Min((uint32) DatumGetInt32(keys[0]), (uint32) DatumGetInt32(keys[1]));
	high = Max((uint32) DatumGetInt32(keys[0]), (uint32) DatumGetInt32(keys[1]));
	lower = low & 0xff;
	if (lower <= ' ' || lower >= N_ASCII || low != trigram(' ', ' ', lower) || high != trigram(' ', lower, ' '))
		return ASK;
	return (char) lower;
}

static void
learn_characters(void)
{
	static bool learnt = false;

	if (learnt)
		return;
	for (int c = 1; c < N_ASCII; c++)
		word_character[c] = learn_character((char) c);
	learnt = true;
}

/* False where a character needs pg_trgm.  A word has a trigram more than letters: "  word ". */
static bool
read_ascii(TokenSet *set, const unsigned char *name, int length)
{
	unsigned char before = ' ';
	unsigned char last = ' ';
	bool		in_word = false;
	int			n = 0;

	make_room(set, 2 * length + 1);
	for (int i = 0; i < length; i++)
	{
		unsigned char c = name[i];
		char		lower;

		if (c >= N_ASCII || (lower = word_character[c]) == ASK)
			return false;
		if (lower != NO_WORD)
		{
			set->tokens[n++] = trigram(before, last, lower);
			before = last;
			last = lower;
			in_word = true;
		}
		else if (in_word)
		{
			set->tokens[n++] = trigram(before, last, ' ');
			before = last = ' ';
			in_word = false;
		}
	}
	if (in_word)
		set->tokens[n++] = trigram(before, last, ' ');
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
	learn_characters();
	if (!read_ascii(set, (unsigned char *) VARDATA_ANY(name), VARSIZE_ANY_EXHDR(name)))
		read_by_pg_trgm(set, name);
}

float4
similarity_of_names(text *a, text *b)
{
	TokenSet   *of_a = token_set_create();
	TokenSet   *of_b = token_set_create();

	token_set_read(of_a, a);
	token_set_read(of_b, b);
	/* a name without letters and digits is like none */
	if (of_a->n == 0 || of_b->n == 0)
		return 0;
	return similarity_of(common_tokens(of_a->tokens, of_a->n, of_b->tokens, of_b->n, 0), of_a->n, of_b->n);
}

/* _similarity(a, b) */
Datum
crm_deals_similarity(PG_FUNCTION_ARGS)
{
	PG_RETURN_FLOAT4(similarity_of_names(PG_GETARG_TEXT_PP(0), PG_GETARG_TEXT_PP(1)));
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
