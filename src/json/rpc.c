/* rpc.c - JSON-RPC texts: a user's request in, ours out, an error object taken apart. One pass of
 * the scanner each; no tree, and no allocation but the caller's buffer. */
#include "json/rpc.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/** The names that a request or an error object may have. */
enum name {
    NAME_OTHER,
    NAME_JSONRPC,
    NAME_ID,
    NAME_METHOD,
    NAME_PARAMS,
    NAME_CODE,
    NAME_MESSAGE,
    NAME_DATA
};

/** The longest name, "jsonrpc", with each letter written as \uXXXX. */
#define NAME_RAW_MAX 42

/** A flat object being read: its members one by one, what nests in them checked and passed over. */
struct walk {
    const char *text;
    size_t len, pos;
    struct rf_scan scan;
    enum rf_tok tok; /* of the value: the first token, so OBJECT or ARRAY where it nests */
    uint64_t name_at;
    struct rpcfan_slice name, value; /* value: as it stands, quotes included */
    bool name_escaped, value_escaped, integer;
};

/** What walk_next() found. */
enum step { STEP_MEMBER, STEP_END, STEP_BAD };

static enum name find_name(const struct walk *w)
{
    static const struct {
        const char *text;
        size_t len;
    } names[] = {
        [NAME_OTHER] = {"", SIZE_MAX},   [NAME_JSONRPC] = {"jsonrpc", 7}, [NAME_ID] = {"id", 2},
        [NAME_METHOD] = {"method", 6},   [NAME_PARAMS] = {"params", 6},   [NAME_CODE] = {"code", 4},
        [NAME_MESSAGE] = {"message", 7}, [NAME_DATA] = {"data", 4},
    };
    char plain[NAME_RAW_MAX];
    const char *text = w->name.data;
    size_t len = w->name.len;
    if (w->name_escaped) {
        if (len > sizeof plain)
            return NAME_OTHER;
        len = rf_json_unescape_to(text, len, plain);
        text = plain;
    }
    for (int i = NAME_JSONRPC; i <= NAME_DATA; i++)
        if (names[i].len == len && memcmp(names[i].text, text, len) == 0)
            return (enum name)i;
    return NAME_OTHER;
}

static enum rf_tok scan(struct walk *w, uint32_t depth)
{
    return rf_scan_skip(&w->scan, w->text, w->len, &w->pos, depth);
}

/** Begin with the first token of the text. */
static enum rf_tok begin_walk(struct walk *w, const char *text, size_t len)
{
    w->text = text;
    w->len = len;
    w->pos = 0;
    rf_scan_init(&w->scan, RF_SCAN_DEPTH);
    return scan(w, 0);
}

/** The next member of the object that begin_walk() opened. */
static enum step next_member(struct walk *w)
{
    enum rf_tok tok = scan(w, 1);
    if (tok == RF_TOK_OBJECT_END) {
        bool whole = scan(w, 0) == RF_TOK_MORE && rf_scan_finish(&w->scan, NULL) == RPCFAN_OK;
        return whole ? STEP_END : STEP_BAD;
    }
    if (tok != RF_TOK_KEY)
        return STEP_BAD;
    w->name_at = w->scan.start;
    w->name.data = w->text + w->scan.start + 1;
    w->name.len = (size_t)(w->scan.end - w->scan.start) - 2;
    w->name_escaped = w->scan.escaped;
    w->tok = scan(w, 1);
    uint64_t at = w->scan.start;
    if (w->tok == RF_TOK_OBJECT || w->tok == RF_TOK_ARRAY) {
        if (scan(w, 1) <= RF_TOK_ERROR)
            return STEP_BAD;
    } else if (w->tok <= RF_TOK_ERROR) {
        return STEP_BAD;
    }
    w->value.data = w->text + at;
    w->value.len = (size_t)(w->scan.end - at);
    w->value_escaped = w->scan.escaped;
    w->integer = w->scan.integer;
    return STEP_MEMBER;
}

/** A string without its quotes. */
static struct rpcfan_slice bare(struct rpcfan_slice quoted)
{
    return (struct rpcfan_slice){quoted.data + 1, quoted.len - 2};
}

/** Note the first fault of a request, with its column. */
static void RF_PRINTF(4, 5)
    complain(struct rpcfan_error *err, bool *bad, uint64_t at, const char *fmt, ...)
{
    char text[200];
    va_list ap;
    if (*bad)
        return;
    *bad = true;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    rf_fail(err, RPCFAN_EINVAL, "column %llu: %s", (unsigned long long)at + 1, text);
}

/** The scanner stopped inside the text: say where and why. */
static void complain_syntax(struct walk *w, struct rpcfan_error *err, bool *bad)
{
    rf_scan_finish(&w->scan, NULL);
    complain(err, bad, w->scan.offset, "%s", rf_scan_error(&w->scan));
}

/** The text does not begin with an object. */
static void complain_top(struct walk *w, enum rf_tok first, struct rpcfan_error *err, bool *bad)
{
    if (first == RF_TOK_ERROR || (first == RF_TOK_MORE && rf_scan_finish(&w->scan, NULL) != 0))
        complain_syntax(w, err, bad);
    else if (first == RF_TOK_ARRAY)
        complain(
            err, bad, w->scan.start,
            "an array is no request: write its elements one a line, batches are formed for you");
    else
        complain(err, bad, w->scan.start,
                 "a request is an object such as {\"method\":\"eth_chainId\",\"params\":[]}");
}

/** A member that no request has: quote its name, cut where it is long, but never inside a
 * character. */
static void complain_unknown(const struct walk *w, struct rpcfan_error *err, bool *bad)
{
    size_t n = w->name.len;
    if (n > 40)
        for (n = 40; n > 0 && ((uint8_t)w->name.data[n] & 0xc0) == 0x80;)
            n--;
    complain(err, bad, w->name_at,
             "unknown member \"%.*s\": a request has only jsonrpc, id, method and params", (int)n,
             w->name.data);
}

static void take_method(const struct walk *w, struct rf_request_text *out, uint64_t at,
                        struct rpcfan_error *err, bool *bad)
{
    if (w->tok != RF_TOK_STRING || w->value.len == 2) {
        complain(err, bad, at, "method must be a string that is not empty");
        return;
    }
    out->method = bare(w->value);
    out->method_escaped = w->value_escaped;
}

/** One member of a request. `seen` has a bit for each name that came before. */
static void take_member(const struct walk *w, struct rf_request_text *out, uint32_t *seen,
                        struct rpcfan_error *err, bool *bad)
{
    enum name name = find_name(w);
    uint64_t at = (uint64_t)(w->value.data - w->text);
    if (name != NAME_OTHER && (*seen & 1u << name) != 0) {
        complain(err, bad, w->name_at, "\"%.*s\" stands twice: leave one out", (int)w->name.len,
                 w->name.data);
        return;
    }
    *seen |= 1u << name;
    switch (name) {
    case NAME_JSONRPC:
        if (w->tok != RF_TOK_STRING || w->value.len != 5 ||
            memcmp(w->value.data, "\"2.0\"", 5) != 0)
            complain(err, bad, at, "jsonrpc must be \"2.0\", or be left out");
        break;
    case NAME_ID:
        if (w->tok == RF_TOK_STRING || w->tok == RF_TOK_NUMBER || w->tok == RF_TOK_NULL)
            out->id = w->value;
        else
            complain(err, bad, at, "id must be a string, a number or null, or be left out");
        break;
    case NAME_METHOD:
        take_method(w, out, at, err, bad);
        break;
    case NAME_PARAMS:
        if (w->tok == RF_TOK_ARRAY || w->tok == RF_TOK_OBJECT)
            out->params = w->value;
        else if (w->tok != RF_TOK_NULL)
            complain(err, bad, at, "params must be an array or an object: put it in [ ]");
        break;
    default:
        complain_unknown(w, err, bad);
        break;
    }
}

enum rpcfan_err rf_request_read(const char *text, size_t len, struct rf_request_text *out,
                                struct rpcfan_error *err)
{
    struct walk w;
    bool bad = false;
    uint32_t seen = 0;
    *out = (struct rf_request_text){0};
    enum rf_tok first = begin_walk(&w, text, len);
    if (first != RF_TOK_OBJECT) {
        complain_top(&w, first, err, &bad);
        return RPCFAN_EINVAL;
    }
    enum step step;
    while ((step = next_member(&w)) == STEP_MEMBER)
        take_member(&w, out, &seen, err, &bad);
    if (step == STEP_BAD)
        complain_syntax(&w, err, &bad);
    else if ((seen & 1u << NAME_METHOD) == 0)
        complain(err, &bad, w.scan.start, "the request has no method: add \"method\":\"...\"");
    return bad ? RPCFAN_EINVAL : RPCFAN_OK;
}

/** Read an integer. @return false where it does not fit 64 bits. */
static bool read_int(struct rpcfan_slice text, int64_t *value)
{
    bool minus = text.data[0] == '-';
    uint64_t v = 0, most = minus ? (uint64_t)INT64_MAX + 1 : (uint64_t)INT64_MAX;
    for (size_t i = minus; i < text.len; i++) {
        uint64_t digit = (uint64_t)(text.data[i] - '0');
        if (v > most / 10 || v * 10 > most - digit)
            return false;
        v = v * 10 + digit;
    }
    *value = !minus ? (int64_t)v : v == 0 ? 0 : -(int64_t)(v - 1) - 1;
    return true;
}

/** One member of an error object. */
static void take_error_member(const struct walk *w, struct rf_error_text *out)
{
    switch (find_name(w)) {
    case NAME_CODE:
        out->code = 0;
        out->has_code = w->tok == RF_TOK_NUMBER && w->integer && read_int(w->value, &out->code);
        break;
    case NAME_MESSAGE:
        out->message = w->tok == RF_TOK_STRING ? bare(w->value) : (struct rpcfan_slice){0};
        break;
    case NAME_DATA:
        out->data = w->value;
        break;
    default:
        break;
    }
}

bool rf_error_read(const char *text, size_t len, struct rf_error_text *out)
{
    struct walk w;
    *out = (struct rf_error_text){0};
    enum rf_tok first = begin_walk(&w, text, len);
    if (first == RF_TOK_STRING) {
        struct rpcfan_slice whole = {text + w.scan.start, (size_t)(w.scan.end - w.scan.start)};
        out->message = bare(whole);
        return scan(&w, 0) == RF_TOK_MORE;
    }
    enum step step = STEP_BAD;
    while (first == RF_TOK_OBJECT && (step = next_member(&w)) == STEP_MEMBER)
        take_error_member(&w, out);
    return step == STEP_END;
}

void rf_request_tail(struct rf_buf *b, struct rpcfan_slice method, struct rpcfan_slice params)
{
    rf_buf_str(b, "\"method\":");
    rf_json_quote(b, method.data, method.len);
    rf_buf_str(b, ",\"params\":");
    if (params.len > 0)
        rf_buf_add(b, params.data, params.len);
    else
        rf_buf_str(b, "[]");
    rf_buf_char(b, '}');
}

void rf_request_member(struct rf_buf *b, uint64_t id, const char *tail, size_t len)
{
    static const char head[] = "{\"jsonrpc\":\"2.0\",\"id\":";
    if (len > SIZE_MAX - RF_REQUEST_HEAD_MAX || !rf_buf_reserve(b, RF_REQUEST_HEAD_MAX + len))
        return;
    char *to = b->data + b->len;
    memcpy(to, head, sizeof head - 1);
    to += sizeof head - 1;
    to += rf_u64_text(id, to);
    *to++ = ',';
    memcpy(to, tail, len);
    b->len = (size_t)(to - b->data) + len;
}
