/*
 * crm_deals.c
 *		Module entry.
 */
#include "postgres.h"

#include "fmgr.h"

#include "catalog.h"
#include "duplicates.h"
#include "generation.h"
#include "name_index.h"
#include "notify.h"
#include "pipeline_cache.h"
#include "settings.h"

PG_MODULE_MAGIC;

void		_PG_init(void);

void
_PG_init(void)
{
	settings_init();
	catalog_init();
	generation_init();
	name_index_init();
	pipeline_cache_init();
	notify_init();
	duplicates_init();
}
