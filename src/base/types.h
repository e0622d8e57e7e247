/*
 * types.h
 *		Types that more than one file speaks of; no functions.
 *
 * Data flows one way: statement -> rules -> log -> notify.
 */
#ifndef CRM_DEALS_TYPES_H
#define CRM_DEALS_TYPES_H

#include "access/tupdesc.h"
#include "utils/numeric.h"
#include "utils/timestamp.h"

#define ERRCODE_STALE_VERSION	MAKE_SQLSTATE('U', 'D', '0', '0', '1')

typedef enum DealStatus
{
	STATUS_OPEN,
	STATUS_WON,
	STATUS_LOST,
	STATUS_ABANDONED
} DealStatus;

#define N_STATUSES (STATUS_ABANDONED + 1)

/* The columns of deal that rules and log know by name (see catalog.c) */
typedef enum DealColumn
{
	DEAL_ID,
	DEAL_ORGANIZATION,
	DEAL_NAME,
	DEAL_PIPELINE_ID,
	DEAL_STAGE_ID,
	DEAL_STATUS,
	DEAL_AMOUNT,
	DEAL_CURRENCY,
	DEAL_PROBABILITY,
	DEAL_PROBABILITY_OVERRIDDEN,
	DEAL_EXPECTED_CLOSE_DATE,
	DEAL_CLOSED_AT,
	DEAL_LOST_REASON,
	DEAL_OWNER,
	DEAL_CUSTOM_FIELDS,
	DEAL_VERSION,
	DEAL_LAST_OPEN_STAGE_ID,
	DEAL_STAGE_ENTERED_AT,
	DEAL_CREATED_AT,
	DEAL_UPDATED_AT
} DealColumn;

#define N_DEAL_COLUMNS (DEAL_UPDATED_AT + 1)

/* The installed table deal, as this backend found it */
typedef struct DealTable
{
	Oid			relid;
	Oid			status_type;
	Oid			status_label[N_STATUSES];	/* OIDs of the enum's labels */
	AttrNumber	attnum[N_DEAL_COLUMNS];
} DealTable;

/* One version of a deal, deformed */
typedef struct DealRow
{
	const DealTable *table;
	TupleDesc	desc;
	Datum	   *values;
	bool	   *isnull;
} DealRow;

/* The dispatcher's name among consumers; _dispatcher() in SQL */
#define DISPATCHER_CONSUMER "crm_deals dispatcher"

struct Pipeline;
struct CustomFields;

/* A deal column or custom field that a stage asks for */
typedef struct RequiredField
{
	char	   *name;			/* as written: amount, custom_fields.KEY */
	char	   *custom_key;		/* KEY, or NULL for a column */
} RequiredField;

/* How a custom field is named beside columns, and its key in such a name */
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
	int32		position;
	DealStatus	status;
	Numeric		probability;
	bool		archived;
	int			n_required;
	RequiredField *required;	/* its own */
	int			n_allowed_from;
	int64	   *allowed_from;	/* listed moves into it; 0 is a start */
} Stage;

/* What happens to a deal whose name is like another's */
typedef enum DuplicatePolicy
{
	DUPLICATES_OFF,
	DUPLICATES_FLAG,
	DUPLICATES_REJECT
} DuplicatePolicy;

typedef struct Pipeline
{
	int64		id;
	char	   *organization;	/* NULL: for the whole system */
	char	   *name;
	char	   *currency;		/* or NULL */
	bool		is_active;
	bool		forbid_skipping;
	bool		forbid_backward;
	bool		forbid_unlisted;
	bool		lost_reason_required;
	DuplicatePolicy duplicate_policy;
	float4		duplicate_threshold;
	bool		keeps_names;	/* any pipeline of its organization looks for duplicates */
	bool		has_listed_start;
	int			n_stages;
	Stage	   *stages;			/* by position, archived ones included */
	int			n_lost_reasons;
	char	  **lost_reasons;	/* the active ones of its catalogue */
	const struct CustomFields *deal_fields;	/* what its deals' custom fields must be */
} Pipeline;

/* A rule that a write breaks; what check_move shows and what an error says */
typedef struct BrokenRule
{
	const char *rule;			/* name in check_move and deal_event.bypassed */
	const char *constraint;
	DealColumn	column;
	bool		is_gate;		/* may be overridden */
	const char *message;
	char	   *detail;
	const char *hint;			/* or NULL */
} BrokenRule;

#endif							/* CRM_DEALS_TYPES_H */
