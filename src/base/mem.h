/* mem.h - allocation that tests can make fail. All of the library allocates here and nowhere else;
 * running out is an error that is returned, never an abort. */
#ifndef RF_BASE_MEM_H
#define RF_BASE_MEM_H

#include <stddef.h>
#include <stdint.h>

/** Allocate `n` zeroed bytes. @return owned memory, or NULL. Thread: any. */
void *rf_alloc(size_t n);
/** Resize; what is added is not zeroed. @return owned memory, or NULL with `p` left as it was. */
void *rf_realloc(void *p, size_t n);
/** Free; NULL is ignored. Thread: any. */
void rf_free(void *p);
/** Copy a string; NULL gives NULL. @return owned copy, or NULL when out of memory. */
char *rf_strdup(const char *s);
/** Copy `n` bytes and add a NUL. @return owned copy or NULL. */
char *rf_memdup(const char *s, size_t n);
/** Zero memory by the C library's own loop: for structs of some hundred bytes on the hot path,
 * which a compiler would clear with a slower string instruction. */
void rf_zero(void *p, size_t n);
/** Tests only: make the `n`-th allocation from now fail (0: none fails). Thread: any. */
void rf_alloc_fail_at(uint64_t n);
/** Tests only: allocations since the process began. */
uint64_t rf_alloc_count(void);

#endif
