/*
 * text_numbers.c
 *		Gives each different text a small number.
 */
#include "postgres.h"

#include "common/hashfn.h"
#include "utils/datum.h"

#include "base/compat.h"
#include "duplicates/text_numbers.h"

typedef struct NumberedText
{
	const text *value;			/* hash key */
	uint32		number;
	char		status;
} NumberedText;

/* Returns the hash of a text's bytes. */
static inline uint32
hash_text(const text *value)
{
	return hash_bytes((const unsigned char *) VARDATA_ANY(value), VARSIZE_ANY_EXHDR(value));
}

#define SH_PREFIX numbered
#define SH_ELEMENT_TYPE NumberedText
#define SH_KEY_TYPE const text *
#define SH_KEY value
#define SH_HASH_KEY(table, key) hash_text(key)
#define SH_EQUAL(table, a, b) datum_image_eq(PointerGetDatum(a), PointerGetDatum(b), false, -1)
#define SH_SCOPE static inline
#define SH_DECLARE
#define SH_DEFINE
#include "lib/simplehash.h"

struct TextNumbers
{
	numbered_hash *hash;
	MemoryContext memory;
	uint32		last;
	size_t		bytes;
};

/* Makes an empty table. */
TextNumbers *
text_numbers_create(void)
{
	TextNumbers *numbers = palloc0(sizeof(TextNumbers));

	numbers->memory = CurrentMemoryContext;
	numbers->hash = numbered_create(CurrentMemoryContext, 16, NULL);
	return numbers;
}

/* Returns a copy that lives as long as the table. */
static const text *
keep(TextNumbers *numbers, const text *value)
{
	text	   *copy = MemoryContextAlloc(numbers->memory, VARSIZE_ANY(value));

	memcpy(copy, value, VARSIZE_ANY(value));
	numbers->bytes += VARSIZE_ANY(value) + 3 * sizeof(NumberedText);
	return copy;
}

/* Returns the number of the text, which may be a new one. */
uint32
text_number(TextNumbers *numbers, const text *value)
{
	NumberedText *entry;
	bool		found;

	if (value == NULL)
		return 0;
	entry = numbered_insert(numbers->hash, value, &found);
	if (!found)
	{
		entry->value = keep(numbers, value);
		entry->number = ++numbers->last;
	}
	return entry->number;
}

/* Returns the number of the text, without giving it one. */
uint32
text_number_if_known(TextNumbers *numbers, const text *value)
{
	NumberedText *entry;

	if (value == NULL)
		return 0;
	entry = numbered_lookup(numbers->hash, value);
	return entry != NULL ? entry->number : NO_NUMBER;
}

/* Returns the memory that the table takes. */
size_t
text_numbers_bytes(const TextNumbers *numbers)
{
	return numbers->bytes;
}
