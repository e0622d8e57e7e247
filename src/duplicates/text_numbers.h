/*
 * text_numbers.h
 *		Gives each different text a small number.
 */
#ifndef CRM_DEALS_TEXT_NUMBERS_H
#define CRM_DEALS_TEXT_NUMBERS_H

typedef struct TextNumbers TextNumbers;

#define NO_NUMBER	PG_UINT32_MAX

/* The table lives in the current memory context. */
extern TextNumbers *text_numbers_create(void);

/* The numbers begin with 1; NULL has 0. */
extern uint32 text_number(TextNumbers *numbers, const text *value);

/* The same, but NO_NUMBER if the text has none yet */
extern uint32 text_number_if_known(TextNumbers *numbers, const text *value);

extern size_t text_numbers_bytes(const TextNumbers *numbers);

#endif							/* CRM_DEALS_TEXT_NUMBERS_H */
