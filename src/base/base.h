/* base.h - what every room may use: slices, time arithmetic, small macros. Includes nothing of ours
 * but the public header. Called by all; touches nothing. */
#ifndef RF_BASE_BASE_H
#define RF_BASE_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "rpcfan/rpcfan.h"

/* Time: uint64_t ns on a monotonic clock, passed by value. RF_NEVER is later than any time. */
#define RF_NEVER UINT64_MAX
#define RF_US UINT64_C(1000)
#define RF_MS UINT64_C(1000000)
#define RF_SEC UINT64_C(1000000000)

#define RF_COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define RF_CONTAINER(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))
#define RF_PRINTF(f, a) __attribute__((format(printf, f, a)))

/** Add two times; saturates at RF_NEVER. */
static inline uint64_t rf_time_add(uint64_t a, uint64_t b)
{
    return a > RF_NEVER - b ? RF_NEVER : a + b;
}

/** `a - b`, or 0 where b is later. */
static inline uint64_t rf_time_sub(uint64_t a, uint64_t b)
{
    return a > b ? a - b : 0;
}

/** The smaller of two. */
static inline uint64_t rf_min_u64(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/** The larger of two. */
static inline uint64_t rf_max_u64(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

/**
 * Fill in a caller's error detail and hand its code back, so that `return rf_fail(err, ...)` works.
 * @param err   may be NULL.
 * @param code  the error; returned.
 * @param fmt   printf format of the text; cut at the size of `err->text`.
 */
enum rpcfan_err rf_fail(struct rpcfan_error *err, enum rpcfan_err code, const char *fmt, ...)
    RF_PRINTF(3, 4);

/**
 * Put a printf-formatted prefix in front of an error's text: each layer names its place.
 * @param err  may be NULL.
 */
void rf_fail_prefix(struct rpcfan_error *err, const char *fmt, ...) RF_PRINTF(2, 3);

/**
 * Parse a duration: an unsigned integer or decimal fraction with a unit ns, us, ms, s, m, h or d
 * ("100ms", "1.5s"); a bare number is refused, so that no unit is ever guessed.
 * @param text  NUL-terminated.
 * @param ns    out: nanoseconds.
 * @return 0 or RPCFAN_EINVAL.
 */
enum rpcfan_err rf_parse_duration(const char *text, uint64_t *ns);

/**
 * Parse a byte count: an unsigned integer with an optional unit B, KiB, MiB, GiB, kB, MB, GB.
 * @return 0 or RPCFAN_EINVAL (also on overflow).
 */
enum rpcfan_err rf_parse_bytes(const char *text, uint64_t *bytes);

/**
 * Whether a method name matches a pattern: equal, or `prefix*`.
 * @param pattern  NUL-terminated.
 * @param name     `len` bytes.
 */
bool rf_pattern_match(const char *pattern, const char *name, size_t len);

/** Find `needle` (NUL-terminated, lower case) in `len` bytes of text, ASCII case ignored. */
const char *rf_find_nocase(const char *text, size_t len, const char *needle);

/** Copy `len` bytes with ASCII letters in lower case. @param out at least `len` bytes. */
void rf_lower(const char *text, size_t len, char *out);

#endif
