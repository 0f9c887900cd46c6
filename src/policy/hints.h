/* hints.h - reads what servers say about when to come back: Retry-After in both forms. Pure: the
 * wall clock is an argument, and only used where the response carried no Date. */
#ifndef RF_POLICY_HINTS_H
#define RF_POLICY_HINTS_H

#include "base/base.h"

#define RF_RETRY_AFTER_MAX_NS (300 * RF_SEC)

/**
 * Retry-After: delta-seconds, or an HTTP-date in its three forms (IMF-fixdate, RFC 850, asctime).
 * @param value   header value, NUL-terminated; NULL: absent.
 * @param date    the same response's Date header, NUL-terminated; NULL: absent.
 * @param wall_s  seconds since the epoch now; used for the date form where `date` is absent or bad.
 * @return ns, clamped to [0, RF_RETRY_AFTER_MAX_NS]; a past date is 0; RF_NEVER: absent or garbage.
 */
uint64_t rf_retry_after(const char *value, const char *date, int64_t wall_s);

/** Seconds since the epoch of an HTTP-date, NUL-terminated. Two-digit years are 1970 to 2069.
 * @return false where it is none. */
bool rf_http_date(const char *text, int64_t *seconds);

/**
 * Hints in a body's text: "retry in 10s", "retry in 10m0s", "try again in 250 ms", "reset in 60
 * seconds", and a `backoff_seconds` member at any depth; the longest of them. A number without
 * a unit is none.
 * @return ns clamped as above, or RF_NEVER.
 */
uint64_t rf_hint_in_text(const char *text, size_t len);

/** The first number (thousands commas allowed) after one of the words that name a batch cap:
 * "batch limit 100", "maximum 10 calls", "more than 3 requests", "max batch size is 20". Between
 * word and number only "of", "is", "size" and their like may stand; a number of bytes is none.
 * @return the number, or 0 where there is none. */
uint32_t rf_batch_limit_in_text(const char *text, size_t len);

/** The body cap in "content length too large (6000000>5242880)": the number behind `>`.
 * @return bytes, or 0 where there is none. */
uint64_t rf_body_limit_in_text(const char *text, size_t len);

#endif
