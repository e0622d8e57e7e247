/*
 * core_memory.c
 *		Memory and interrupts of the core, by PostgreSQL: allocations live in the
 *		current memory context.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/memutils.h"

#include "duplicates/core/memory.h"

void *
core_alloc(size_t size)
{
	return MemoryContextAllocHuge(CurrentMemoryContext, size);
}

void *
core_realloc(void *memory, size_t size)
{
	return repalloc_huge(memory, size);
}

void
core_free(void *memory)
{
	pfree(memory);
}

void
core_check_interrupts(void)
{
	CHECK_FOR_INTERRUPTS();
}
