/*
 * undo_merge.c
 *		Puts back what a merge moved, for undo_batch().
 *
 * Only what is still where the merge put it goes back. If the survivor was
 * itself merged on, that is the deal which it is a part of now.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"

#include "base/arrays.h"
#include "base/caller_query.h"
#include "base/owner_query.h"
#include "base/spi_result.h"
#include "functions/repoint.h"
#include "functions/undo_merge.h"

typedef struct Return
{
	int64		event_id;
	int64		duplicate;
	int64		place;			/* the deal that has what moved; 0: none that the caller sees */
	Datum		moved;			/* jsonb: the record of the merge */
	const char *ticket;
	StringInfoData stays;		/* sentences about what stays */
} Return;

/* Adds a sentence. */
static void
add_sentence(Return *back, const char *sentence)
{
	appendStringInfo(&back->stays, "%s%s", back->stays.len > 0 ? " " : "", sentence);
}

/* ----------
 * The record
 * ----------
 */

/* The record is used once: the merge is over. */
static OwnerQuery take_record_query = {
	.sql = "DELETE FROM crm_deals.deal_merge AS m WHERE m.event_id OPERATOR(pg_catalog.=) $1 RETURNING m.moved",
	.nargs = 1,
	.argtypes = {INT8OID},
	.returns = RETURNS(JSONBOID),
};

static CallerQuery place_query = {
	.sql = "SELECT e.deal_id, crm_deals_internal.place_of_deal(e.merged_into)"
	" FROM crm_deals.deal_event AS e WHERE e.id OPERATOR(pg_catalog.=) $1",
	.nargs = 1,
	.argtypes = {INT8OID},
	.returns = RETURNS(INT8OID, INT8OID),
};

/* Reads the event and the record of the merge; returns false if there is no record. */
static bool
read_record(Return *back)
{
	Datum		event = Int64GetDatum(back->event_id);

	caller_query(&place_query, &event, NULL);
	if (SPI_processed == 0)
		return false;
	back->duplicate = result_int64(1);
	back->place = result_int64(2);
	if (owner_query_run(&take_record_query, &event, NULL) == 0)
		return false;
	back->moved = needed_value("deal_merge", 0, 1);
	return true;
}

/* ----------
 * References
 * ----------
 */

static CallerQuery references_query = {
	.sql = "SELECT r.row OPERATOR(pg_catalog.->>) 'table', r.row OPERATOR(pg_catalog.->>) 'column',"
	" CASE WHEN r.row OPERATOR(pg_catalog.?) 'ids' THEN ARRAY(SELECT i.id::pg_catalog.int8 FROM"
	"  pg_catalog.jsonb_array_elements_text(r.row OPERATOR(pg_catalog.->) 'ids') AS i (id)) END"
	" FROM pg_catalog.jsonb_array_elements($1 OPERATOR(pg_catalog.->) 'references') AS r (row)",
	.nargs = 1,
	.argtypes = {JSONBOID},
	.returns = RETURNS(TEXTOID, TEXTOID, INT8ARRAYOID),
};

/* Returns the foreign key, or NULL if it is gone. */
static Reference *
find_reference(List *references, const char *table, const char *column)
{
	ListCell   *cell;

	foreach(cell, references)
	{
		Reference  *reference = lfirst(cell);

		if (strcmp(reference->table_name, table) == 0 && strcmp(reference->column, column) == 0)
			return reference;
	}
	return NULL;
}

/* Puts back the rows of one table of ours; says so if some are elsewhere now. */
static void
return_rows(Return *back, const Reference *reference, ArrayType *recorded)
{
	Repointing	repointing = {.from = back->place, .to = back->duplicate, .rows = recorded, .path = back->ticket,
	.what = "parted"};
	ArrayType  *returned = NULL;
	int			missing = int8_array_length(recorded);

	if (reference != NULL && back->place != 0 && repoint_reference(reference, &repointing, &returned))
		missing -= int8_array_length(returned);
	if (missing > 0 && reference != NULL && back->place != 0)
		add_sentence(back, psprintf("%d of %d rows of %s are gone or elsewhere.", missing,
									int8_array_length(recorded), reference->table_name));
}

/* Puts back the references of our tables, and names the others. */
static void
return_references(Return *back)
{
	List	   *references = references_to_deal();
	SPITupleTable *rows;
	uint64		n;
	StringInfoData others;

	initStringInfo(&others);
	caller_query(&references_query, &back->moved, NULL);
	rows = SPI_tuptable;
	n = SPI_processed;
	for (uint64 i = 0; i < n; i++)
	{
		char	   *table = SPI_getvalue(rows->vals[i], rows->tupdesc, 1);
		bool		isnull;
		Datum		recorded = SPI_getbinval(rows->vals[i], rows->tupdesc, 3, &isnull);

		if (isnull)
			appendStringInfo(&others, "%s%s", others.len > 0 ? ", " : "", table);
		else
			return_rows(back, find_reference(references, table, SPI_getvalue(rows->vals[i], rows->tupdesc, 2)),
						DatumGetArrayTypePCopy(recorded));
	}
	if (others.len > 0)
		add_sentence(back, psprintf("What refers to it in %s stays with the survivor.", others.data));
}

/* ----------
 * Stakeholders and the note
 * ----------
 */

/* The stakeholders that later merges of the survivor found in both deals; $1 is the event of this merge. */
static OwnerQuery shared_later_query = {
	.sql = "WITH RECURSIVE way AS ("
	"  SELECT e.merged_into AS deal_id FROM crm_deals.deal_event AS e WHERE e.id OPERATOR(pg_catalog.=) $1"
	"  UNION"
	"  SELECT e.merged_into FROM way AS w JOIN crm_deals.deal_event AS e"
	"   ON e.deal_id OPERATOR(pg_catalog.=) w.deal_id AND e.kind OPERATOR(pg_catalog.=) 'merged')"
	" SELECT coalesce(pg_catalog.jsonb_agg(s.row OPERATOR(pg_catalog.->) 'contact'), '[]')"
	" FROM way AS w JOIN crm_deals.deal_event AS e ON e.deal_id OPERATOR(pg_catalog.=) w.deal_id"
	"  AND e.kind OPERATOR(pg_catalog.=) 'merged'"
	" JOIN crm_deals.deal_merge AS m ON m.event_id OPERATOR(pg_catalog.=) e.id"
	" CROSS JOIN LATERAL pg_catalog.jsonb_path_query(m.moved, '$.stakeholders.shared[*]') AS s (row)",
	.nargs = 1,
	.argtypes = {INT8OID},
	.returns = RETURNS(JSONBOID),
};

static CallerQuery stakeholders_query = {
	.sql = "SELECT crm_deals_internal.return_stakeholders($1, $2, $3 OPERATOR(pg_catalog.->) 'stakeholders', $4, $5),"
	" (SELECT pg_catalog.count(*) FROM pg_catalog.jsonb_path_query($3, '$.stakeholders.*[*]'))",
	.nargs = 5,
	.argtypes = {INT8OID, INT8OID, JSONBOID, JSONBOID, TEXTOID},
	.returns = RETURNS(INT8OID, INT8OID),
};

static CallerQuery note_query = {
	.sql = "SELECT crm_deals_internal.delete_kept_notes($1, $2,"
	" ($3 OPERATOR(pg_catalog.#>>) '{note,id}')::pg_catalog.int8, $5)",
	.nargs = 5,
	.argtypes = {INT8OID, INT8OID, JSONBOID, JSONBOID, TEXTOID},
	.returns = RETURNS(BOOLOID),
};

/* Puts back the stakeholders and takes the note away that was made of the notes. */
static void
return_rest(Return *back)
{
	Datum		values[5] = {Int64GetDatum(back->place), Int64GetDatum(back->duplicate), back->moved, 0,
	CStringGetTextDatum(back->ticket)};
	char		nulls[] = {back->place == 0 ? 'n' : ' ', ' ', ' ', ' ', ' ', '\0'};
	Datum		event = Int64GetDatum(back->event_id);
	bool		isnull;

	(void) owner_query_run(&shared_later_query, &event, NULL);
	values[3] = result_column(1, &isnull);
	caller_query(&stakeholders_query, values, nulls);
	if (result_int64(1) < result_int64(2) && back->place != 0)
		add_sentence(back, psprintf("%lld of %lld stakeholders are gone or elsewhere.",
									(long long) (result_int64(2) - result_int64(1)), (long long) result_int64(2)));
	if (back->place == 0)
	{
		add_sentence(back, "The survivor is gone, or hidden from you, and what it got with it.");
		return;
	}
	caller_query(&note_query, values, nulls);
	if (!result_bool(1))
		add_sentence(back, "The note that was made of its notes was changed, and stays.");
}

/* ----------
 * What only the owner of the tables may write
 * ----------
 */

static OwnerQuery return_aliases_query = {
	.sql = "UPDATE crm_deals.deal_alias AS a SET deal_id = $2"
	" WHERE a.deal_id OPERATOR(pg_catalog.=) $1"
	" AND a.old_id OPERATOR(pg_catalog.=) ANY (SELECT i.id::pg_catalog.int8 FROM"
	"  pg_catalog.jsonb_array_elements_text($3 OPERATOR(pg_catalog.->) 'aliases') AS i (id))",
	.nargs = 4,
	.argtypes = {INT8OID, INT8OID, JSONBOID, INT8OID},
};

static OwnerQuery end_alias_query = {
	.sql = "DELETE FROM crm_deals.deal_alias AS a WHERE a.old_id OPERATOR(pg_catalog.=) $2",
	.nargs = 4,
	.argtypes = {INT8OID, INT8OID, JSONBOID, INT8OID},
};

/*
 * A pair that somebody dismissed stays dismissed. Another one is flagged again,
 * unless the other deal has another name now: then the names were compared when
 * the duplicate came back.
 */
static OwnerQuery return_flags_query = {
	.sql = "INSERT INTO crm_deals.deal_duplicate AS f"
	" (deal_id, other_deal_id, similarity, found_at, resolution, resolved_by, resolved_at)"
	" SELECT r.deal_id, r.other_deal_id, r.similarity, r.found_at, r.resolution, r.resolved_by, r.resolved_at"
	" FROM pg_catalog.jsonb_array_elements($3 OPERATOR(pg_catalog.->) 'flags') AS w (flag)"
	" CROSS JOIN LATERAL crm_deals_internal.old_row(NULL::crm_deals.deal_duplicate, w.flag) AS r"
	" JOIN crm_deals.deal AS a ON a.id OPERATOR(pg_catalog.=) r.deal_id"
	" JOIN crm_deals.deal AS b ON b.id OPERATOR(pg_catalog.=) r.other_deal_id"
	" WHERE r.resolution OPERATOR(pg_catalog.=) 'dismissed' OR NOT EXISTS (SELECT FROM crm_deals.deal_event AS e"
	"  WHERE (e.deal_id OPERATOR(pg_catalog.=) a.id OR e.deal_id OPERATOR(pg_catalog.=) b.id)"
	"   AND e.deal_id OPERATOR(pg_catalog.<>) $2 AND e.id OPERATOR(pg_catalog.>) $4"
	"   AND NOT e.changes OPERATOR(pg_catalog.?) 'id' AND e.changes OPERATOR(pg_catalog.?) 'name')"
	" ON CONFLICT (least(deal_id, other_deal_id), greatest(deal_id, other_deal_id)) DO UPDATE"
	"  SET deal_id = excluded.deal_id, other_deal_id = excluded.other_deal_id, found_at = excluded.found_at,"
	"  resolution = excluded.resolution, resolved_by = excluded.resolved_by, resolved_at = excluded.resolved_at",
	.nargs = 4,
	.argtypes = {INT8OID, INT8OID, JSONBOID, INT8OID},
};

/* Puts back aliases and flags, and ends the alias of the duplicate. */
static void
return_as_owner(Return *back)
{
	Datum		values[4] = {Int64GetDatum(back->place), Int64GetDatum(back->duplicate), back->moved,
	Int64GetDatum(back->event_id)};

	(void) owner_query_run(&return_aliases_query, values, NULL);
	(void) owner_query_run(&end_alias_query, values, NULL);
	(void) owner_query_run(&return_flags_query, values, NULL);
}

/* Puts back what the merge moved; see undo_merge.h. */
char *
undo_merge(int64 event_id, const char *ticket)
{
	Return		back = {.event_id = event_id, .ticket = ticket};

	initStringInfo(&back.stays);
	if (!read_record(&back))
		return "What the merge moved is not recorded, and stays.";
	return_references(&back);
	return_rest(&back);
	return_as_owner(&back);
	return back.stays.len > 0 ? back.stays.data : NULL;
}
