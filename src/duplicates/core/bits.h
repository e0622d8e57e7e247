/*
 * bits.h
 *		Counting and mixing bits.
 */
#ifndef CRM_DEALS_BITS_H
#define CRM_DEALS_BITS_H

/*
 * Nearly every x86-64 processor can count bits by one instruction, but a
 * compiler may use it only if it is told so.  similarity_join.c then chooses at
 * run time, and all others count by arithmetic.
 */
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__POPCNT__)
#define CHOOSE_POPCNT
#endif

/* Returns how many bits are set. */
static inline int
bits_set(uint64 x)
{
#ifdef CHOOSE_POPCNT
	x = x - ((x >> 1) & UINT64CONST(0x5555555555555555));
	x = (x & UINT64CONST(0x3333333333333333)) + ((x >> 2) & UINT64CONST(0x3333333333333333));
	x = (x + (x >> 4)) & UINT64CONST(0x0f0f0f0f0f0f0f0f);
	return (int) ((x * UINT64CONST(0x0101010101010101)) >> 56);
#else
	return __builtin_popcountll(x);
#endif
}

/* Spreads a number over 64 bits. */
static inline uint64
mix_bits(uint64 x)
{
	x ^= x >> 30;
	x *= UINT64CONST(0xbf58476d1ce4e5b9);
	x ^= x >> 27;
	x *= UINT64CONST(0x94d049bb133111eb);
	return x ^ (x >> 31);
}

#endif							/* CRM_DEALS_BITS_H */
