/*
 * pipeline_cache.h
 *		Pipelines, stages, gates and custom fields, per backend.
 *
 * Each trigger and function that uses the cache calls refresh_pipelines()
 * once, when it begins, so that it sees one state until it ends. What these
 * functions return stays readable until the transaction ends.
 */
#ifndef CRM_DEALS_PIPELINE_CACHE_H
#define CRM_DEALS_PIPELINE_CACHE_H

#include "base/types.h"
#include "nodes/pg_list.h"

typedef enum CustomFieldType
{
	FIELD_TEXT,
	FIELD_NUMBER,
	FIELD_BOOLEAN,
	FIELD_DATE,
	FIELD_SELECT,
	FIELD_MULTISELECT
} CustomFieldType;

typedef struct CustomField
{
	char	   *key;
	CustomFieldType type;
	bool		required;
	int			n_options;
	char	  **options;
} CustomField;

typedef struct CustomFields
{
	int			n;
	CustomField *fields;
} CustomFields;

struct Pipeline;

/* A deal column or custom field that a stage requires */
typedef struct RequiredField
{
	char	   *name;			/* as written: amount, custom_fields.KEY */
	char	   *custom_key;		/* KEY, or NULL for a column */
} RequiredField;

/* A custom field among columns is named custom_fields.KEY; this returns KEY, or NULL for a column. */
#define CUSTOM_FIELDS_PREFIX "custom_fields."

static inline char *
custom_field_key(const char *name)
{
	size_t		length = strlen(CUSTOM_FIELDS_PREFIX);

	return strncmp(name, CUSTOM_FIELDS_PREFIX, length) == 0 ? unconstify(char *, name) + length : NULL;
}

typedef struct Stage
{
	int64		id;
	struct Pipeline *pipeline;
	char	   *key;
	char	   *name;
	int			n_labels;
	char	  **labels;			/* its name in other languages */
	int32		position;
	DealStatus	status;
	Numeric		probability;
	bool		archived;
	int			n_required;
	RequiredField *required;	/* its own */
	int			n_allowed_from;
	int64	   *allowed_from;	/* listed moves into it; 0 is a start */
} Stage;

/* What happens to a deal whose name is similar to another's */
typedef enum DuplicatePolicy
{
	DUPLICATES_OFF,
	DUPLICATES_FLAG,
	DUPLICATES_REJECT
} DuplicatePolicy;

typedef struct Pipeline
{
	int64		id;
	char	   *organization;	/* or NULL: the whole system */
	char	   *name;
	char	   *currency;		/* or NULL */
	bool		is_active;
	bool		forbid_skipping;
	bool		forbid_backward;
	bool		forbid_unlisted;
	bool		lost_reason_required;
	DuplicatePolicy duplicate_policy;
	float4		duplicate_threshold;
	bool		keeps_names;	/* a pipeline of its organization looks for duplicates, so deal_name has the names */
	bool		has_listed_start;
	int			n_stages;
	Stage	   *stages;			/* by position, archived ones included */
	int			n_lost_reasons;
	char	  **lost_reasons;	/* the active ones of its catalogue */
	const CustomFields *deal_fields;	/* the definitions of its deals' custom fields */
} Pipeline;

/* Empties the cache if anything changed; comes before all other calls. */
extern void refresh_pipelines(void);

/* These return NULL if there is none. */
extern const Stage *find_stage(int64 stage_id);
extern const Pipeline *find_pipeline(int64 pipeline_id);
extern const Pipeline *default_pipeline(const char *organization);

extern const Stage *first_stage(const Pipeline *pipeline, DealStatus status);
extern const Stage *first_open_stage(const Pipeline *pipeline);
extern const Stage *last_open_stage(const Pipeline *pipeline);
extern const Stage *next_open_stage(const Pipeline *pipeline, int32 position);

extern const CustomFields *custom_fields_of(const char *entity, const char *organization);

/* Raises an error (22023) if the number is no threshold, and returns it. */
static inline float4
checked_threshold(float4 threshold)
{
	if (!(threshold > 0 && threshold <= 1))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("a similarity threshold must be above 0 and at most 1")));
	return threshold;
}

#endif							/* CRM_DEALS_PIPELINE_CACHE_H */
