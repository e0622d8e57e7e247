/*
 * pipeline_cache.h
 *		Pipelines, stages, gates and custom fields, per backend.
 *
 * Each trigger and function that uses it calls refresh_pipelines() once, at its
 * begin: until it ends it goes by one state.  What is returned stays readable
 * until the transaction ends.
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

/* Forgets what was invalidated; before any of the others */
extern void refresh_pipelines(void);

/* NULL where there is none */
extern const Stage *find_stage(int64 stage_id);
extern const Pipeline *find_pipeline(int64 pipeline_id);
extern const Pipeline *default_pipeline(const char *organization);

/* A stage by key, else by name; NULL where there is none */
extern const Stage *find_stage_by_text(const Pipeline *pipeline, const char *text);

extern const Stage *first_open_stage(const Pipeline *pipeline);
extern const Stage *last_open_stage(const Pipeline *pipeline);
extern const Stage *next_open_stage(const Pipeline *pipeline, int32 position);

extern const CustomFields *custom_fields_of(const char *entity, const char *organization);

#endif							/* CRM_DEALS_PIPELINE_CACHE_H */
