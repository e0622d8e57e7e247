/*
 * text_numbers.h
 *		Small numbers for texts that come again and again.
 */
#ifndef CRM_DEALS_TEXT_NUMBERS_H
#define CRM_DEALS_TEXT_NUMBERS_H

typedef struct TextNumbers TextNumbers;

#define NO_NUMBER	PG_UINT32_MAX

/* Lives in the current memory context */
extern TextNumbers *text_numbers_create(void);

/* From 1 on; 0 for NULL */
extern uint32 text_number(TextNumbers *numbers, const text *value);

/* NO_NUMBER where it has none */
extern uint32 text_number_if_known(TextNumbers *numbers, const text *value);

extern size_t text_numbers_bytes(const TextNumbers *numbers);

#endif							/* CRM_DEALS_TEXT_NUMBERS_H */
