/*
 * texts.c
 *		Small questions about texts.
 */
#include "postgres.h"

#include "fmgr.h"
#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"

#include "base/texts.h"

PG_FUNCTION_INFO_V1(crm_deals_is_blank);

/* Returns whether nothing is seen of a character: blanks, joiners, marks of direction, fillers, byte order marks. */
static bool
is_invisible(pg_wchar character)
{
	static const struct
	{
		pg_wchar	first;
		pg_wchar	last;
	}			ranges[] = {
		{0x0000, 0x0020}, {0x007F, 0x00A0}, {0x00AD, 0x00AD}, {0x034F, 0x034F}, {0x061C, 0x061C}, {0x115F, 0x1160},
		{0x1680, 0x1680}, {0x17B4, 0x17B5}, {0x180B, 0x180F}, {0x2000, 0x200F}, {0x2028, 0x202F}, {0x205F, 0x206F},
		{0x2800, 0x2800}, {0x3000, 0x3000}, {0x3164, 0x3164}, {0xFE00, 0xFE0F}, {0xFEFF, 0xFEFF}, {0xFFA0, 0xFFA0},
		{0xE0000, 0xE0FFF}
	};

	for (size_t i = 0; i < lengthof(ranges); i++)
		if (character <= ranges[i].last)
			return character >= ranges[i].first;
	return false;
}

/* Returns whether nothing is seen of the text.  Of encodings other than UTF-8 it knows the ASCII part. */
bool
is_blank(const char *text, int length)
{
	bool		is_utf8 = GetDatabaseEncoding() == PG_UTF8;
	int			step;

	for (int i = 0; i < length; i += step)
	{
		const unsigned char *character = (const unsigned char *) text + i;

		step = is_utf8 ? pg_encoding_mblen(PG_UTF8, text + i) : 1;
		if (step > length - i || (!is_utf8 && IS_HIGHBIT_SET(*character)) ||
			!is_invisible(step > 1 ? utf8_to_unicode(character) : *character))
			return false;
	}
	return true;
}

/* is_blank(text) */
Datum
crm_deals_is_blank(PG_FUNCTION_ARGS)
{
	text	   *value = PG_GETARG_TEXT_PP(0);

	PG_RETURN_BOOL(is_blank(VARDATA_ANY(value), VARSIZE_ANY_EXHDR(value)));
}

/* Returns the texts for a message: "a", "b". */
char *
quoted_list(char *const *texts, int n)
{
	StringInfoData list;

	initStringInfo(&list);
	for (int i = 0; i < n; i++)
		appendStringInfo(&list, "%s\"%s\"", i > 0 ? ", " : "", texts[i]);
	return list.data;
}
