/*
 * compat.h
 *		The one file that looks at PG_VERSION_NUM: each difference between
 *		PostgreSQL 15 and 19 gets the newer name here.
 */
#ifndef CRM_DEALS_COMPAT_H
#define CRM_DEALS_COMPAT_H

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/tableam.h"
#include "access/tupdesc.h"
#include "catalog/dependency.h"
#include "nodes/tidbitmap.h"
#include "tcop/pquery.h"
#include "utils/acl.h"
#include "utils/jsonb.h"

#if PG_VERSION_NUM < 150000
#error "crm_deals needs PostgreSQL 15 or later"
#endif

/* 16 moved the parts of varlena values to a header of their own (d952373a9) */
#if PG_VERSION_NUM >= 160000
#include "varatt.h"
#endif

/* 16 put the per-catalog privilege checks behind object_aclcheck (c727f511b) */
#if PG_VERSION_NUM < 160000
#define role_may_execute(function, role) \
	(pg_proc_aclcheck(function, role, ACL_EXECUTE) == ACLCHECK_OK)
#else
#include "catalog/pg_proc.h"
#define role_may_execute(function, role) \
	(object_aclcheck(ProcedureRelationId, function, role, ACL_EXECUTE) == ACLCHECK_OK)
#endif

/* 16 can grant a membership without the right to SET ROLE (3d14e171e) */
#if PG_VERSION_NUM < 160000
#define role_may_become(role, other) is_member_of_role(role, other)
#else
#define role_may_become(role, other) member_can_set_role(role, other)
#endif

/* 17 passes the open relation (5b2d3ab5c) */
#if PG_VERSION_NUM < 170000
#define identity_sequence_of(relation, attnum) \
	getIdentitySequence(RelationGetRelid(relation), attnum, true)
#else
#define identity_sequence_of(relation, attnum) \
	getIdentitySequence(relation, attnum, true)
#endif

/* 19 gives the hook every base relation, and its range table entry: build_simple_rel_hook */
#if PG_VERSION_NUM < 190000
#include "optimizer/plancat.h"
#define build_simple_rel_hook get_relation_info_hook
#define build_simple_rel_hook_type get_relation_info_hook_type
#define REL_HOOK_ARGUMENTS PlannerInfo *root, Oid table, bool inhparent, RelOptInfo *rel
#define call_rel_hook(hook) hook(root, table, inhparent, rel)
#else
#include "optimizer/pathnode.h"
#define REL_HOOK_ARGUMENTS PlannerInfo *root, RelOptInfo *rel, RangeTblEntry *rte
#define call_rel_hook(hook) hook(root, rel, rte)
#endif

/* 17 moved it (28f3915b7) */
#if PG_VERSION_NUM < 170000
#define my_lxid() (MyProc->lxid)
#else
#define my_lxid() (MyProc->vxid.lxid)
#endif

/* 17 numbers backends by their place in the array of processes (024c52111, ab355e3a8) */
#if PG_VERSION_NUM < 170000
#include "storage/sinvaladt.h"
#define process_of_vxid(vxid) BackendIdGetProc((vxid).backendId)
#else
#include "storage/procarray.h"
#define process_of_vxid(vxid) ProcNumberGetProc((vxid).procNumber)
#endif

/* 18 lets a library say its name and its version (9324c8c58) */
#if PG_VERSION_NUM < 180000
#define MODULE_MAGIC(module_name, module_version) PG_MODULE_MAGIC
#else
#define MODULE_MAGIC(module_name, module_version) \
	PG_MODULE_MAGIC_EXT(.name = module_name, .version = module_version)
#endif

/* 18 says before a function's type that it does not return (28e04155f) */
#if PG_VERSION_NUM < 180000
#define pg_noreturn pg_attribute_noreturn()
#endif

/* 18 no longer asks whether a portal runs once (3eea7a0c9) */
#if PG_VERSION_NUM < 180000
#define portal_run_all(portal, receiver, completion) \
	PortalRun(portal, FETCH_ALL, false, true, receiver, receiver, completion)
#else
#define portal_run_all(portal, receiver, completion) \
	PortalRun(portal, FETCH_ALL, false, receiver, receiver, completion)
#endif

/* 18 runs AFTER triggers as the role that queued them (01463e1cc) */
#define AFTER_TRIGGERS_RUN_AS_QUEUER (PG_VERSION_NUM >= 180000)

/* 19 keeps the result of pushJsonbValue in a state of its own (0986e95161) */
#if PG_VERSION_NUM < 190000
typedef struct JsonbBuilder
{
	JsonbParseState *parseState;
	JsonbValue *result;
} JsonbBuilder;
#define jsonb_push(builder, token, value) \
	((builder)->result = pushJsonbValue(&(builder)->parseState, token, value))
#else
typedef JsonbInState JsonbBuilder;
#define jsonb_push(builder, token, value) \
	pushJsonbValue(builder, token, value)
#endif

/* 19 wants a hand-made tuple descriptor declared complete */
#if PG_VERSION_NUM < 190000
#define TupleDescFinalize(desc) ((void) (desc))
#endif

/* 18 counts what an index scan does for EXPLAIN (0fbceae84) */
#if PG_VERSION_NUM < 180000
#define bitmap_index_scan_begin(index, snapshot) index_beginscan_bitmap(index, snapshot, 1)
#else
#define bitmap_index_scan_begin(index, snapshot) index_beginscan_bitmap(index, snapshot, NULL, 1)
#endif

/* 19 gives scans flags */
#if PG_VERSION_NUM < 190000
#define index_fetch_begin(table) table_index_fetch_begin(table)
#define sequential_scan_begin(table, snapshot) table_beginscan(table, snapshot, 0, NULL)
#else
#define index_fetch_begin(table) table_index_fetch_begin(table, SO_NONE)
#define sequential_scan_begin(table, snapshot) table_beginscan(table, snapshot, 0, NULL, SO_NONE)
#endif

/* 18 gives the offsets of a bitmap's page apart from the page (bfe56cdf9) */
typedef struct BitmapPage
{
	BlockNumber block;
	bool		lossy;			/* any of the page's tuples */
	int			n;
	OffsetNumber offsets[MaxHeapTuplesPerPage];
} BitmapPage;

#if PG_VERSION_NUM < 180000
typedef TBMIterator BitmapPages;
#define bitmap_pages_begin(bitmap) tbm_begin_iterate(bitmap)
#define bitmap_pages_end(pages) tbm_end_iterate(pages)

static inline bool
bitmap_pages_next(BitmapPages *pages, BitmapPage *page)
{
	TBMIterateResult *found = tbm_iterate(pages);

	if (found == NULL)
		return false;
	page->block = found->blockno;
	page->lossy = found->ntuples < 0;
	page->n = found->ntuples;
	if (!page->lossy)
		memcpy(page->offsets, found->offsets, sizeof(OffsetNumber) * found->ntuples);
	return true;
}
#else
typedef TBMPrivateIterator BitmapPages;
#define bitmap_pages_begin(bitmap) tbm_begin_private_iterate(bitmap)
#define bitmap_pages_end(pages) tbm_end_private_iterate(pages)

static inline bool
bitmap_pages_next(BitmapPages *pages, BitmapPage *page)
{
	TBMIterateResult found;

	if (!tbm_private_iterate(pages, &found))
		return false;
	page->block = found.blockno;
	page->lossy = found.lossy;
	page->n = found.lossy ? 0 : tbm_extract_page_tuple(&found, page->offsets, MaxHeapTuplesPerPage);
	return true;
}
#endif

#endif							/* CRM_DEALS_COMPAT_H */
