/*
 * currency.c
 *		The ISO 4217 currency codes.
 *
 * The last five, BGN, CUC, HRK, SLL and ZWL, are withdrawn: deals of the last
 * ten years can still carry them.
 */
#include "postgres.h"

#include "base/currency.h"

static const char codes[] =
"AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BHD BIF BMD BND BOB BOV "
"BRL BSD BTN BWP BYN BZD CAD CDF CHE CHF CHW CLF CLP CNY COP COU CRC CUP CVE "
"CZK DJF DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GNF GTQ GYD "
"HKD HNL HTG HUF IDR ILS INR IQD IRR ISK JMD JOD JPY KES KGS KHR KMF KPW KRW "
"KWD KYD KZT LAK LBP LKR LRD LSL LYD MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR "
"MWK MXN MXV MYR MZN NAD NGN NIO NOK NPR NZD OMR PAB PEN PGK PHP PKR PLN PYG "
"QAR RON RSD RUB RWF SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP "
"SZL THB TJS TMT TND TOP TRY TTD TWD TZS UAH UGX USD USN UYI UYU UYW UZS VED "
"VES VND VUV WST XAD XAF XAG XAU XBA XBB XBC XBD XCD XCG XDR XOF XPD XPF XPT "
"XSU XTS XUA XXX YER ZAR ZMW ZWG "
"BGN CUC HRK SLL ZWL";

/* Returns whether the code is one of ISO 4217. */
bool
is_currency_code(const char *code)
{
	const char *place;

	if (code == NULL || strlen(code) != 3 || strchr(code, ' ') != NULL)
		return false;
	place = strstr(codes, code);
	/* Codes are separated by blanks, so three letters match only at the start of a code. */
	return place != NULL && (place - codes) % 4 == 0;
}
