/* pubkey.c - a key as a number of eight words of 32 bits, or of nine digits of base 58^5; five
 * letters a step in both directions, and no division while reading. */
#include "base/pubkey.h"

#include <string.h>

#include "rpcfan/feed.h"

#define WORDS 8
#define DIGITS 9 /* 58^45 is over 2^256 */
#define STEP 5
#define STEP_BASE 656356768u /* 58^5 */

static const char alphabet[] = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";

/* The value of a letter plus one; 0: none. */
static const uint8_t value_of[128] = {
    ['1'] = 1,  ['2'] = 2,  ['3'] = 3,  ['4'] = 4,  ['5'] = 5,  ['6'] = 6,  ['7'] = 7,  ['8'] = 8,
    ['9'] = 9,  ['A'] = 10, ['B'] = 11, ['C'] = 12, ['D'] = 13, ['E'] = 14, ['F'] = 15, ['G'] = 16,
    ['H'] = 17, ['J'] = 18, ['K'] = 19, ['L'] = 20, ['M'] = 21, ['N'] = 22, ['P'] = 23, ['Q'] = 24,
    ['R'] = 25, ['S'] = 26, ['T'] = 27, ['U'] = 28, ['V'] = 29, ['W'] = 30, ['X'] = 31, ['Y'] = 32,
    ['Z'] = 33, ['a'] = 34, ['b'] = 35, ['c'] = 36, ['d'] = 37, ['e'] = 38, ['f'] = 39, ['g'] = 40,
    ['h'] = 41, ['i'] = 42, ['j'] = 43, ['k'] = 44, ['m'] = 45, ['n'] = 46, ['o'] = 47, ['p'] = 48,
    ['q'] = 49, ['r'] = 50, ['s'] = 51, ['t'] = 52, ['u'] = 53, ['v'] = 54, ['w'] = 55, ['x'] = 56,
    ['y'] = 57, ['z'] = 58};

size_t rf_pubkey_encode(const uint8_t key[RF_PUBKEY_BYTES], char *out)
{
    uint32_t digit[DIGITS] = {0}; /* the lowest first */
    char text[DIGITS * STEP];
    size_t zeros = 0, skip = 0;
    while (zeros < RF_PUBKEY_BYTES && key[zeros] == 0)
        zeros++;
    for (size_t i = 0; i < RF_PUBKEY_BYTES; i += 4) {
        uint64_t carry = (uint64_t)key[i] << 24 | (uint64_t)key[i + 1] << 16 |
                         (uint64_t)key[i + 2] << 8 | key[i + 3];
        for (size_t k = 0; k < DIGITS; k++) {
            carry += (uint64_t)digit[k] << 32;
            digit[k] = (uint32_t)(carry % STEP_BASE);
            carry /= STEP_BASE;
        }
    }
    for (size_t k = 0; k < DIGITS; k++) {
        uint32_t v = digit[DIGITS - 1 - k];
        for (size_t i = STEP; i-- > 0; v /= 58)
            text[k * STEP + i] = alphabet[v % 58];
    }
    while (skip < sizeof text && text[skip] == '1')
        skip++;
    memset(out, '1', zeros);
    memcpy(out + zeros, text + skip, sizeof text - skip);
    return zeros + sizeof text - skip;
}

bool rf_pubkey_decode(const char *text, size_t len, uint8_t key[RF_PUBKEY_BYTES])
{
    uint32_t word[WORDS] = {0}; /* the lowest first */
    size_t ones = 0, zeros = 0;
    if (len < RF_PUBKEY_BYTES || len > RF_PUBKEY_TEXT)
        return false;
    while (ones < len && text[ones] == '1')
        ones++;
    for (size_t i = 0; i < len;) {
        uint64_t carry = 0;
        uint32_t scale = 1;
        do { /* up to the next multiple of five letters from the end */
            uint8_t v = (uint8_t)text[i] < 128 ? value_of[(uint8_t)text[i]] : 0;
            if (v == 0)
                return false;
            carry = carry * 58 + v - 1;
            scale *= 58;
            i++;
        } while ((len - i) % STEP != 0);
        for (size_t k = 0; k < WORDS; k++) {
            carry += (uint64_t)word[k] * scale;
            word[k] = (uint32_t)carry;
            carry >>= 32;
        }
        if (carry != 0)
            return false;
    }
    for (size_t k = 0; k < WORDS; k++) {
        uint32_t w = word[WORDS - 1 - k];
        key[k * 4] = (uint8_t)(w >> 24);
        key[k * 4 + 1] = (uint8_t)(w >> 16);
        key[k * 4 + 2] = (uint8_t)(w >> 8);
        key[k * 4 + 3] = (uint8_t)w;
    }
    /* Each leading zero byte is one leading '1', so that a key has one text. */
    while (zeros < RF_PUBKEY_BYTES && key[zeros] == 0)
        zeros++;
    return zeros == ones;
}

RPCFAN_API void rpcfan_key_text(const uint8_t key[32], char *out)
{
    out[rf_pubkey_encode(key, out)] = '\0';
}

RPCFAN_API enum rpcfan_err rpcfan_key_read(const char *text, size_t len, uint8_t key[32])
{
    uint8_t read[RF_PUBKEY_BYTES];
    if (text == NULL || !rf_pubkey_decode(text, len, read))
        return RPCFAN_EINVAL;
    memcpy(key, read, sizeof read);
    return RPCFAN_OK;
}
