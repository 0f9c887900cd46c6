/* quote.c - JSON strings in and out (quote, unescape) and compaction. Called by the request writer
 * and reader, the splitter and the command; pure. */
#include <string.h>

#include "json/plain.h"
#include "json/rpc.h"

static const char replacement[] = "\xef\xbf\xbd"; /* U+FFFD */

/** The bytes of the UTF-8 character at `p`; negative: of the longest wrong beginning of one. */
static int utf8_len(const uint8_t *p, const uint8_t *e)
{
    uint8_t lo = 0x80, hi = 0xbf;
    int want = *p >= 0xf0 ? 4 : *p >= 0xe0 ? 3 : 2;
    if (*p < 0xc2 || *p > 0xf4)
        return -1;
    if (*p == 0xe0)
        lo = 0xa0;
    else if (*p == 0xed)
        hi = 0x9f;
    else if (*p == 0xf0)
        lo = 0x90;
    else if (*p == 0xf4)
        hi = 0x8f;
    for (int i = 1; i < want; i++) {
        if (p + i == e || p[i] < lo || p[i] > hi)
            return -i;
        lo = 0x80;
        hi = 0xbf;
    }
    return want;
}

/** Append one ASCII byte that may not stand in a string as it is. */
static void add_escaped(struct rf_buf *b, uint8_t c)
{
    static const char hex[] = "0123456789abcdef";
    static const char letter[0x20] = {
        ['\b'] = 'b', ['\f'] = 'f', ['\n'] = 'n', ['\r'] = 'r', ['\t'] = 't'};
    char out[6] = {'\\', (char)c, '0', '0'};
    size_t n = 2;
    if (c < 0x20) {
        out[1] = letter[c];
        if (letter[c] == 0) {
            out[1] = 'u';
            out[4] = hex[c >> 4];
            out[5] = hex[c & 15];
            n = 6;
        }
    }
    rf_buf_add(b, out, n);
}

void rf_json_quote(struct rf_buf *b, const char *s, size_t len)
{
    const uint8_t *p = (const uint8_t *)s, *const e = len > 0 ? p + len : p;
    rf_buf_reserve(b, len + 2);
    rf_buf_char(b, '"');
    while (p < e && !b->failed) {
        const uint8_t *plain = rf_plain_skip(p, e);
        rf_buf_add(b, p, (size_t)(plain - p));
        p = plain;
        if (p == e)
            break;
        if (*p < 0x80) {
            add_escaped(b, *p);
            p++;
            continue;
        }
        int n = utf8_len(p, e);
        if (n > 0)
            rf_buf_add(b, p, (size_t)n);
        else
            rf_buf_add(b, replacement, sizeof replacement - 1);
        p += n > 0 ? n : -n;
    }
    rf_buf_char(b, '"');
}

/** Four hex digits, which the scanner has checked. */
static uint32_t read_hex(const char *s)
{
    uint32_t v = 0;
    for (int i = 0; i < 4; i++) {
        uint32_t c = (uint8_t)s[i];
        v = v << 4 | (c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10);
    }
    return v;
}

static size_t write_utf8(uint32_t u, char *out)
{
    if (u < 0x80) {
        out[0] = (char)u;
        return 1;
    }
    if (u < 0x800) {
        out[0] = (char)(0xc0 | u >> 6);
        out[1] = (char)(0x80 | (u & 0x3f));
        return 2;
    }
    if (u < 0x10000) {
        out[0] = (char)(0xe0 | u >> 12);
        out[1] = (char)(0x80 | (u >> 6 & 0x3f));
        out[2] = (char)(0x80 | (u & 0x3f));
        return 3;
    }
    out[0] = (char)(0xf0 | u >> 18);
    out[1] = (char)(0x80 | (u >> 12 & 0x3f));
    out[2] = (char)(0x80 | (u >> 6 & 0x3f));
    out[3] = (char)(0x80 | (u & 0x3f));
    return 4;
}

static bool is_high(uint32_t u)
{
    return u >= 0xd800 && u < 0xdc00;
}

static bool is_low(uint32_t u)
{
    return u >= 0xdc00 && u < 0xe000;
}

/** The character of the \u at `s`, `left` bytes before the end; a pair of them makes one. */
static uint32_t read_unicode(const char *s, size_t left, size_t *used)
{
    uint32_t u = read_hex(s + 2);
    *used = 6;
    if (is_high(u) && left >= 12 && s[6] == '\\' && s[7] == 'u') {
        uint32_t low = read_hex(s + 8);
        if (is_low(low)) {
            *used = 12;
            return 0x10000 + ((u - 0xd800) << 10) + (low - 0xdc00);
        }
    }
    return is_high(u) || is_low(u) ? 0xfffd : u;
}

static char unescape_letter(char c)
{
    switch (c) {
    case 'b':
        return '\b';
    case 'f':
        return '\f';
    case 'n':
        return '\n';
    case 'r':
        return '\r';
    case 't':
        return '\t';
    default:
        return c;
    }
}

size_t rf_json_unescape_to(const char *s, size_t len, char *out)
{
    size_t i = 0, n = 0;
    while (i < len) {
        const char *back = memchr(s + i, '\\', len - i);
        size_t plain = back == NULL ? len - i : (size_t)(back - s) - i;
        memcpy(out + n, s + i, plain);
        n += plain;
        i += plain;
        if (len - i < 2)
            break;
        if (s[i + 1] != 'u') {
            out[n++] = unescape_letter(s[i + 1]);
            i += 2;
        } else if (len - i < 6) {
            break;
        } else {
            size_t used;
            n += write_utf8(read_unicode(s + i, len - i, &used), out + n);
            i += used;
        }
    }
    return n;
}

void rf_json_unescape(struct rf_buf *b, const char *s, size_t len)
{
    if (len > 0 && rf_buf_reserve(b, len))
        b->len += rf_json_unescape_to(s, len, b->data + b->len);
}

size_t rpcfan_json_compact(const char *json, size_t len, char *out)
{
    const uint8_t *p = (const uint8_t *)json, *const e = len > 0 ? p + len : p;
    char *to = out;
    while (p < e) {
        if (*p == ' ' || *p == '\t' || *p == '\n' || *p == '\r') {
            p++;
            continue;
        }
        const uint8_t *from = p++;
        if (*from == '"') {
            while (p < e && *p != '"') {
                const uint8_t *stop = rf_plain_skip(p, e);
                /* What stopped it: an escape takes two bytes, anything else but a quote takes one.
                 */
                if (stop < e && *stop != '"')
                    stop += *stop == '\\' && e - stop > 1 ? 2 : 1;
                p = stop;
            }
            p += p < e;
        }
        memmove(to, from, (size_t)(p - from));
        to += p - from;
    }
    return (size_t)(to - out);
}
