/*
 * catalog.c
 *		Where the installed tables are, and the columns of deal by name.
 *
 * The tables belong to the user, who may drop them, recreate them or add
 * columns at any time. So a change of a relation ends what was found of it,
 * and the code looks it up by name again.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_enum.h"
#include "catalog/pg_sequence.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

#include "base/catalog.h"
#include "base/compat.h"
#include "base/relation_watch.h"

PG_FUNCTION_INFO_V1(crm_deals_check_installed);

/* TEXTOID also accepts varchar, ANYENUMOID any enum, ANYOID any type. */
static const struct
{
	const char *name;
	Oid			type;
}			columns[N_DEAL_COLUMNS] = {
	[DEAL_ID] = {"id", INT8OID},
	[DEAL_ORGANIZATION] = {"organization", TEXTOID},
	[DEAL_NAME] = {"name", TEXTOID},
	[DEAL_PIPELINE_ID] = {"pipeline_id", INT8OID},
	[DEAL_STAGE_ID] = {"stage_id", INT8OID},
	[DEAL_STATUS] = {"status", ANYENUMOID},
	[DEAL_AMOUNT] = {"amount", NUMERICOID},
	[DEAL_CURRENCY] = {"currency", TEXTOID},
	[DEAL_PROBABILITY] = {"probability", NUMERICOID},
	[DEAL_PROBABILITY_OVERRIDDEN] = {"probability_overridden", BOOLOID},
	[DEAL_EXPECTED_CLOSE_DATE] = {"expected_close_date", DATEOID},
	[DEAL_CLOSED_AT] = {"closed_at", TIMESTAMPTZOID},
	[DEAL_LOST_REASON] = {"lost_reason", TEXTOID},
	[DEAL_OWNER] = {"owner", ANYOID},
	[DEAL_CUSTOM_FIELDS] = {"custom_fields", JSONBOID},
	[DEAL_VERSION] = {"version", INT4OID},
	[DEAL_LAST_OPEN_STAGE_ID] = {"last_open_stage_id", INT8OID},
	[DEAL_STAGE_ENTERED_AT] = {"stage_entered_at", TIMESTAMPTZOID},
	[DEAL_CREATED_AT] = {"created_at", TIMESTAMPTZOID},
	[DEAL_UPDATED_AT] = {"updated_at", TIMESTAMPTZOID},
};

static const char *const status_names[N_STATUSES] = {
	[STATUS_OPEN] = "open",
	[STATUS_WON] = "won",
	[STATUS_LOST] = "lost",
	[STATUS_ABANDONED] = "abandoned",
};

/*
 * An OID that was found, and whether it still holds. The watch begins before
 * the look-up, so a change that arrives during the look-up counts.
 */
typedef struct Finding
{
	RelationWatch watch;		/* of the relation whose change ends it */
	bool		complete;
	Oid			oid;			/* what was found */
} Finding;

static DealTable deal;
static Finding deal_finding;
static Finding token;
static Finding owner;
static Finding event_sequence;

/* Returns whether the finding is complete and its relation has not changed since. */
static bool
still_holds(const Finding *finding)
{
	return finding->complete && relation_unchanged(&finding->watch);
}

/* Begins a finding that a change of the relation ends. */
static void
begin_finding(Finding *finding, Oid relid)
{
	finding->complete = false;
	relation_watch_begin(&finding->watch, relid);
}

/* Completes the finding and returns what was found. */
static Oid
end_finding(Finding *finding, Oid oid)
{
	finding->oid = oid;
	finding->complete = true;
	return oid;
}

/* Returns a relation of the schema crm_deals, or InvalidOid. */
static Oid
find_table(const char *name)
{
	Oid			schema = get_namespace_oid("crm_deals", true);

	return OidIsValid(schema) ? get_relname_relid(name, schema) : InvalidOid;
}

/* Returns whether the schema crm_deals has this table; that of accounts or contacts can be the host's. */
bool
is_table(const char *name)
{
	return OidIsValid(find_table(name));
}

/* Returns whether install() has made the tables. */
bool
is_installed(void)
{
	return OidIsValid(find_table("deal")) && OidIsValid(find_table("event_consumer"));
}

/* Returns a table of ours, or raises that install() has to run. */
Oid
installed_table(const char *name)
{
	Oid			relid = find_table(name);

	if (!OidIsValid(relid))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("table crm_deals.%s does not exist", name),
				 errdetail("The extension holds the code; its tables are made by install()."),
				 errhint("Run SELECT crm_deals.install().")));
	return relid;
}

/* Returns an index of ours, or InvalidOid. */
Oid
installed_index(const char *name)
{
	return find_table(name);
}

/* Returns the relation whose lock orders writers of deals against editors of stages. */
Oid
writers_token(void)
{
	Oid			relid;

	if (still_holds(&token))
		return token.oid;
	relid = installed_table("installation");
	begin_finding(&token, relid);
	return end_finding(&token, relid);
}

/* check_installed(): raises an error if install() has not run. */
Datum
crm_deals_check_installed(PG_FUNCTION_ARGS)
{
	(void) fcinfo;
	(void) installed_table("installation");
	(void) installed_table("deal");
	PG_RETURN_VOID();
}

/*
 * Refuses a sequence whose ids do not rise. Consumers rely on the order, and a
 * sequence that caches numbers gives old ones out late.
 */
static void
check_gives_ids_in_order(Oid sequence)
{
	HeapTuple	tuple = SearchSysCache1(SEQRELID, ObjectIdGetDatum(sequence));
	Form_pg_sequence form;
	bool		in_order;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for sequence %u", sequence);
	form = (Form_pg_sequence) GETSTRUCT(tuple);
	in_order = form->seqcache == 1 && form->seqincrement > 0 && !form->seqcycle;
	ReleaseSysCache(tuple);
	if (!in_order)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("the ids of events would not rise"),
				 errdetail("Their sequence caches numbers, counts down or cycles; consumers would miss events."),
				 errhint("Run ALTER TABLE crm_deals.deal_event ALTER COLUMN id"
						 " SET CACHE 1 SET INCREMENT 1 SET NO CYCLE.")));
}

/* Returns the sequence behind deal_event.id. */
Oid
event_id_sequence(void)
{
	Relation	log;
	Oid			sequence;

	if (still_holds(&event_sequence))
		return event_sequence.oid;
	log = table_open(installed_table("deal_event"), AccessShareLock);
	sequence = identity_sequence_of(log, get_attnum(RelationGetRelid(log), "id"));
	table_close(log, AccessShareLock);
	begin_finding(&event_sequence, sequence);
	check_gives_ids_in_order(sequence);
	return end_finding(&event_sequence, sequence);
}

/* Returns the role that owns the table deal. */
Oid
tables_owner(void)
{
	Oid			relid;
	HeapTuple	tuple;
	Oid			role;

	if (still_holds(&owner))
		return owner.oid;
	relid = installed_table("deal");
	begin_finding(&owner, relid);
	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relid));
	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for table crm_deals.deal");
	role = ((Form_pg_class) GETSTRUCT(tuple))->relowner;
	ReleaseSysCache(tuple);
	return end_finding(&owner, role);
}

/* Refuses a trigger on any relation but the installed ones of these names. */
static void
check_trigger_table(Relation relation, const char *const *tables)
{
	for (int i = 0; tables[i] != NULL; i++)
		if (RelationGetRelid(relation) == find_table(tables[i]))
			return;
	ereport(ERROR,
			(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
			 errmsg("this trigger function belongs to crm_deals.%s", tables[0]),
			 errdetail("It was called for table \"%s\".", RelationGetRelationName(relation)),
			 errtable(relation)));
}

/* Returns whether the event is of this moment and level. */
static bool
fired_at(TriggerEvent event, TriggerEvent moment)
{
	if (moment == ANY_STATEMENT)
		return TRIGGER_FIRED_FOR_STATEMENT(event);
	if (moment == ANY_ROW)
		return TRIGGER_FIRED_FOR_ROW(event);
	return (event & (TRIGGER_EVENT_ROW | TRIGGER_EVENT_TIMINGMASK)) == moment;
}

/* Returns the trigger's data, or refuses a call that is not what the function is made for. */
TriggerData *
trigger_data(FunctionCallInfo fcinfo, TriggerEvent moment, const char *const *tables)
{
	TriggerData *data = (TriggerData *) fcinfo->context;

	if (!CALLED_AS_TRIGGER(fcinfo) || !fired_at(data->tg_event, moment))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("this function is a trigger function of another kind")));
	if (tables != NULL)
		check_trigger_table(data->tg_relation, tables);
	return data;
}

/* Returns the OID of an enum's label, or InvalidOid. */
static Oid
enum_label(Oid type, const char *label)
{
	return GetSysCacheOid2(ENUMTYPOIDNAME, Anum_pg_enum_oid,
						   ObjectIdGetDatum(type), CStringGetDatum(label));
}

/* Returns whether a column's values have the type that the C code expects. */
static bool
has_type(Form_pg_attribute att, Oid type)
{
	if (type == ANYENUMOID)
		return type_is_enum(att->atttypid);
	return type == ANYOID || att->atttypid == type || (type == TEXTOID && att->atttypid == VARCHAROID);
}

/* Raises that somebody altered what the rules depend on. */
static void
raise_not_as_installed(const char *what)
{
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("%s of table crm_deals.deal is not as installed", what),
			 errhint("What the rules go by cannot be dropped, renamed or given another type.")));
}

/* Finds the number of each column that the code knows by name. */
static void
find_deal_columns(DealTable *found, TupleDesc desc)
{
	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i);

		if (att->attisdropped)
			continue;
		for (int column = 0; column < N_DEAL_COLUMNS; column++)
			if (strcmp(NameStr(att->attname), columns[column].name) == 0 && has_type(att, columns[column].type))
				found->attnum[column] = att->attnum;
	}
	for (int column = 0; column < N_DEAL_COLUMNS; column++)
		if (found->attnum[column] == 0)
			raise_not_as_installed(psprintf("column \"%s\"", columns[column].name));
}

/* Finds the labels of the enum deal_status. */
static void
find_status_labels(DealTable *found, TupleDesc desc)
{
	found->status_type = TupleDescAttr(desc, found->attnum[DEAL_STATUS] - 1)->atttypid;
	for (int status = 0; status < N_STATUSES; status++)
	{
		found->status_label[status] = enum_label(found->status_type, status_names[status]);
		if (!OidIsValid(found->status_label[status]))
			raise_not_as_installed(psprintf("status \"%s\"", status_names[status]));
	}
}

/* Reads columns and labels of deal, and keeps them until deal changes. */
static void
learn_deal_table(Relation relation)
{
	static const char *const tables[] = {"deal", NULL};
	DealTable	found = {.relid = RelationGetRelid(relation)};

	check_trigger_table(relation, tables);
	begin_finding(&deal_finding, found.relid);
	find_deal_columns(&found, RelationGetDescr(relation));
	find_status_labels(&found, RelationGetDescr(relation));
	deal = found;
	(void) end_finding(&deal_finding, found.relid);
}

/* Returns what is known of deal, and refuses any other relation. */
const DealTable *
deal_table(Relation relation)
{
	if (!still_holds(&deal_finding) || deal.relid != RelationGetRelid(relation))
		learn_deal_table(relation);
	return &deal;
}

/* Returns what is known of deal; it stays locked until the transaction ends. */
const DealTable *
deal_table_by_name(void)
{
	Relation	relation = table_open(installed_table("deal"), AccessShareLock);

	(void) deal_table(relation);
	table_close(relation, NoLock);
	return &deal;
}

/* Adds schema, table, column and constraint to an error report. */
int
err_column_constraint(Relation relation, AttrNumber column, const char *constraint)
{
	errtablecol(relation, column);
	err_generic_string(PG_DIAG_CONSTRAINT_NAME, constraint);
	return 0;
}

/* Returns the name of a column of deal. */
const char *
deal_column_name(DealColumn column)
{
	return columns[column].name;
}

/* Returns the status that a value of the enum stands for. */
DealStatus
deal_status_of(const DealTable *table, Datum value)
{
	for (int status = 0; status < N_STATUSES; status++)
		if (table->status_label[status] == DatumGetObjectId(value))
			return (DealStatus) status;
	elog(ERROR, "unknown deal_status %u", DatumGetObjectId(value));
}

/* Returns the name of a status. */
const char *
deal_status_name(DealStatus status)
{
	return status_names[status];
}

/* Returns the status of this name, or raises an error. */
DealStatus
deal_status_by_name(const char *name)
{
	for (int status = 0; status < N_STATUSES; status++)
		if (strcmp(status_names[status], name) == 0)
			return (DealStatus) status;
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_TEXT_REPRESENTATION),
			 errmsg("\"%s\" is no status of a deal", name)));
}
