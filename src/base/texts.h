/*
 * texts.h
 *		Small questions about texts.
 */
#ifndef CRM_DEALS_TEXTS_H
#define CRM_DEALS_TEXTS_H

/* Returns whether nothing is seen of the text: it is empty, or of blanks and other invisible characters. */
extern bool is_blank(const char *text, int length);
extern char *quoted_list(char *const *texts, int n);

#endif							/* CRM_DEALS_TEXTS_H */
