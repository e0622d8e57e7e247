/*
 * import_texts.c
 *		What the texts of an import say: names, numbers, days and moments.
 *
 * The functions return NULL for what they cannot read; they raise no error, so
 * that a bad text costs no subtransaction.  The functions named ..._readings
 * return which formats can read a text, as bits, so that bit_and() says which
 * formats can read a whole column.  Bit 0 is the plain reading, which needs no
 * format.  sql/functions/import/formats.sql knows the other bits.
 */
#include "postgres.h"

#include <ctype.h>

#include "mb/pg_wchar.h"
#include "pgtime.h"
#include "utils/builtins.h"
#include "utils/date.h"
#include "utils/datetime.h"
#include "utils/timestamp.h"

PG_FUNCTION_INFO_V1(crm_deals_import_text);
PG_FUNCTION_INFO_V1(crm_deals_import_folded);
PG_FUNCTION_INFO_V1(crm_deals_import_number);
PG_FUNCTION_INFO_V1(crm_deals_import_number_readings);
PG_FUNCTION_INFO_V1(crm_deals_import_day);
PG_FUNCTION_INFO_V1(crm_deals_import_moment);
PG_FUNCTION_INFO_V1(crm_deals_import_moment_readings);

/* ----------
 * Blanks
 * ----------
 */

typedef enum Look
{
	LOOK_VISIBLE,
	LOOK_BLANK,
	LOOK_NOTHING				/* a byte order mark, for example */
} Look;

/* Returns how a character looks.  Beyond ASCII only UTF-8 is looked at. */
static Look
look_of(const char *at, int length)
{
	pg_wchar	c;

	if (length == 1)
		return *at == ' ' || (*at >= '\t' && *at <= '\r') ? LOOK_BLANK :
			(unsigned char) *at < ' ' || *at == 0x7f ? LOOK_NOTHING : LOOK_VISIBLE;
	if (GetDatabaseEncoding() != PG_UTF8)
		return LOOK_VISIBLE;
	c = utf8_to_unicode((const unsigned char *) at);
	if (c == 0x85 || c == 0xa0 || c == 0x1680 || (c >= 0x2000 && c <= 0x200a) || c == 0x2028 || c == 0x2029 ||
		c == 0x202f || c == 0x205f || c == 0x3000)
		return LOOK_BLANK;
	if (c < 0xa0 || c == 0xad || c == 0x180e || (c >= 0x200b && c <= 0x200f) || (c >= 0x202a && c <= 0x202e) ||
		(c >= 0x2060 && c <= 0x2064) || c == 0xfeff)
		return LOOK_NOTHING;
	return LOOK_VISIBLE;
}

/* Finds the part of the text from its first to its last visible character.  Returns whether there is one. */
static bool
visible_part(const char *text, int length, const char **begin, int *part)
{
	const char *end = NULL;

	*begin = NULL;
	for (const char *at = text; at < text + length;)
	{
		int			n = Min(pg_mblen(at), (int) (text + length - at));

		if (look_of(at, n) == LOOK_VISIBLE)
		{
			if (*begin == NULL)
				*begin = at;
			end = at + n;
		}
		at += n;
	}
	*part = *begin == NULL ? 0 : (int) (end - *begin);
	return *begin != NULL;
}

/* import_text(text): the text without what surrounds its visible part; NULL if there is none */
Datum
crm_deals_import_text(PG_FUNCTION_ARGS)
{
	text	   *value = PG_GETARG_TEXT_PP(0);
	const char *begin;
	int			length;

	if (!visible_part(VARDATA_ANY(value), VARSIZE_ANY_EXHDR(value), &begin, &length))
		PG_RETURN_NULL();
	if (length == (int) VARSIZE_ANY_EXHDR(value))
		PG_RETURN_TEXT_P(value);
	PG_RETURN_TEXT_P(cstring_to_text_with_len(begin, length));
}

/* import_folded(text): besides, blanks of any kind and number become one space, and invisible characters go */
Datum
crm_deals_import_folded(PG_FUNCTION_ARGS)
{
	text	   *value = PG_GETARG_TEXT_PP(0);
	const char *at;
	const char *end;
	char	   *folded;
	int			length;
	int			n;
	bool		after_blank = false;

	if (!visible_part(VARDATA_ANY(value), VARSIZE_ANY_EXHDR(value), &at, &length))
		PG_RETURN_NULL();
	folded = palloc(length);
	end = at + length;
	for (length = 0; at < end; at += n)
	{
		Look		look;

		n = Min(pg_mblen(at), (int) (end - at));
		look = look_of(at, n);
		if (look == LOOK_BLANK && !after_blank)
			folded[length++] = ' ';
		if (look != LOOK_NOTHING)
			after_blank = look == LOOK_BLANK;
		if (look == LOOK_VISIBLE)
		{
			memcpy(folded + length, at, n);
			length += n;
		}
	}
	PG_RETURN_TEXT_P(cstring_to_text_with_len(folded, length));
}

/* ----------
 * Numbers
 * ----------
 */

#define MOST_DIGITS 400			/* a number with more is none */

/* Returns the length of the thousands sign at this place, or 0. */
static int
thousands_sign(const char *at, const char *end, char thousands)
{
	static const char *const looks_alike[][2] = {
		{" ", "\302\240"}, {" ", "\342\200\257"}, {" ", "\342\200\211"}, {"'", "\342\200\231"}
	};

	if (thousands == '\0' || at == end)
		return 0;
	if (*at == thousands)
		return 1;
	for (size_t i = 0; i < lengthof(looks_alike); i++)
	{
		int			n = strlen(looks_alike[i][1]);

		if (looks_alike[i][0][0] == thousands && end - at >= n && memcmp(at, looks_alike[i][1], n) == 0)
			return n;
	}
	return 0;
}

/* Copies digits; returns how many. */
static int
copy_digits(const char **at, const char *end, char **out)
{
	int			n = 0;

	while (*at < end && isdigit((unsigned char) **at))
	{
		*(*out)++ = *(*at)++;
		n++;
	}
	return n;
}

/*
 * Writes the number as PostgreSQL reads it.  Returns false if the text is none
 * in this format.  Groups have three digits, or two before the last one, as in
 * 1,00,000.
 */
static bool
read_number(const char *at, const char *end, char decimal, char thousands, char *out)
{
	int			whole;
	int			group;
	int			fraction = 0;
	int			n;

	if (end - at > MOST_DIGITS)
		return false;
	if (at < end && (*at == '-' || *at == '+'))
		*out++ = *at++;
	whole = group = copy_digits(&at, end, &out);
	if ((n = thousands_sign(at, end, thousands)) > 0)
	{
		if (whole < 1 || whole > 3)
			return false;
		for (; (n = thousands_sign(at, end, thousands)) > 0; whole += group)
		{
			at += n;
			group = copy_digits(&at, end, &out);
			if (group != 3 && group != 2)
				return false;
		}
		if (group != 3)
			return false;
	}
	if (at < end && *at == decimal)
	{
		*out++ = '.';
		at++;
		fraction = copy_digits(&at, end, &out);
	}
	*out = '\0';
	return at == end && whole + fraction > 0;
}

/* Returns the only character of an argument, or '\0'. */
static char
sign_argument(FunctionCallInfo fcinfo, int number)
{
	text	   *value;

	if (PG_ARGISNULL(number))
		return '\0';
	value = PG_GETARG_TEXT_PP(number);
	return (int) VARSIZE_ANY_EXHDR(value) == 1 ? *VARDATA_ANY(value) : '\0';
}

/* import_number(value, decimal, thousands): the number as PostgreSQL reads it */
Datum
crm_deals_import_number(PG_FUNCTION_ARGS)
{
	char		number[MOST_DIGITS + 2];
	text	   *value;

	if (PG_ARGISNULL(0))
		PG_RETURN_NULL();
	value = PG_GETARG_TEXT_PP(0);
	if (!read_number(VARDATA_ANY(value), VARDATA_ANY(value) + VARSIZE_ANY_EXHDR(value),
					 sign_argument(fcinfo, 1), sign_argument(fcinfo, 2), number))
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(cstring_to_text(number));
}

/* import_number_readings(value) */
Datum
crm_deals_import_number_readings(PG_FUNCTION_ARGS)
{
	static const char formats[][2] = {
		{'.', '\0'}, {'.', ','}, {',', '\0'}, {',', '.'}, {'.', ' '}, {',', ' '}, {'.', '\''}, {',', '\''}
	};
	text	   *value = PG_GETARG_TEXT_PP(0);
	const char *begin = VARDATA_ANY(value);
	const char *end = begin + VARSIZE_ANY_EXHDR(value);
	const char *point = memchr(begin, '.', end - begin);
	char		number[MOST_DIGITS + 2];
	int			readings = 0;

	for (size_t i = 0; i < lengthof(formats); i++)
		if (read_number(begin, end, formats[i][0], formats[i][1], number))
			readings |= 2 << i;
	/* A point before exactly three digits may be a thousands sign. */
	if ((readings & 2) != 0 && !(point != NULL && end - point == 4))
		readings |= 1;
	PG_RETURN_INT32(readings);
}

/* ----------
 * Days and moments
 * ----------
 */

typedef enum DateOrder
{
	ORDER_ISO,					/* the plain reading */
	ORDER_YMD,
	ORDER_DMY,
	ORDER_MDY,
	ORDER_EPOCH,
	ORDER_EPOCH_MS
} DateOrder;

static const char *const order_names[] = {"ISO", "YMD", "DMY", "MDY", "epoch", "epoch_ms"};

/* What a text says */
typedef struct Moment
{
	struct pg_tm tm;
	fsec_t		fraction;		/* microseconds */
	bool		is_epoch;
	TimestampTz epoch;
	bool		has_time;
	bool		has_zone;
	int			zone;			/* seconds west of Greenwich, as PostgreSQL counts */
	bool		is_iso;			/* the form is that of ISO 8601 */
} Moment;

/* Reads at most "most" digits.  Returns how many. */
static int
read_digits(const char **at, const char *end, int most, int *value)
{
	int			n = 0;

	*value = 0;
	for (; n < most && *at < end && isdigit((unsigned char) **at); n++)
		*value = *value * 10 + (*(*at)++ - '0');
	return n;
}

/* Skips one of these characters.  Returns which, or '\0'. */
static char
skip_one_of(const char **at, const char *end, const char *characters)
{
	if (*at < end && **at != '\0' && strchr(characters, **at) != NULL)
		return *(*at)++;
	return '\0';
}

/* Skips a word of capital or small letters.  Returns whether it was there. */
static bool
skip_word(const char **at, const char *end, const char *word)
{
	int			n = strlen(word);

	if (end - *at < n || pg_strncasecmp(*at, word, n) != 0)
		return false;
	*at += n;
	return true;
}

/* Reads seconds or milliseconds since 1970. */
static bool
read_epoch(const char *at, const char *end, bool milliseconds, Moment *moment)
{
	bool		negative = skip_one_of(&at, end, "-") != '\0';
	int64		whole = 0;
	int64		micro = 0;
	int			scale = milliseconds ? 1000 : 1000000;
	int			n = 0;

	for (; n < 15 && at < end && isdigit((unsigned char) *at); n++)
		whole = whole * 10 + (*at++ - '0');
	micro = whole * scale;
	if (n > 0 && skip_one_of(&at, end, ".") != '\0')
		for (; at < end && isdigit((unsigned char) *at); at++)
		{
			scale /= 10;
			micro += (int64) (*at - '0') * scale;
		}
	if (n == 0 || at != end || whole > (milliseconds ? INT64CONST(253000000000000) : INT64CONST(253000000000)))
		return false;
	moment->is_epoch = moment->has_time = moment->has_zone = true;
	moment->epoch = (negative ? -micro : micro) -
		(int64) (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * USECS_PER_DAY;
	return true;
}

/* Reads the three numbers of a day.  Returns false if they have another form. */
static bool
read_day(const char **at, const char *end, DateOrder order, Moment *moment)
{
	struct pg_tm *tm = &moment->tm;
	const char *rest = *at;
	int			value[3];
	int			digits[3];
	char		sign = '\0';
	int			year = order == ORDER_DMY || order == ORDER_MDY ? 2 : 0;

	if (read_digits(&rest, end, 9, &value[0]) == 8)
	{
		tm->tm_year = value[0] / 10000;
		tm->tm_mon = value[0] / 100 % 100;
		tm->tm_mday = value[0] % 100;
		*at = rest;
		return moment->is_iso = true;
	}
	for (int i = 0; i < 3; i++)
	{
		digits[i] = read_digits(at, end, 4, &value[i]);
		if (digits[i] == 0)
			return false;
		if (i == 0)
			sign = skip_one_of(at, end, "-./");
		if (sign == '\0' || (i == 1 && skip_one_of(at, end, (char[]) {sign, '\0'}) == '\0'))
			return false;
	}
	moment->is_iso = sign == '-' && digits[0] == 4 && digits[1] == 2 && digits[2] == 2;
	if (moment->is_iso)
		year = 0;
	else if (order == ORDER_ISO || (digits[year] != 4 && digits[year] != 2) || digits[1] > 2 || digits[2 - year] > 2)
		return false;
	tm->tm_year = value[year];
	if (digits[year] == 2)
		tm->tm_year += value[year] < 70 ? 2000 : 1900;
	tm->tm_mon = !moment->is_iso && order == ORDER_MDY ? value[0] : value[1];
	tm->tm_mday = year == 0 ? value[2] : order == ORDER_MDY ? value[1] : value[0];
	return true;
}

/* Reads a time zone, if one follows. */
static bool
read_zone(const char **at, const char *end, Moment *moment)
{
	char		sign;
	int			hours;
	int			minutes = 0;

	moment->has_zone = true;
	if (skip_word(at, end, "UTC") || skip_word(at, end, "GMT") || skip_word(at, end, "Z"))
		return true;
	sign = skip_one_of(at, end, "+-");
	moment->has_zone = sign != '\0';
	if (sign == '\0')
		return true;
	if (read_digits(at, end, 2, &hours) != 2)
		return false;
	if (skip_one_of(at, end, ":") != '\0' || (*at < end && isdigit((unsigned char) **at)))
		if (read_digits(at, end, 2, &minutes) != 2)
			return false;
	moment->zone = (hours * 60 + minutes) * SECS_PER_MINUTE;
	if (sign == '+')
		moment->zone = -moment->zone;
	return hours <= 15 && minutes < 60;
}

/* Reads hours, minutes and perhaps more, with or without colons. */
static bool
read_time(const char **at, const char *end, Moment *moment)
{
	struct pg_tm *tm = &moment->tm;
	bool		afternoon = false;
	bool		twelve_hours = false;
	int			scale = 1000000;
	char		colon;

	if (read_digits(at, end, 2, &tm->tm_hour) == 0)
		return false;
	colon = skip_one_of(at, end, ":");
	if (read_digits(at, end, 2, &tm->tm_min) != 2)
		return false;
	if (colon == '\0' ? *at < end && isdigit((unsigned char) **at) : skip_one_of(at, end, ":") != '\0')
	{
		if (read_digits(at, end, 2, &tm->tm_sec) != 2)
			return false;
		if (skip_one_of(at, end, ".,") != '\0')
			for (; *at < end && isdigit((unsigned char) **at); (*at)++)
			{
				scale /= 10;
				moment->fraction += (**at - '0') * scale;
			}
	}
	(void) skip_one_of(at, end, " ");
	if ((twelve_hours = skip_word(at, end, "AM") || (afternoon = skip_word(at, end, "PM"))))
	{
		moment->is_iso = false;
		if (tm->tm_hour < 1 || tm->tm_hour > 12)
			return false;
		tm->tm_hour = tm->tm_hour % 12 + (afternoon ? 12 : 0);
		(void) skip_one_of(at, end, " ");
	}
	moment->has_time = true;
	return read_zone(at, end, moment);
}

/* Returns whether there is such a day and time. */
static bool
exists(const Moment *moment)
{
	const struct pg_tm *tm = &moment->tm;

	return tm->tm_year >= 1 && tm->tm_mon >= 1 && tm->tm_mon <= MONTHS_PER_YEAR &&
		tm->tm_mday >= 1 && tm->tm_mday <= day_tab[isleap(tm->tm_year)][tm->tm_mon - 1] &&
		tm->tm_hour < HOURS_PER_DAY && tm->tm_min < MINS_PER_HOUR && tm->tm_sec < SECS_PER_MINUTE;
}

/* Reads a day, perhaps with a time.  Returns whether the text has that form; exists() says whether it is right. */
static bool
read_moment(text *value, DateOrder order, Moment *moment)
{
	const char *at = VARDATA_ANY(value);
	const char *end = at + VARSIZE_ANY_EXHDR(value);

	memset(moment, 0, sizeof(Moment));
	if (order >= ORDER_EPOCH && read_epoch(at, end, order == ORDER_EPOCH_MS, moment))
		return true;
	if (!read_day(&at, end, order, moment))
		return false;
	if (at < end)
	{
		(void) skip_one_of(&at, end, ",");
		if (skip_one_of(&at, end, "Tt ") == '\0')
			return false;
		while (skip_one_of(&at, end, " ") != '\0')
			 /* more blanks */ ;
		if (!read_time(&at, end, moment))
			return false;
	}
	return at == end && (moment->is_iso || (order > ORDER_ISO && order < ORDER_EPOCH));
}

/* Returns the format that an argument names; NULL is the plain reading. */
static DateOrder
order_argument(FunctionCallInfo fcinfo, int number)
{
	text	   *name;

	if (PG_ARGISNULL(number))
		return ORDER_ISO;
	name = PG_GETARG_TEXT_PP(number);
	for (DateOrder order = ORDER_YMD; order <= ORDER_EPOCH_MS; order++)
		if (strlen(order_names[order]) == VARSIZE_ANY_EXHDR(name) &&
			memcmp(order_names[order], VARDATA_ANY(name), VARSIZE_ANY_EXHDR(name)) == 0)
			return order;
	return ORDER_ISO;
}

/* Finds the moment.  A text without a time zone is of the session's. */
static bool
moment_at(Moment *moment, int hour_of_day, TimestampTz *at)
{
	int			zone;

	if (moment->is_epoch)
	{
		*at = moment->epoch;
		return true;
	}
	if (!exists(moment))
		return false;
	if (!moment->has_time)
		moment->tm.tm_hour = hour_of_day;
	zone = moment->has_zone ? moment->zone : DetermineTimeZoneOffset(&moment->tm, session_timezone);
	return tm2timestamp(&moment->tm, moment->fraction, &zone, at) == 0;
}

/* import_moment(value, date format, hour of a mere day) */
Datum
crm_deals_import_moment(PG_FUNCTION_ARGS)
{
	Moment		moment;
	TimestampTz at;

	if (PG_ARGISNULL(0) || PG_ARGISNULL(2) ||
		!read_moment(PG_GETARG_TEXT_PP(0), order_argument(fcinfo, 1), &moment) ||
		!moment_at(&moment, Min(Max(PG_GETARG_INT32(2), 0), 23), &at))
		PG_RETURN_NULL();
	PG_RETURN_TIMESTAMPTZ(at);
}

/* import_day(value, date format): the day of a moment is that in the session's time zone */
Datum
crm_deals_import_day(PG_FUNCTION_ARGS)
{
	Moment		moment;
	TimestampTz at;

	if (PG_ARGISNULL(0) || !read_moment(PG_GETARG_TEXT_PP(0), order_argument(fcinfo, 1), &moment))
		PG_RETURN_NULL();
	if (moment.has_zone)
	{
		if (!moment_at(&moment, 0, &at))
			PG_RETURN_NULL();
		PG_RETURN_DATUM(DirectFunctionCall1(timestamptz_date, TimestampTzGetDatum(at)));
	}
	if (!exists(&moment))
		PG_RETURN_NULL();
	PG_RETURN_DATEADT(date2j(moment.tm.tm_year, moment.tm.tm_mon, moment.tm.tm_mday) - POSTGRES_EPOCH_JDATE);
}

/* Returns whether seconds or milliseconds have the number of digits of our time, 1973 to 2286. */
static bool
looks_like_epoch(text *value, DateOrder order)
{
	int			length = VARSIZE_ANY_EXHDR(value);

	return order == ORDER_EPOCH ? length >= 9 && length <= 10 : length >= 12 && length <= 13;
}

/* import_moment_readings(value): a text of ISO form is read in every order */
Datum
crm_deals_import_moment_readings(PG_FUNCTION_ARGS)
{
	text	   *value = PG_GETARG_TEXT_PP(0);
	Moment		moment;
	int			readings = read_moment(value, ORDER_ISO, &moment) ? 1 : 0;

	for (DateOrder order = ORDER_YMD; order <= ORDER_EPOCH_MS; order++)
		if (read_moment(value, order, &moment) &&
			(moment.is_epoch ? looks_like_epoch(value, order) : moment.is_iso || exists(&moment)))
			readings |= 1 << order;
	PG_RETURN_INT32(readings);
}
