/*
 * stage_lookup.c
 *		Which stage a text or an id means, and the error if it means none.
 */
#include "postgres.h"

#include "base/texts.h"
#include "config/stage_lookup.h"

/* Returns the pipeline's stage of this key, or NULL. */
static const Stage *
stage_by_key(const Pipeline *pipeline, const char *key)
{
	for (int i = 0; i < pipeline->n_stages; i++)
		if (strcmp(pipeline->stages[i].key, key) == 0)
			return &pipeline->stages[i];
	return NULL;
}

/* Returns whether this is the stage's name. */
static bool
has_name(const Stage *stage, const char *name)
{
	return strcmp(stage->name, name) == 0;
}

/* Returns whether this is the stage's name in any language. */
static bool
has_label(const Stage *stage, const char *label)
{
	for (int i = 0; i < stage->n_labels; i++)
		if (strcmp(stage->labels[i], label) == 0)
			return true;
	return false;
}

/* Returns the stage that is called so; of two, the one that is in use. */
static const Stage *
stage_called(const Pipeline *pipeline, const char *text, bool (*is_called) (const Stage *stage, const char *text))
{
	const Stage *called = NULL;

	for (int i = 0; i < pipeline->n_stages; i++)
		if (is_called(&pipeline->stages[i], text) && (called == NULL || called->archived))
			called = &pipeline->stages[i];
	return called;
}

/* Returns the stage whose id the text is. */
static const Stage *
stage_by_digits(const char *text)
{
	int64		id;

	if (text[0] == '\0' || strspn(text, "0123456789") != strlen(text))
		return NULL;
	errno = 0;
	id = strtoll(text, NULL, 10);
	return errno == 0 ? find_stage(id) : NULL;
}

/* Takes the text for a key, else for a name, else for a label, else for an id. */
const Stage *
find_stage_by_text(const Pipeline *pipeline, const char *text)
{
	const Stage *stage = stage_by_key(pipeline, text);

	if (stage == NULL)
		stage = stage_called(pipeline, text, has_name);
	if (stage == NULL)
		stage = stage_called(pipeline, text, has_label);
	return stage != NULL ? stage : stage_by_digits(text);
}

/* Returns the keys of the stages that take deals, for a message. */
static char *
list_of_stages(const Pipeline *pipeline)
{
	char	  **keys = palloc(sizeof(char *) * Max(pipeline->n_stages, 1));
	int			n = 0;

	for (int i = 0; i < pipeline->n_stages; i++)
		if (!pipeline->stages[i].archived)
			keys[n++] = pipeline->stages[i].key;
	return quoted_list(keys, n);
}

/* Returns the stage that the text means, or raises an error that names the stages. */
const Stage *
stage_by_text(const Pipeline *pipeline, const char *text)
{
	const Stage *stage = find_stage_by_text(pipeline, text);

	if (stage == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_NO_DATA_FOUND),
				 errmsg("stage \"%s\" does not exist in pipeline \"%s\"", text, pipeline->name),
				 errdetail("Its stages are %s.", list_of_stages(pipeline))));
	return stage;
}

/* Returns the stage of this id, or raises an error. */
const Stage *
known_stage(int64 stage_id)
{
	const Stage *stage = find_stage(stage_id);

	if (stage == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_NO_DATA_FOUND),
				 errmsg("stage %lld does not exist", (long long) stage_id)));
	return stage;
}
