/* base58.c - a row of bytes read as one large number and written in base 58; each leading zero byte
 * is a leading '1'. Several digits a step, in words of 32 bits: a transaction of 1232 bytes is
 * decoded in some 100 us. */
#include "base/base58.h"

#include <string.h>

static const char alphabet[] = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";

/* Five letters a step: 58^5 is below 2^30. */
#define STEP 5
#define STEP_BASE 656356768u

size_t rf_base58_encode(const void *data, size_t n, char *out)
{
    const uint8_t *p = data;
    uint32_t word[RF_BASE58_LEN(RF_BASE58_BYTES_MAX) / STEP + 1]; /* the lowest first */
    size_t zeros = 0, words = 0, len = 0;
    if (n > RF_BASE58_BYTES_MAX)
        return 0;
    while (zeros < n && p[zeros] == 0)
        zeros++;
    for (size_t i = zeros; i < n;) {
        uint64_t carry = 0;
        unsigned bits = 0;
        do { /* up to the next multiple of four bytes from the end */
            carry = carry << 8 | p[i++];
            bits += 8;
        } while ((n - i) % 4 != 0);
        for (size_t k = 0; k < words; k++) {
            carry += (uint64_t)word[k] << bits;
            word[k] = (uint32_t)(carry % STEP_BASE);
            carry /= STEP_BASE;
        }
        for (; carry > 0; carry /= STEP_BASE)
            word[words++] = (uint32_t)(carry % STEP_BASE);
    }
    memset(out, '1', zeros);
    len = zeros;
    for (size_t k = words; k-- > 0;) {
        char digit[STEP];
        uint32_t v = word[k];
        for (size_t i = STEP; i-- > 0; v /= 58)
            digit[i] = alphabet[v % 58];
        size_t skip = 0;
        while (k == words - 1 && skip < STEP && digit[skip] == '1')
            skip++;
        memcpy(out + len, digit + skip, STEP - skip);
        len += STEP - skip;
    }
    return len;
}

static int digit_of(char c)
{
    const char *at = c == 0 ? NULL : strchr(alphabet, c);
    return at == NULL ? -1 : (int)(at - alphabet);
}

/* number = number * mul + add. @return false where it takes more than `cap` words. */
static bool multiply(uint32_t *word, size_t *words, size_t cap, uint32_t mul, uint32_t add)
{
    uint64_t carry = add;
    for (size_t k = 0; k < *words; k++) {
        carry += (uint64_t)word[k] * mul;
        word[k] = (uint32_t)carry;
        carry >>= 32;
    }
    if (carry == 0)
        return true;
    if (*words == cap)
        return false;
    word[(*words)++] = (uint32_t)carry;
    return true;
}

bool rf_base58_decode(const char *text, size_t len, uint8_t *out, size_t cap, size_t *n)
{
    uint32_t word[RF_BASE58_BYTES_MAX / 4]; /* the lowest first */
    size_t zeros = 0, words = 0, at = 0;
    while (zeros < len && text[zeros] == '1')
        zeros++;
    for (size_t i = zeros; i < len;) {
        uint32_t mul = 1, add = 0;
        for (size_t k = 0; k < STEP && i < len; k++, i++) {
            int digit = digit_of(text[i]);
            if (digit < 0)
                return false;
            mul *= 58;
            add = add * 58 + (uint32_t)digit;
        }
        if (!multiply(word, &words, RF_COUNT(word), mul, add))
            return false;
    }
    size_t bytes = words * 4;
    while (bytes > 0 && (word[(bytes - 1) / 4] >> ((bytes - 1) % 4 * 8) & 0xff) == 0)
        bytes--;
    if (zeros > cap || bytes > cap - zeros)
        return false;
    memset(out, 0, zeros);
    at = zeros;
    while (bytes-- > 0)
        out[at++] = (uint8_t)(word[bytes / 4] >> (bytes % 4 * 8));
    *n = at;
    return true;
}
