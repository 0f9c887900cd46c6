/* base64.c - the strict decoder of Base64. */
#include "base/base64.h"

static int value_of(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

bool rf_base64_decode(const char *text, size_t len, uint8_t *out, size_t cap, size_t *n)
{
    size_t letters = len;
    *n = 0;
    if (len % 4 != 0)
        return false;
    for (int pads = 0; pads < 2 && letters > 0 && text[letters - 1] == '='; pads++)
        letters--;
    if (letters / 4 * 3 + letters % 4 * 3 / 4 > cap)
        return false;
    uint32_t bits = 0;
    for (size_t i = 0; i < letters; i++) {
        int v = value_of(text[i]);
        if (v < 0)
            return false;
        bits = bits << 6 | (uint32_t)v;
        if (i % 4 != 0)
            out[(*n)++] = (uint8_t)(bits >> (6 - i % 4 * 2));
    }
    uint32_t left = letters % 4 == 2 ? 0xf : letters % 4 == 3 ? 0x3 : 0;
    return (bits & left) == 0;
}
