/* option_text.c - values of options written as words. */
#include "app/option_text.h"

#include <string.h>

#define PERCENT_DIGITS 3

/* Where a word stands among `n` words; n where it does not. */
static size_t find_word(const char *const *words, size_t n, const char *text)
{
    size_t i = 0;
    while (i < n && strcmp(words[i], text) != 0)
        i++;
    return i;
}

enum rpcfan_err rf_option_percent(const char *text, uint32_t *out)
{
    uint32_t v = 0;
    size_t n = strspn(text, "0123456789");
    if (n == 0 || n > PERCENT_DIGITS || strcmp(text + n, "%") != 0)
        return RPCFAN_EINVAL;
    for (size_t i = 0; i < n; i++)
        v = v * 10 + (uint32_t)(text[i] - '0');
    *out = v;
    return RPCFAN_OK;
}

enum rpcfan_err rf_option_policy(const char *text, enum rpcfan_policy *out)
{
    static const char *const words[] = {"balance", "failover", "first", "quorum", "broadcast"};
    size_t i = find_word(words, RF_COUNT(words), text);
    if (i == RF_COUNT(words))
        return RPCFAN_EINVAL;
    *out = (enum rpcfan_policy)(RPCFAN_BALANCE + i);
    return RPCFAN_OK;
}

enum rpcfan_err rf_option_split(const char *text, enum rpcfan_split *out)
{
    static const char *const words[] = {"none", "range"};
    size_t i = find_word(words, RF_COUNT(words), text);
    if (i == RF_COUNT(words))
        return RPCFAN_EINVAL;
    *out = (enum rpcfan_split)(RPCFAN_SPLIT_NONE + i);
    return RPCFAN_OK;
}
