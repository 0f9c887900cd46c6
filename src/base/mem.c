/* mem.c - malloc with a counter and a failure switch for tests. */
#include "base/mem.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

static atomic_uint_fast64_t counted;
static atomic_uint_fast64_t fail_at;

static int refuse(void)
{
    uint64_t n = atomic_fetch_add_explicit(&counted, 1, memory_order_relaxed) + 1;
    return n == atomic_load_explicit(&fail_at, memory_order_relaxed);
}

void *rf_alloc(size_t n)
{
    return refuse() ? NULL : calloc(1, n > 0 ? n : 1);
}

void *rf_realloc(void *p, size_t n)
{
    return refuse() ? NULL : realloc(p, n > 0 ? n : 1);
}

void rf_free(void *p)
{
    free(p);
}

char *rf_strdup(const char *s)
{
    return s == NULL ? NULL : rf_memdup(s, strlen(s));
}

char *rf_memdup(const char *s, size_t n)
{
    char *copy = rf_alloc(n + 1);
    if (copy != NULL && n > 0)
        memcpy(copy, s, n);
    return copy;
}

void rf_zero(void *p, size_t n)
{
    memset(p, 0, n);
}

void rf_alloc_fail_at(uint64_t n)
{
    uint64_t now = atomic_load_explicit(&counted, memory_order_relaxed);
    atomic_store_explicit(&fail_at, n == 0 ? 0 : now + n, memory_order_relaxed);
}

uint64_t rf_alloc_count(void)
{
    return atomic_load_explicit(&counted, memory_order_relaxed);
}
