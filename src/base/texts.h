/*
 * texts.h
 *		Small questions about texts.
 */
#ifndef CRM_DEALS_TEXTS_H
#define CRM_DEALS_TEXTS_H

extern bool is_blank(const char *text, int length);
extern char *quoted_list(char *const *texts, int n);

#endif							/* CRM_DEALS_TEXTS_H */
