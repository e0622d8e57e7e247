/*
 * custom_fields.h
 *		Checks custom fields against their definitions.
 */
#ifndef CRM_DEALS_CUSTOM_FIELDS_H
#define CRM_DEALS_CUSTOM_FIELDS_H

#include "config/pipeline_cache.h"
#include "utils/jsonb.h"

/*
 * Returns a line for each field that is not as its definition says, or NULL.
 * "old" is NULL for an insert; only keys that differ from it are checked.
 */
extern char *wrong_custom_fields(const CustomFields *definitions, Jsonb *old, Jsonb *new);

#endif							/* CRM_DEALS_CUSTOM_FIELDS_H */
