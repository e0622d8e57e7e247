/*
 * search_path.c
 *		Setting search_path for a while.
 */
#include "postgres.h"

#include "catalog/namespace.h"
#include "utils/guc.h"

#include "base/search_path.h"

/* Sets search_path, unless it is so already; returns what search_path_restore() needs. */
int
search_path_set(const char *path)
{
	int			level;

	if (strcmp(namespace_search_path, path) == 0)
		return 0;
	level = NewGUCNestLevel();
	(void) set_config_option("search_path", path, PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE,
							 true, 0, false);
	return level;
}

/* Puts search_path back. */
void
search_path_restore(int level)
{
	if (level != 0)
		AtEOXact_GUC(true, level);
}
