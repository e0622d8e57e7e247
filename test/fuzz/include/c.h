/*
 * c.h
 *		In place of PostgreSQL's: what the sources that are fuzzed use of it.
 */
#ifndef C_H
#define C_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef int64_t int64;
typedef uint8_t uint8;
typedef uint32_t uint32;
typedef uint64_t uint64;

#define UINT64CONST(x)	UINT64_C(x)
#define Min(x, y)		((x) < (y) ? (x) : (y))
#define Max(x, y)		((x) > (y) ? (x) : (y))

#endif							/* C_H */
