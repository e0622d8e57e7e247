/*
 * types.h
 *		What the code knows of the table deal: its statuses, its columns, its rows.
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

/* The columns of deal that the code knows by name; catalog.c has the names. */
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

#endif							/* CRM_DEALS_TYPES_H */
