/* oracle.h - jansson's opinion of a text, and when it does not count. Included by the tests and
 * fuzzers of src/json. */
#ifndef TEST_JSON_ORACLE_H
#define TEST_JSON_ORACLE_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

enum verdict { VERDICT_NO, VERDICT_YES, VERDICT_NONE /* it cannot represent this */ };

/** Whether a \u names a surrogate: jansson refuses lone ones, which the grammar allows. */
static inline bool oracle_surrogate(const char *text, size_t len)
{
    for (size_t i = 0; i + 3 < len; i++) {
        if (text[i] == '\\' && text[i + 1] == 'u' && (text[i + 2] | 0x20) == 'd' &&
            text[i + 3] >= '8')
            return true;
    }
    return false;
}

/** @param tree  out: owned by the caller; NULL unless the verdict is yes. */
static inline enum verdict oracle_judge(const char *text, size_t len, json_t **tree)
{
    json_error_t err;
    *tree = json_loadb(text, len, JSON_DECODE_ANY | JSON_ALLOW_NUL, &err);
    /* JSON never holds a raw NUL; jansson 2.14 takes one behind the value for the end of the text.
     */
    if (len > 0 && memchr(text, 0, len) != NULL) {
        json_decref(*tree);
        *tree = NULL;
        return VERDICT_NO;
    }
    if (*tree != NULL)
        return VERDICT_YES;
    switch (json_error_code(&err)) {
    case json_error_numeric_overflow:
    case json_error_null_byte_in_key:
    case json_error_null_character:
    case json_error_stack_overflow:
    case json_error_out_of_memory:
        return VERDICT_NONE;
    default:
        return oracle_surrogate(text, len) ? VERDICT_NONE : VERDICT_NO;
    }
}

#endif
