/*
 * memory.h
 *		Memory and interrupts, which the program that uses the core defines
 *		(core_memory.c; test/fuzz defines its own).
 */
#ifndef CRM_DEALS_CORE_MEMORY_H
#define CRM_DEALS_CORE_MEMORY_H

/*
 * An allocation may exceed 1 GB.  If there is no memory, these functions do not
 * return.
 */
extern void *core_alloc(size_t size);
extern void *core_realloc(void *memory, size_t size);
extern void core_free(void *memory);

/*
 * The core calls this every few thousand steps.  It may leave by longjmp: the
 * caller then drops all memory of the core together.
 */
extern void core_check_interrupts(void);

#endif							/* CRM_DEALS_CORE_MEMORY_H */
