/*
 * pipeline_cache.c
 *		Pipelines, stages, gates and custom fields, per backend.
 *
 * Entries are read on first use, with the latest snapshot. Under REPEATABLE
 * READ the transaction's own snapshot would fill the cache with old rows,
 * which later transactions would find. A change of any of these tables
 * invalidates the whole cache through the relcache: in this backend at the
 * next command, in others at commit.
 *
 * The watch begins before anything is read. So an invalidation that arrives
 * during the read is not lost; the entry then serves once.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "utils/hsearch.h"
#include "utils/inval.h"
#include "utils/memutils.h"

#include "base/arrays.h"
#include "base/catalog.h"
#include "base/installation.h"
#include "base/owner_query.h"
#include "base/relation_watch.h"
#include "base/spi_result.h"
#include "config/pipeline_cache.h"

PG_FUNCTION_INFO_V1(crm_deals_forget_pipelines);

typedef struct PipelineEntry
{
	int64		id;				/* hash key */
	Pipeline   *pipeline;
} PipelineEntry;

typedef struct StageEntry
{
	int64		id;				/* hash key */
	Stage	   *stage;
} StageEntry;

typedef struct DefaultEntry
{
	char	   *organization;
	int64		pipeline_id;	/* 0: none */
} DefaultEntry;

typedef struct FieldsEntry
{
	const char *entity;
	char	   *organization;
	const CustomFields *fields;
} FieldsEntry;

static struct
{
	MemoryContext memory;
	HTAB	   *pipelines;
	HTAB	   *stages;
	List	   *defaults;		/* of DefaultEntry */
	List	   *fields;			/* of FieldsEntry */
}			cache;

static RelationWatch watch;

/*
 * Invalidates the cache, before the statement and after it. In between, a
 * user's trigger may fill the cache with rows that an error then rolls back;
 * at the end of the failed (sub)transaction PostgreSQL replays only what was
 * queued before.
 */
Datum
crm_deals_forget_pipelines(PG_FUNCTION_ARGS)
{
	static const char *const tables[] = {
		"pipeline", "stage", "stage_transition", "lost_reason", "custom_field", "event_consumer", NULL
	};

	(void) trigger_data(fcinfo, ANY_STATEMENT, tables);
	CacheInvalidateRelcacheByRelid(writers_token());
	return PointerGetDatum(NULL);
}

/*
 * Empties the cache if anything changed. Functions up the call stack may still
 * read the old entries, so their memory lives until the transaction ends.
 */
void
refresh_pipelines(void)
{
	HASHCTL		control = {.keysize = sizeof(int64)};

	check_installation();
	if (relation_unchanged(&watch) && cache.stages != NULL)
		return;
	check_versions();
	relation_watch_begin(&watch, writers_token());

	if (cache.memory != NULL)
		MemoryContextSetParent(cache.memory, TopTransactionContext);
	memset(&cache, 0, sizeof(cache));
	cache.memory = AllocSetContextCreate(CacheMemoryContext, "crm_deals pipelines",
										 ALLOCSET_SMALL_SIZES);
	control.hcxt = cache.memory;
	control.entrysize = sizeof(PipelineEntry);
	cache.pipelines = hash_create("crm_deals pipelines", 16, &control,
								  HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	control.entrysize = sizeof(StageEntry);
	cache.stages = hash_create("crm_deals stages", 64, &control,
							   HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
}

/* ----------
 * Reading rows of SPI_tuptable into the cache's memory
 * ----------
 */

/* Returns a copy in the cache's memory, or NULL. */
static char *
keep_text(const char *text)
{
	return text != NULL ? MemoryContextStrdup(cache.memory, text) : NULL;
}

/* Returns the texts of an array that are not NULL, in the cache's memory. */
static char **
keep_text_array(uint64 row, int column, int *n)
{
	bool		isnull;
	Datum		value = row_value(row, column, &isnull);
	List	   *texts = isnull ? NIL : text_array_elements(value);
	char	  **kept = MemoryContextAlloc(cache.memory, sizeof(char *) * Max(list_length(texts), 1));
	ListCell   *cell;

	*n = list_length(texts);
	foreach(cell, texts)
		kept[foreach_current_index(cell)] = keep_text(lfirst(cell));
	return kept;
}

/* Returns the numbers of an array, in the cache's memory. */
static int64 *
keep_int64_array(uint64 row, int column, int *n)
{
	ArrayType  *array = DatumGetArrayTypeP(needed_value("stage_transition", row, column));
	int64	   *kept;

	*n = int8_array_length(array);
	kept = MemoryContextAlloc(cache.memory, sizeof(int64) * Max(*n, 1));
	memcpy(kept, int8_array_elements(array), sizeof(int64) * *n);
	return kept;
}

/* Returns a number in the cache's memory. */
static Numeric
keep_numeric(const char *table, uint64 row, int column)
{
	Datum		value = needed_value(table, row, column);
	MemoryContext caller = MemoryContextSwitchTo(cache.memory);
	Numeric		kept = DatumGetNumericCopy(value);

	MemoryContextSwitchTo(caller);
	return kept;
}

/* ----------
 * Custom fields
 * ----------
 */

/* An organization's own definition hides the system-wide one of the same key. */
static OwnerQuery fields_query = {
	.sql = "SELECT DISTINCT ON (f.key) f.key::pg_catalog.text, f.type::pg_catalog.text, f.required::pg_catalog.bool,"
	" ARRAY(SELECT CASE WHEN pg_catalog.jsonb_typeof(o.element) OPERATOR(pg_catalog.=) 'string'"
	"              THEN o.element OPERATOR(pg_catalog.#>>) '{}'"
	"              ELSE o.element OPERATOR(pg_catalog.->>) 'value' END"
	"       FROM pg_catalog.jsonb_array_elements(f.options) AS o (element)) "
	"FROM crm_deals.custom_field AS f WHERE f.entity OPERATOR(pg_catalog.=) $1"
	" AND (f.organization IS NULL OR f.organization OPERATOR(pg_catalog.=) $2)"
	" ORDER BY f.key, f.organization NULLS LAST",
	.nargs = 2,
	.argtypes = {TEXTOID, TEXTOID},
	.returns = RETURNS(TEXTOID, TEXTOID, BOOLOID, TEXTARRAYOID),
};

/* Returns the type of a custom field of this name. */
static CustomFieldType
field_type_by_name(const char *name)
{
	static const char *const names[] = {"text", "number", "boolean", "date", "select", "multiselect"};

	for (size_t i = 0; i < lengthof(names); i++)
		if (strcmp(names[i], name) == 0)
			return (CustomFieldType) i;
	raise_not_as_installed("custom_field", psprintf("A row has the type \"%s\", which is none.", name));
}

/* Reads the definitions in SPI_tuptable. */
static void
read_fields(CustomFields *fields)
{
	fields->n = (int) SPI_processed;
	fields->fields = MemoryContextAllocZero(cache.memory,
											sizeof(CustomField) * Max(fields->n, 1));
	for (int i = 0; i < fields->n; i++)
	{
		CustomField *field = &fields->fields[i];

		field->key = keep_text(needed_text("custom_field", i, 1));
		field->type = field_type_by_name(needed_text("custom_field", i, 2));
		field->required = row_bool(i, 3);
		field->options = keep_text_array(i, 4, &field->n_options);
	}
}

/* Reads the definitions of an entity's custom fields; SPI is connected. */
static const CustomFields *
load_fields(const char *entity, const char *organization)
{
	Datum		arguments[2] = {CStringGetTextDatum(entity),
	organization ? CStringGetTextDatum(organization) : (Datum) 0};
	CustomFields *fields = MemoryContextAllocZero(cache.memory, sizeof(CustomFields));

	owner_query_read_latest(&fields_query, arguments, organization ? NULL : " n");
	read_fields(fields);
	return fields;
}

/* ----------
 * Pipelines and stages
 * ----------
 */

static OwnerQuery pipeline_query = {
	.sql = "SELECT p.organization::pg_catalog.text, p.name::pg_catalog.text,"
	" p.currency::pg_catalog.text, p.is_active::pg_catalog.bool, p.forbid_skipping::pg_catalog.bool,"
	" p.forbid_backward::pg_catalog.bool, p.forbid_unlisted::pg_catalog.bool, p.lost_reason_required::pg_catalog.bool,"
	" ARRAY(SELECT r.name::pg_catalog.text FROM crm_deals.lost_reason AS r"
	"       WHERE r.pipeline_id OPERATOR(pg_catalog.=) p.id AND r.is_active),"
	" p.duplicate_policy::pg_catalog.text, p.duplicate_threshold::pg_catalog.float4,"
	" EXISTS (SELECT FROM crm_deals.pipeline AS o WHERE o.duplicate_policy OPERATOR(pg_catalog.<>) 'off'"
	"         AND (o.organization OPERATOR(pg_catalog.=) p.organization"
	"              OR (o.organization IS NULL AND p.organization IS NULL))) "
	"FROM crm_deals.pipeline AS p WHERE p.id OPERATOR(pg_catalog.=) $1",
	.nargs = 1,
	.argtypes = {INT8OID},
	.returns = RETURNS(TEXTOID, TEXTOID, TEXTOID, BOOLOID, BOOLOID, BOOLOID, BOOLOID, BOOLOID, TEXTARRAYOID, TEXTOID,
					   FLOAT4OID, BOOLOID),
};

static OwnerQuery stages_query = {
	.sql = "SELECT s.id::pg_catalog.int8, s.key::pg_catalog.text, s.name::pg_catalog.text, s.position::pg_catalog.int4,"
	" s.status::pg_catalog.text, s.probability::pg_catalog.numeric,"
	" s.archived_at IS NOT NULL, s.required_fields::pg_catalog.text[],"
	" ARRAY(SELECT coalesce(t.from_stage_id, 0)::pg_catalog.int8 FROM crm_deals.stage_transition AS t"
	"       WHERE t.to_stage_id OPERATOR(pg_catalog.=) s.id),"
	" ARRAY(SELECT l.value FROM pg_catalog.jsonb_each_text(s.labels) AS l (key, value) ORDER BY l.key) "
	"FROM crm_deals.stage AS s WHERE s.pipeline_id OPERATOR(pg_catalog.=) $1 ORDER BY s.position",
	.nargs = 1,
	.argtypes = {INT8OID},
	.returns = RETURNS(INT8OID, TEXTOID, TEXTOID, INT4OID, TEXTOID, NUMERICOID, BOOLOID, TEXTARRAYOID, INT8ARRAYOID,
					   TEXTARRAYOID),
};

static OwnerQuery pipeline_of_stage_query = {
	.sql = "SELECT s.pipeline_id::pg_catalog.int8 FROM crm_deals.stage AS s WHERE s.id OPERATOR(pg_catalog.=) $1",
	.nargs = 1,
	.argtypes = {INT8OID},
	.returns = RETURNS(INT8OID),
};

/* Reads the fields that the stage requires. */
static void
read_required_fields(Stage *stage, uint64 row, int column)
{
	char	  **names = keep_text_array(row, column, &stage->n_required);

	stage->required = MemoryContextAlloc(cache.memory,
										 sizeof(RequiredField) * Max(stage->n_required, 1));
	for (int i = 0; i < stage->n_required; i++)
	{
		stage->required[i].name = names[i];
		stage->required[i].custom_key = custom_field_key(names[i]);
	}
}

/* Reads one row of stages_query. */
static void
read_stage(Stage *stage, Pipeline *pipeline, uint64 row)
{
	stage->pipeline = pipeline;
	stage->id = row_int64(row, 1);
	stage->key = keep_text(needed_text("stage", row, 2));
	stage->name = keep_text(needed_text("stage", row, 3));
	stage->position = DatumGetInt32(needed_value("stage", row, 4));
	stage->status = deal_status_by_name(needed_text("stage", row, 5));
	stage->probability = keep_numeric("stage", row, 6);
	stage->archived = row_bool(row, 7);
	read_required_fields(stage, row, 8);
	stage->allowed_from = keep_int64_array(row, 9, &stage->n_allowed_from);
	stage->labels = keep_text_array(row, 10, &stage->n_labels);
	for (int i = 0; i < stage->n_allowed_from; i++)
		if (stage->allowed_from[i] == 0 && !stage->archived &&
			(stage->status == STATUS_OPEN || stage->status == STATUS_WON))
			pipeline->has_listed_start = true;
}

/* Returns the policy of this name. */
static DuplicatePolicy
duplicate_policy_by_name(const char *name)
{
	if (strcmp(name, "off") == 0)
		return DUPLICATES_OFF;
	return strcmp(name, "reject") == 0 ? DUPLICATES_REJECT : DUPLICATES_FLAG;
}

/* Reads the row of pipeline_query. */
static void
read_pipeline(Pipeline *pipeline)
{
	pipeline->organization = keep_text(row_text(0, 1));
	pipeline->name = keep_text(needed_text("pipeline", 0, 2));
	pipeline->currency = keep_text(row_text(0, 3));
	pipeline->is_active = row_bool(0, 4);
	pipeline->forbid_skipping = row_bool(0, 5);
	pipeline->forbid_backward = row_bool(0, 6);
	pipeline->forbid_unlisted = row_bool(0, 7);
	pipeline->lost_reason_required = row_bool(0, 8);
	pipeline->lost_reasons = keep_text_array(0, 9, &pipeline->n_lost_reasons);
	pipeline->duplicate_policy = duplicate_policy_by_name(needed_text("pipeline", 0, 10));
	pipeline->duplicate_threshold = checked_threshold(DatumGetFloat4(needed_value("pipeline", 0, 11)));
	pipeline->keeps_names = row_bool(0, 12);
}

/* Enters a pipeline and its stages into the hash tables. */
static void
enter_pipeline(Pipeline *pipeline)
{
	PipelineEntry *entry = hash_search(cache.pipelines, &pipeline->id, HASH_ENTER, NULL);

	entry->pipeline = pipeline;
	for (int i = 0; i < pipeline->n_stages; i++)
	{
		StageEntry *stage = hash_search(cache.stages, &pipeline->stages[i].id, HASH_ENTER, NULL);

		stage->stage = &pipeline->stages[i];
	}
}

/* Reads a pipeline into the cache; returns NULL if there is none. */
static Pipeline *
load_pipeline(int64 pipeline_id)
{
	Datum		argument = Int64GetDatum(pipeline_id);
	Pipeline   *pipeline = NULL;

	SPI_connect();
	owner_query_read_latest(&pipeline_query, &argument, NULL);
	if (SPI_processed == 1)
	{
		pipeline = MemoryContextAllocZero(cache.memory, sizeof(Pipeline));
		pipeline->id = pipeline_id;
		read_pipeline(pipeline);

		owner_query_read_latest(&stages_query, &argument, NULL);
		pipeline->n_stages = (int) SPI_processed;
		pipeline->stages = MemoryContextAllocZero(cache.memory,
												  sizeof(Stage) * Max(pipeline->n_stages, 1));
		for (int i = 0; i < pipeline->n_stages; i++)
			read_stage(&pipeline->stages[i], pipeline, i);
		pipeline->deal_fields = load_fields("deal", pipeline->organization);
		enter_pipeline(pipeline);
	}
	SPI_finish();
	return pipeline;
}

/* Returns the id of the stage's pipeline, 0 if there is no such stage. */
static int64
look_up_pipeline_of_stage(int64 stage_id)
{
	Datum		argument = Int64GetDatum(stage_id);
	int64		pipeline_id = 0;

	SPI_connect();
	owner_query_read_latest(&pipeline_of_stage_query, &argument, NULL);
	if (SPI_processed == 1)
		pipeline_id = row_int64(0, 1);
	SPI_finish();
	return pipeline_id;
}

/* Returns the pipeline of this id, or NULL. */
const Pipeline *
find_pipeline(int64 pipeline_id)
{
	PipelineEntry *entry;

	Assert(cache.pipelines != NULL);
	entry = hash_search(cache.pipelines, &pipeline_id, HASH_FIND, NULL);
	return entry != NULL ? entry->pipeline : load_pipeline(pipeline_id);
}

/* Returns the stage of this id, or NULL. */
const Stage *
find_stage(int64 stage_id)
{
	StageEntry *entry;
	const Pipeline *pipeline;

	Assert(cache.stages != NULL);
	entry = hash_search(cache.stages, &stage_id, HASH_FIND, NULL);
	if (entry != NULL)
		return entry->stage;

	pipeline = load_pipeline(look_up_pipeline_of_stage(stage_id));
	for (int i = 0; pipeline != NULL && i < pipeline->n_stages; i++)
		if (pipeline->stages[i].id == stage_id)
			return &pipeline->stages[i];
	return NULL;
}

/* ----------
 * The order of the stages
 * ----------
 */

/* Returns the first stage of this status that takes deals, or NULL. */
const Stage *
first_stage(const Pipeline *pipeline, DealStatus status)
{
	for (int i = 0; i < pipeline->n_stages; i++)
		if (pipeline->stages[i].status == status && !pipeline->stages[i].archived)
			return &pipeline->stages[i];
	return NULL;
}

/* Returns the pipeline's first open stage, or NULL. */
const Stage *
first_open_stage(const Pipeline *pipeline)
{
	return first_stage(pipeline, STATUS_OPEN);
}

/* Returns the first open stage after the position, or NULL. */
const Stage *
next_open_stage(const Pipeline *pipeline, int32 position)
{
	for (int i = 0; i < pipeline->n_stages; i++)
	{
		const Stage *stage = &pipeline->stages[i];

		if (stage->status == STATUS_OPEN && !stage->archived && stage->position > position)
			return stage;
	}
	return NULL;
}

/* Returns the pipeline's last open stage, or NULL. */
const Stage *
last_open_stage(const Pipeline *pipeline)
{
	const Stage *last = NULL;

	for (int i = 0; i < pipeline->n_stages; i++)
		if (pipeline->stages[i].status == STATUS_OPEN && !pipeline->stages[i].archived)
			last = &pipeline->stages[i];
	return last;
}

/* ----------
 * Default pipelines, fields of other entities
 * ----------
 */

/* Returns whether both are the same organization; NULL stands for the whole system. */
static bool
same_organization(const char *a, const char *b)
{
	if (a == NULL || b == NULL)
		return a == b;
	return strcmp(a, b) == 0;
}

static OwnerQuery default_query = {
	.sql = "SELECT p.id::pg_catalog.int8 FROM crm_deals.pipeline AS p WHERE p.is_default"
	" AND (p.organization OPERATOR(pg_catalog.=) $1 OR (p.organization IS NULL AND $1 IS NULL))",
	.nargs = 1,
	.argtypes = {TEXTOID},
	.returns = RETURNS(INT8OID),
};

/* Reads the default pipeline of exactly this organization; returns 0 if there is none. */
static int64
load_default(const char *organization)
{
	Datum		argument = organization ? CStringGetTextDatum(organization) : (Datum) 0;
	DefaultEntry *entry = MemoryContextAllocZero(cache.memory, sizeof(DefaultEntry));
	MemoryContext caller;

	SPI_connect();
	owner_query_read_latest(&default_query, &argument, organization ? NULL : "n");
	if (SPI_processed == 1)
		entry->pipeline_id = row_int64(0, 1);
	SPI_finish();

	entry->organization = keep_text(organization);
	caller = MemoryContextSwitchTo(cache.memory);
	cache.defaults = lappend(cache.defaults, entry);
	MemoryContextSwitchTo(caller);
	return entry->pipeline_id;
}

/* Returns the default pipeline of exactly this organization, or NULL. */
const Pipeline *
default_pipeline(const char *organization)
{
	ListCell   *cell;
	int64		pipeline_id = -1;

	foreach(cell, cache.defaults)
	{
		DefaultEntry *entry = lfirst(cell);

		if (same_organization(entry->organization, organization))
			pipeline_id = entry->pipeline_id;
	}
	if (pipeline_id < 0)
		pipeline_id = load_default(organization);
	return pipeline_id > 0 ? find_pipeline(pipeline_id) : NULL;
}

/* Reads the definitions of an entity's custom fields into the cache. */
static const CustomFields *
enter_fields(const char *entity, const char *organization)
{
	FieldsEntry *entry = MemoryContextAllocZero(cache.memory, sizeof(FieldsEntry));
	MemoryContext caller;

	SPI_connect();
	entry->fields = load_fields(entity, organization);
	SPI_finish();

	entry->entity = keep_text(entity);
	entry->organization = keep_text(organization);
	caller = MemoryContextSwitchTo(cache.memory);
	cache.fields = lappend(cache.fields, entry);
	MemoryContextSwitchTo(caller);
	return entry->fields;
}

/* Returns the definitions of an entity's custom fields in an organization. */
const CustomFields *
custom_fields_of(const char *entity, const char *organization)
{
	ListCell   *cell;

	foreach(cell, cache.fields)
	{
		FieldsEntry *entry = lfirst(cell);

		if (strcmp(entry->entity, entity) == 0 &&
			same_organization(entry->organization, organization))
			return entry->fields;
	}
	return enter_fields(entity, organization);
}
