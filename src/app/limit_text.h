/* limit_text.h - rate limits written as text: `100/10s`, `40/10s:getBlock,get*`, `40/10s/each`.
 * Used by the configuration (limits) and by the command line (--rate). Touches nothing. */
#ifndef RF_APP_LIMIT_TEXT_H
#define RF_APP_LIMIT_TEXT_H

#include "base/base.h"

/* A window is held to what a limiter can count in and a person can mean: up to a leap month. */
#define RF_LIMIT_WINDOW_MIN_MS 1
#define RF_LIMIT_WINDOW_MAX_MS (UINT64_C(31) * 24 * 3600 * 1000)
#define RF_LIMIT_METHODS_MAX 128

/**
 * Parse `COUNT[w]/WINDOW[/each][:METHOD[,METHOD...]]`.
 *
 * COUNT is a whole number, 1 or more; a `w` behind it makes it weight units instead of requests.
 * WINDOW is a duration as rf_parse_duration() reads it, of whole milliseconds; a unit alone means
 * one of it (`300/m`). A METHOD is a name, or a prefix with a trailing `*`; blanks around it are
 * dropped; without any, the limit holds for all methods. It holds for them together, or with
 * `/each` for each of them alone.
 * @param text  NUL-terminated.
 * @param out   the limit; owned: rf_limit_fini() it. Set only where 0 is returned.
 * @param err   detail on failure, without any of `text`; may be NULL.
 * @return 0, RPCFAN_EINVAL or RPCFAN_ENOMEM.
 * Thread: any.
 */
enum rpcfan_err rf_limit_parse(const char *text, struct rpcfan_limit *out,
                               struct rpcfan_error *err);

/**
 * Free what rf_limit_parse() allocated, and zero it. A zeroed limit is fine too.
 * @param lim  not NULL.
 */
void rf_limit_fini(struct rpcfan_limit *lim);

/**
 * Parse a window: a duration of whole milliseconds within the bounds above, or a unit alone.
 * @param text  NUL-terminated.
 * @param ms    out: milliseconds.
 * @return 0 or RPCFAN_EINVAL.
 */
enum rpcfan_err rf_limit_window(const char *text, uint64_t *ms);

/** Whether `text` is a method's name, or a prefix with a trailing `*`; no blank, no comma. */
bool rf_limit_method_ok(const char *text);

#endif
