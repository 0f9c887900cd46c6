/* told.h - numbers in the words of a refusal: which block range would work, how many blocks, keys
 * or calls are allowed. Each form was seen from a provider and is a test case. Called by
 * core/classify once the class is known, for the same words mean other things elsewhere. Pure; no
 * text is kept. */
#ifndef RF_POLICY_TOLD_H
#define RF_POLICY_TOLD_H

#include "base/base.h"

/**
 * The range in "this block range should work: [0x1, 0x2f]", "Try with this block range [..]",
 * "retry with the range 100-200"; hexadecimal or decimal.
 * @return false where there is none, or where it ends before it begins.
 */
bool rf_told_range(const char *text, size_t len, uint64_t *from, uint64_t *to);

/** The most blocks of a range in "limited to a 10,000 range", "max is 1k blocks", "(5000 > 500)"
 * and their like; numbers of results, logs or bytes are none. @return 0 where there is none. */
uint64_t rf_told_blocks(const char *text, size_t len);

/** The most inputs in "Too many inputs provided; max 100", "the maximum of 1000 addresses", "The
 * current limit is 5000". @return 0 where there is none. */
uint32_t rf_told_inputs(const char *text, size_t len);

/** A rate. */
struct rf_told_rate {
    uint64_t count, window_ns; /* 0: none */
    bool credits;              /* counts credits, not calls */
};

/** The rate in "50/second request limit", "credits limited to 6000/sec", "100 requests per 10
 * seconds", `requests_per_unit:1500 unit:MINUTE`, `"allowed_rps":12.5`; of several the slowest;
 * zeroed where there is none. Example: 12.5 a second is 125 in 10 s. */
struct rf_told_rate rf_told_rate(const char *text, size_t len);

/** The unsigned integer behind `"name":`, at any depth; the first. @return false: none. */
bool rf_told_member(const char *text, size_t len, const char *name, uint64_t *value);

#endif
