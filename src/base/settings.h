/*
 * settings.h
 *		The settings crm_deals.*
 */
#ifndef CRM_DEALS_SETTINGS_H
#define CRM_DEALS_SETTINGS_H

/* crm_deals.notify */
typedef enum NotifyMode
{
	NOTIFY_OFF,
	NOTIFY_ON,
	NOTIFY_DISPATCH
} NotifyMode;

extern void settings_init(void);

extern char *setting_actor;
extern char *setting_organization;
extern char *setting_language;
extern char *setting_default_currency;
extern char *setting_default_lost_reason;
extern bool setting_enforce_gates;
extern bool setting_allow_truncate;
extern int	setting_notify;		/* a NotifyMode */
extern int	setting_notify_ids_only;	/* a boolean; an enum for its spelling */
extern int	setting_notify_limit;
extern int	setting_duplicate_limit;

/* Returns NULL for a text setting that is empty. */
#define setting_or_null(setting) \
	((setting) != NULL && (setting)[0] != '\0' ? (setting) : NULL)

#endif							/* CRM_DEALS_SETTINGS_H */
