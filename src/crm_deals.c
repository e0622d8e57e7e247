/*
 * crm_deals.c
 *		Module entry.
 */
#include "postgres.h"

#include "fmgr.h"

#include "base/compat.h"
#include "base/relation_watch.h"
#include "base/settings.h"
#include "duplicates/duplicate_check.h"
#include "events/notify.h"

MODULE_MAGIC("crm_deals", CRM_DEALS_VERSION);

void		_PG_init(void);

void
_PG_init(void)
{
	settings_init();
	relation_watch_init();
	notify_init();
	duplicate_check_init();
}
