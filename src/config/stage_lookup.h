/*
 * stage_lookup.h
 *		Which stage a text or an id means, and the error if it means none.
 */
#ifndef CRM_DEALS_STAGE_LOOKUP_H
#define CRM_DEALS_STAGE_LOOKUP_H

#include "config/pipeline_cache.h"

/* Returns NULL if the text means no stage. */
extern const Stage *find_stage_by_text(const Pipeline *pipeline, const char *text);

/* These raise an error instead. */
extern const Stage *stage_by_text(const Pipeline *pipeline, const char *text);
extern const Stage *known_stage(int64 stage_id);

#endif							/* CRM_DEALS_STAGE_LOOKUP_H */
