#ifndef CRM_DEALS_CURRENCY_H
#define CRM_DEALS_CURRENCY_H

extern bool is_currency_code(const char *code);

#endif							/* CRM_DEALS_CURRENCY_H */
