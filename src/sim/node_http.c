/* node_http.c - an incremental HTTP/1.x request reader: header, Content-Length or chunked body.
 *
 * Happy path: find the empty line, read the header's lines once, wait for the body's bytes.
 * Failure modes: anything that would leave the place of the next request in doubt is refused with a
 * status, and the caller closes the connection: a bad length, both lengths at once, a bad chunk. */
#include "sim/node_http.h"

#include <string.h>
#include <strings.h>

struct field {
    struct rpcfan_slice name, value;
};

static bool is(struct rpcfan_slice s, const char *text)
{
    return s.len == strlen(text) && strncasecmp(s.data, text, s.len) == 0;
}

static bool parse_length(struct rpcfan_slice s, uint64_t *out)
{
    uint64_t v = 0;
    if (s.len == 0 || s.len > 18)
        return false;
    for (size_t i = 0; i < s.len; i++) {
        if (s.data[i] < '0' || s.data[i] > '9')
            return false;
        v = v * 10 + (uint64_t)(s.data[i] - '0');
    }
    *out = v;
    return true;
}

/* What a WebSocket handshake says. */
static void take_ws_field(struct rf_node_http *h, struct field f)
{
    uint64_t version;
    if (is(f.name, "Upgrade")) {
        h->upgrade = rf_find_nocase(f.value.data, f.value.len, "websocket") != NULL;
    } else if (is(f.name, "Sec-WebSocket-Key")) {
        h->key_len = (uint8_t)rf_min_u64(f.value.len, sizeof h->key);
        memcpy(h->key, f.value.data, h->key_len);
    } else if (is(f.name, "Sec-WebSocket-Version")) {
        h->version = parse_length(f.value, &version) && version < 256 ? (uint32_t)version : 0;
    }
}

static enum rf_http_found take_field(struct rf_node_http *h, struct field f)
{
    uint64_t length;
    switch (f.name.len) {
    case 6:
        if (is(f.name, "Expect"))
            h->expect = is(f.value, "100-continue");
        break;
    case 7:
    case 21:
        take_ws_field(h, f);
        break;
    case 10:
        if (!is(f.name, "Connection"))
            break;
        if (rf_find_nocase(f.value.data, f.value.len, "close") != NULL)
            h->keep_alive = false;
        else if (rf_find_nocase(f.value.data, f.value.len, "keep-alive") != NULL)
            h->keep_alive = true;
        break;
    case 14:
        if (!is(f.name, "Content-Length"))
            break;
        if (!parse_length(f.value, &length) || (h->has_length && length != h->length))
            return RF_HTTP_BAD;
        h->has_length = true;
        h->length = length;
        break;
    case 15:
        if (!is(f.name, "Accept-Encoding"))
            break;
        h->gzip_ok = rf_find_nocase(f.value.data, f.value.len, "gzip") != NULL;
        h->deflate_ok = rf_find_nocase(f.value.data, f.value.len, "deflate") != NULL;
        break;
    case 17:
        take_ws_field(h, f);
        if (!is(f.name, "Transfer-Encoding"))
            break;
        if (!is(f.value, "chunked"))
            return RF_HTTP_NOT_IMPLEMENTED;
        h->chunked = true;
        break;
    default:
        break;
    }
    return RF_HTTP_MORE;
}

/* "METHOD SP target SP HTTP/1.x"; offsets are from `text`. */
static bool take_request_line(struct rf_node_http *h, struct rpcfan_slice line, const char *text)
{
    const char *end = line.data + line.len;
    const char *target = memchr(line.data, ' ', line.len);
    if (target == NULL || target == line.data || line.len < 14)
        return false;
    const char *version = memchr(target + 1, ' ', (size_t)(end - target - 1));
    if (version == NULL || version == target + 1 || end - version != 9 ||
        memcmp(version, " HTTP/1.", 8) != 0 || (version[8] != '0' && version[8] != '1'))
        return false;
    struct rpcfan_slice name = {line.data, (size_t)(target - line.data)};
    h->method = is(name, "POST") ? RF_HTTP_POST : is(name, "GET") ? RF_HTTP_GET : RF_HTTP_OTHER;
    h->keep_alive = version[8] == '1';
    h->old = version[8] == '0';
    const char *query = memchr(target + 1, '?', (size_t)(version - target - 1));
    h->path_at = (size_t)(target + 1 - text);
    h->path_len = (size_t)((query == NULL ? version : query) - (target + 1));
    return true;
}

static bool split_field(struct rpcfan_slice line, struct field *f)
{
    const char *colon = memchr(line.data, ':', line.len);
    if (colon == NULL || colon == line.data || line.data[0] == ' ' || line.data[0] == '\t' ||
        colon[-1] == ' ' || colon[-1] == '\t')
        return false;
    const char *from = colon + 1, *to = line.data + line.len;
    while (from < to && (*from == ' ' || *from == '\t'))
        from++;
    while (to > from && (to[-1] == ' ' || to[-1] == '\t'))
        to--;
    f->name = (struct rpcfan_slice){line.data, (size_t)(colon - line.data)};
    f->value = (struct rpcfan_slice){from, (size_t)(to - from)};
    return true;
}

/* All lines of the header, `len` bytes with the empty line. */
static enum rf_http_found take_head(struct rf_node_http *h, const char *text, size_t len,
                                    uint64_t body_max)
{
    bool first = true;
    for (size_t at = 0; at + 2 < len;) {
        const char *nl = memchr(text + at, '\n', len - at);
        size_t end = (size_t)(nl - text);
        struct rpcfan_slice line = {text + at, end - at};
        struct field f;
        if (line.len > 0 && line.data[line.len - 1] == '\r')
            line.len--;
        at = end + 1;
        if (first) {
            if (!take_request_line(h, line, text))
                return RF_HTTP_BAD;
            first = false;
            continue;
        }
        if (line.len == 0)
            break;
        enum rf_http_found found = split_field(line, &f) ? take_field(h, f) : RF_HTTP_BAD;
        if (found != RF_HTTP_MORE)
            return found;
    }
    if (h->chunked && h->has_length)
        return RF_HTTP_BAD;
    h->pos = h->body_at = len;
    h->state = h->chunked ? RF_HTTP_CHUNK : RF_HTTP_BODY;
    return h->length > body_max ? RF_HTTP_TOO_LARGE : RF_HTTP_MORE;
}

/* The header's length with its empty line, or 0 while it is not there. */
static size_t find_head(struct rf_node_http *h, const char *text, size_t len)
{
    size_t from = h->scanned > 3 ? h->scanned - 3 : 0;
    for (const char *p = text + from; p < text + len; p++) {
        p = memchr(p, '\n', (size_t)(text + len - p));
        if (p == NULL)
            break;
        size_t left = (size_t)(text + len - p);
        if (left > 1 && p[1] == '\n')
            return (size_t)(p - text) + 2;
        if (left > 2 && p[1] == '\r' && p[2] == '\n')
            return (size_t)(p - text) + 3;
    }
    h->scanned = len;
    return 0;
}

/* "1a3;extension\r\n" @return false: not whole; *size is UINT64_MAX where it is no size. */
static bool chunk_size(const char *text, size_t len, size_t *pos, uint64_t *size)
{
    const char *nl = memchr(text + *pos, '\n', len - *pos);
    *size = UINT64_MAX;
    if (nl == NULL)
        return len - *pos > 1024; /* no sane extension is that long */
    uint64_t v = 0;
    const char *p = text + *pos;
    for (; p < nl && p - (text + *pos) < 15; p++) {
        char c = (char)(*p | 32);
        if (*p >= '0' && *p <= '9')
            v = v * 16 + (uint64_t)(*p - '0');
        else if (c >= 'a' && c <= 'f')
            v = v * 16 + (uint64_t)(c - 'a' + 10);
        else
            break;
    }
    if (p > text + *pos && (*p == '\r' || *p == '\n' || *p == ';' || *p == ' '))
        *size = v;
    *pos = (size_t)(nl - text) + 1;
    return true;
}

static enum rf_http_found read_chunks(struct rf_node_http *h, char *text, size_t len,
                                      uint64_t body_max)
{
    for (;;) {
        if (h->state == RF_HTTP_CHUNK) {
            if (!chunk_size(text, len, &h->pos, &h->length))
                return RF_HTTP_MORE;
            if (h->length == UINT64_MAX)
                return RF_HTTP_BAD;
            if (h->length > body_max - h->body_len) {
                h->length = 0;
                return RF_HTTP_TOO_LARGE;
            }
            h->state = h->length == 0 ? RF_HTTP_TRAILER : RF_HTTP_CHUNK_DATA;
        } else if (h->state == RF_HTTP_CHUNK_DATA) {
            if (len - h->pos < h->length + 2)
                return RF_HTTP_MORE;
            if (memcmp(text + h->pos + h->length, "\r\n", 2) != 0)
                return RF_HTTP_BAD;
            memmove(text + h->body_at + h->body_len, text + h->pos, (size_t)h->length);
            h->body_len += (size_t)h->length;
            h->pos += (size_t)h->length + 2;
            h->state = RF_HTTP_CHUNK;
        } else {
            const char *nl = memchr(text + h->pos, '\n', len - h->pos);
            if (nl == NULL)
                return len - h->pos > RF_HTTP_HEAD_MAX ? RF_HTTP_HEAD_TOO_LARGE : RF_HTTP_MORE;
            size_t line = (size_t)(nl - text) - h->pos;
            bool last = line == 0 || (line == 1 && text[h->pos] == '\r');
            h->pos += line + 1;
            if (last)
                return RF_HTTP_WHOLE;
        }
    }
}

enum rf_http_found rf_node_http_read(struct rf_node_http *h, char *text, size_t len,
                                     uint64_t body_max)
{
    if (h->state == RF_HTTP_HEAD) {
        /* A TLS handshake would else wait for an empty line until its client gives up. */
        if (len > 0 && text[0] == 0x16)
            return RF_HTTP_BAD;
        size_t head = find_head(h, text, len);
        if (head == 0)
            return len > RF_HTTP_HEAD_MAX ? RF_HTTP_HEAD_TOO_LARGE : RF_HTTP_MORE;
        enum rf_http_found found = take_head(h, text, head, body_max);
        if (found != RF_HTTP_MORE)
            return found;
    }
    if (h->state == RF_HTTP_BODY) {
        if (len - h->pos < h->length)
            return RF_HTTP_MORE;
        h->body_len = (size_t)h->length;
        h->pos += h->body_len;
        return RF_HTTP_WHOLE;
    }
    return read_chunks(h, text, len, body_max);
}

const char *rf_node_http_reason(unsigned status)
{
    static const struct {
        unsigned status;
        const char *reason;
    } table[] = {{200, "OK"},
                 {101, "Switching Protocols"},
                 {426, "Upgrade Required"},
                 {400, "Bad Request"},
                 {401, "Unauthorized"},
                 {402, "Payment Required"},
                 {403, "Forbidden"},
                 {404, "Not Found"},
                 {405, "Method Not Allowed"},
                 {408, "Request Timeout"},
                 {413, "Payload Too Large"},
                 {429, "Too Many Requests"},
                 {431, "Request Header Fields Too Large"},
                 {500, "Internal Server Error"},
                 {501, "Not Implemented"},
                 {502, "Bad Gateway"},
                 {503, "Service Unavailable"},
                 {504, "Gateway Timeout"},
                 {102, "Processing"},
                 {103, "Early Hints"}};
    for (size_t i = 0; i < RF_COUNT(table); i++)
        if (table[i].status == status)
            return table[i].reason;
    return "Status";
}
