/*
 * settings.c
 *		The settings crm_deals.*
 */
#include "postgres.h"

#include <limits.h>

#include "utils/guc.h"

#include "base/currency.h"
#include "base/settings.h"

char	   *setting_actor = NULL;
char	   *setting_organization = NULL;
char	   *setting_language = NULL;
char	   *setting_default_currency = NULL;
char	   *setting_default_lost_reason = NULL;
bool		setting_enforce_gates = true;
bool		setting_allow_truncate = false;
int			setting_notify = NOTIFY_ON;
int			setting_notify_ids_only = false;
int			setting_notify_limit = 100;
int			setting_duplicate_limit = 20;

static const struct config_enum_entry notify_modes[] = {
	{"on", NOTIFY_ON, false},
	{"off", NOTIFY_OFF, false},
	{"dispatch", NOTIFY_DISPATCH, false},
	{"true", NOTIFY_ON, true},
	{"false", NOTIFY_OFF, true},
	{"yes", NOTIFY_ON, true},
	{"no", NOTIFY_OFF, true},
	{"1", NOTIFY_ON, true},
	{"0", NOTIFY_OFF, true},
	{NULL, 0, false}
};

static const struct config_enum_entry notify_payloads[] = {
	{"full", false, false},
	{"ids", true, false},
	{NULL, 0, false}
};

/* Refuses a default currency that is no code of ISO 4217. */
static bool
check_currency(char **newval, void **extra, GucSource source)
{
	(void) extra;
	(void) source;
	if (is_currency_code(*newval))
		return true;
	GUC_check_errdetail("\"%s\" is not an ISO 4217 currency code.", *newval);
	return false;
}

/* Defines a setting that holds a text and that any session may set. */
static void
define_text(const char *name, const char *what, char **variable, const char *boot,
			GucStringCheckHook check)
{
	DefineCustomStringVariable(name, what, NULL, variable, boot,
							   PGC_USERSET, 0, check, NULL, NULL);
}

/* Defines all settings; LOAD and the first call of a function come here. */
void
settings_init(void)
{
	define_text("crm_deals.actor",
				"Who is named as the actor of a change, else current_user.",
				&setting_actor, "", NULL);
	define_text("crm_deals.organization",
				"The organization whose pipelines are meant by name and by default.",
				&setting_organization, "", NULL);
	define_text("crm_deals.language",
				"The language of labels, such as de-AT; falls back to de, then to the name.",
				&setting_language, "", NULL);
	define_text("crm_deals.default_currency",
				"The currency of a deal whose pipeline has none.",
				&setting_default_currency, "EUR", check_currency);
	define_text("crm_deals.default_lost_reason",
				"The reason given to deals that become lost because their stage does.",
				&setting_default_lost_reason, "", NULL);

	DefineCustomBoolVariable("crm_deals.enforce_gates",
							 "Off: gates and required fields are recorded as bypassed, not enforced.",
							 NULL, &setting_enforce_gates, true,
							 PGC_SUSET, 0, NULL, NULL, NULL);
	DefineCustomBoolVariable("crm_deals.allow_truncate",
							 "On: TRUNCATE of deals and of their log is permitted, for test suites.",
							 NULL, &setting_allow_truncate, false,
							 PGC_SUSET, 0, NULL, NULL, NULL);
	DefineCustomEnumVariable("crm_deals.notify",
							 "Whether NOTIFY sends changes of stage and status: in the transaction, not at all,"
							 " or after the transaction by a background worker.",
							 NULL, &setting_notify, NOTIFY_ON, notify_modes,
							 PGC_USERSET, 0, NULL, NULL, NULL);
	DefineCustomEnumVariable("crm_deals.notify_payload",
							 "What a notification carries: full, or ids only.",
							 NULL, &setting_notify_ids_only, false, notify_payloads,
							 PGC_USERSET, 0, NULL, NULL, NULL);
	DefineCustomIntVariable("crm_deals.notify_limit",
							"Deals of one transaction that are notified one by one; the rest in a summary.",
							NULL, &setting_notify_limit, 100, 0, INT_MAX,
							PGC_USERSET, 0, NULL, NULL, NULL);
	DefineCustomIntVariable("crm_deals.duplicate_limit",
							"Most similar deals that a written deal is flagged against.",
							NULL, &setting_duplicate_limit, 20, 0, INT_MAX,
							PGC_USERSET, 0, NULL, NULL, NULL);
	MarkGUCPrefixReserved("crm_deals");
}
