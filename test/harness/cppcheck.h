/*
 * What cppcheck needs to know of PostgreSQL, whose headers it does not read.
 */
#define PG_VERSION_NUM 150000

/* of c.h */
#define pg_attribute_noreturn() __attribute__((noreturn))

/* errors do not return */
#define DEBUG1	14
#define LOG		15
#define INFO	17
#define NOTICE	18
#define WARNING 19
#define ERROR	21
#define FATAL	22
#define PANIC	23

#define foreach(cell, list) for (ListCell *cell = list_head(list); cell != NULL; cell = lnext(list, cell))
#define ereport(level, ...) do { if ((level) >= ERROR) abort(); } while (0)
#define elog(level, ...) do { if ((level) >= ERROR) abort(); } while (0)
