/*
 * texts.c
 *		Small questions about texts.
 */
#include "postgres.h"

#include "lib/stringinfo.h"

#include "base/texts.h"

/* Returns whether the text holds nothing but white space. */
bool
is_blank(const char *text, int length)
{
	for (int i = 0; i < length; i++)
		if (strchr(" \t\r\n\f\v", text[i]) == NULL)
			return false;
	return true;
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
