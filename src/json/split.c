/* split.c - the batch splitter: keeps book of where ids, results and errors stand while the scanner
 * walks over a body. What lies inside a result is checked in the scanner's own loop and costs
 * nothing here. The body is never copied; memory is one struct rf_member a member, up to `max`. */
#include "json/split.h"

#include <string.h>

#include "base/mem.h"
#include "json/plain.h"
#include "json/rpc.h"

/** Which member of a response object the next value belongs to. */
enum field { FIELD_OTHER, FIELD_ID, FIELD_RESULT, FIELD_ERROR };

/** A byte order mark: not told yet, begun at the end of what came, or told. */
enum bom { BOM_MAYBE, BOM_CUT, BOM_STOOD, BOM_NONE };

/** The longest name looked for, "result", with each letter written as \uXXXX. */
#define NAME_RAW_MAX 36

/** Members that the first allocation holds. */
#define MEMBERS_MIN 32

static const char bom_bytes[3] = {'\xef', '\xbb', '\xbf'};

void rf_split_init(struct rf_split *s, uint32_t max)
{
    struct rf_member *member = s->member;
    uint32_t cap = s->cap;
    *s = (struct rf_split){.member = member, .cap = cap, .max = max > 0 ? max : 1};
    rf_scan_init(&s->scan, RF_SCAN_DEPTH);
}

void rf_split_fini(struct rf_split *s)
{
    rf_free(s->member);
    *s = (struct rf_split){0};
}

static void store(struct rf_split *s)
{
    if (s->n == s->max) {
        s->overflow++;
        return;
    }
    if (s->n == s->cap) {
        uint64_t cap = s->cap < MEMBERS_MIN / 2 ? MEMBERS_MIN : (uint64_t)s->cap * 2;
        cap = rf_min_u64(cap, s->max);
        struct rf_member *grown = rf_realloc(s->member, (size_t)cap * sizeof *grown);
        if (grown == NULL) {
            s->no_memory = true;
            s->shape = RF_SHAPE_BAD;
            return;
        }
        s->member = grown;
        s->cap = (uint32_t)cap;
    }
    s->member[s->n++] = s->cur;
}

static enum field name_field(const char *name, size_t len)
{
    if (len == 2)
        return memcmp(name, "id", 2) == 0 ? FIELD_ID : FIELD_OTHER;
    if (len == 6)
        return memcmp(name, "result", 6) == 0 ? FIELD_RESULT : FIELD_OTHER;
    if (len == 5)
        return memcmp(name, "error", 5) == 0 ? FIELD_ERROR : FIELD_OTHER;
    return FIELD_OTHER;
}

/** The field that the scanner's key, quotes included, names. */
static enum field key_field(const struct rf_scan *scan, const char *body)
{
    const char *name = body + scan->start + 1;
    size_t len = (size_t)(scan->end - scan->start) - 2;
    if (!scan->escaped)
        return name_field(name, len);
    char plain[NAME_RAW_MAX];
    if (len > sizeof plain)
        return FIELD_OTHER;
    return name_field(plain, rf_json_unescape_to(name, len, plain));
}

/** Read digits that fit 64 bits. @return how many bytes they are; 0 where there are none. */
static size_t read_digits(const char *text, size_t len, uint64_t *value)
{
    uint64_t v = 0;
    size_t i = 0;
    for (; i < len && text[i] >= '0' && text[i] <= '9'; i++) {
        uint64_t digit = (uint64_t)(text[i] - '0');
        if (i >= 19 && (v > UINT64_MAX / 10 || v * 10 > UINT64_MAX - digit))
            return 0;
        v = v * 10 + digit;
    }
    *value = v;
    return i;
}

/** Read an id that is a number or a string. @return false where it is no unsigned integer. */
static bool read_id(enum rf_tok tok, const char *text, size_t len, uint64_t *id)
{
    if (tok == RF_TOK_STRING) {
        text++;
        len -= 2;
    }
    size_t n = read_digits(text, len, id);
    if (n == 0 || n == len)
        return n > 0;
    if (tok != RF_TOK_NUMBER || text[n] != '.')
        return false;
    for (n++; n < len; n++)
        if (text[n] != '0')
            return false;
    return true;
}

/** An id came: note it, unless it contradicts one that was there before. */
static void take_id(struct rf_member *m, enum rf_tok tok, const char *text, size_t len)
{
    uint64_t id = 0;
    uint8_t kind = RF_ID_OTHER;
    if (tok == RF_TOK_NULL)
        kind = RF_ID_NULL;
    else if ((tok == RF_TOK_NUMBER || tok == RF_TOK_STRING) && read_id(tok, text, len, &id))
        kind = RF_ID_UINT;
    bool agrees = m->id_kind == RF_ID_NONE || (m->id_kind == kind && m->id == id);
    m->id_kind = agrees ? kind : RF_ID_OTHER;
    m->id = m->id_kind == RF_ID_UINT ? id : 0;
}

/** A member's value is complete: `tok` is its last or only token. */
static void take_value(struct rf_split *s, enum rf_tok tok, const char *body)
{
    struct rf_member *m = &s->cur;
    uint64_t len = s->scan.end - s->value_at;
    bool nests = tok == RF_TOK_OBJECT_END || tok == RF_TOK_ARRAY_END;
    switch (s->field) {
    case FIELD_ID:
        take_id(m, tok, body + s->value_at, (size_t)len);
        break;
    case FIELD_RESULT:
        m->twice |= m->result_len > 0;
        m->space |= nests && s->scan.space;
        m->result_at = s->value_at;
        m->result_len = len;
        break;
    case FIELD_ERROR:
        m->twice |= m->error_len > 0;
        m->space |= nests && s->scan.space;
        m->error_at = s->value_at;
        m->error_len = len;
        break;
    default:
        break;
    }
}

/** A response object is complete. */
static void end_member(struct rf_split *s, const char *body)
{
    struct rf_member *m = &s->cur;
    /* Of all JSON values only null begins with an n. */
    if (m->result_len > 0 && m->error_len > 0 && body[m->result_at] != 'n' &&
        body[m->error_at] != 'n')
        m->twice = true;
    s->in_member = false;
    store(s);
}

static void begin_member(struct rf_split *s)
{
    s->cur = (struct rf_member){0};
    s->field = FIELD_OTHER;
    s->in_member = true;
}

/** What most nodes write, to the byte; behind it an id, a result and the brace. */
static const char plain_head[] = "{\"jsonrpc\":\"2.0\",\"id\":";
static const char plain_mid[] = ",\"result\":";

/** Whether a constant stands at `p`. */
#define STANDS(p, end, text)                                                                       \
    ((size_t)((end) - (p)) >= sizeof(text) - 1 && memcmp((p), (text), sizeof(text) - 1) == 0)

/** The bytes of a result that is a string of plain ASCII; 0: it is none. */
static size_t plain_result(const char *p, const char *end)
{
    if (p == end || *p != '"')
        return 0;
    const uint8_t *begin = (const uint8_t *)p, *e = (const uint8_t *)end;
    const uint8_t *quote = rf_plain_skip(begin + 1, e);
    return quote < e && *quote == '"' ? (size_t)(quote - begin) + 1 : 0;
}

/** Read one member in the plain form from its brace on. @return behind its brace; NULL: not plain.
 */
static const char *plain_member(const char *p, const char *end, const char *body,
                                struct rf_member *m)
{
    if (!STANDS(p, end, plain_head))
        return NULL;
    p += sizeof plain_head - 1;
    uint64_t id;
    size_t digits = read_digits(p, (size_t)(end - p), &id);
    if (digits == 0 || (digits > 1 && *p == '0'))
        return NULL;
    p += digits;
    if (!STANDS(p, end, plain_mid))
        return NULL;
    p += sizeof plain_mid - 1;
    size_t len = plain_result(p, end);
    if (len == 0 || p + len == end || p[len] != '}')
        return NULL;
    *m = (struct rf_member){
        .id = id, .id_kind = RF_ID_UINT, .result_at = (uint64_t)(p - body), .result_len = len};
    return p + len + 1;
}

/**
 * Read members in the plain form, as many as stand one behind the other from the brace on that the
 * scanner just passed. They come out as by the way of single tokens, only sooner.
 * @return the bytes behind that brace that were read; 0: the usual way must do it.
 */
static size_t read_plain(struct rf_split *s, const char *body, uint64_t len)
{
    const char *begin = body + s->scan.start, *end = body + len, *done = NULL;
    const char *p = plain_member(begin, end, body, &s->cur);
    while (p != NULL) {
        done = p;
        store(s);
        bool more = s->shape == RF_SHAPE_ARRAY && p < end && *p == ',';
        p = more ? plain_member(p + 1, end, body, &s->cur) : NULL;
    }
    if (done == NULL)
        return 0;
    s->in_member = false;
    return (size_t)(done - begin) - 1;
}

/** A token inside a response object, whose own keys and values stand at depth `level`. */
static void take_inside(struct rf_split *s, enum rf_tok tok, const char *body, uint32_t level)
{
    switch (tok) {
    case RF_TOK_KEY:
        s->field = (uint8_t)key_field(&s->scan, body);
        break;
    case RF_TOK_OBJECT:
    case RF_TOK_ARRAY:
        s->value_at = s->scan.start;
        s->scan.space = false;
        break;
    case RF_TOK_OBJECT_END:
    case RF_TOK_ARRAY_END:
        if (s->scan.depth < level)
            end_member(s, body);
        else
            take_value(s, tok, body);
        break;
    default:
        s->value_at = s->scan.start;
        take_value(s, tok, body);
        break;
    }
}

/** A token outside of response objects: the top of the body, or an element of the batch. */
static void take_outside(struct rf_split *s, enum rf_tok tok)
{
    bool opens = tok == RF_TOK_OBJECT || tok == RF_TOK_ARRAY;
    uint32_t at = s->scan.depth - (opens ? 1u : 0u);
    if (s->shape == RF_SHAPE_NONE) {
        s->shape = tok == RF_TOK_OBJECT  ? RF_SHAPE_OBJECT
                   : tok == RF_TOK_ARRAY ? RF_SHAPE_ARRAY
                                         : RF_SHAPE_OTHER;
        if (tok == RF_TOK_OBJECT)
            begin_member(s);
    } else if (s->shape == RF_SHAPE_ARRAY && at == 1) {
        if (tok == RF_TOK_OBJECT)
            begin_member(s);
        else if (tok != RF_TOK_ARRAY_END)
            s->not_objects++;
    }
}

/** Step over a byte order mark. @return false while it cannot be told yet. */
static bool pass_bom(struct rf_split *s, const char *body, uint64_t len)
{
    size_t n = (size_t)rf_min_u64(len, sizeof bom_bytes);
    if (memcmp(body, bom_bytes, n) != 0) {
        s->bom = BOM_NONE;
    } else if (n < sizeof bom_bytes) {
        s->bom = BOM_CUT;
    } else {
        s->bom = BOM_STOOD;
        s->fed = s->scan.offset = sizeof bom_bytes;
    }
    return s->bom != BOM_CUT;
}

/** How deep the members' own keys stand. */
static uint32_t level_of(const struct rf_split *s)
{
    return s->shape == RF_SHAPE_ARRAY ? 2 : 1;
}

void rf_split_feed(struct rf_split *s, const char *body, uint64_t len)
{
    if (len <= s->fed || s->shape == RF_SHAPE_BAD)
        return;
    if (s->bom <= BOM_CUT && !pass_bom(s, body, len))
        return;
    const char *chunk = body + s->fed;
    size_t n = (size_t)(len - s->fed), pos = 0;
    while (s->shape != RF_SHAPE_BAD) {
        uint32_t level = level_of(s);
        enum rf_tok tok = rf_scan_skip(&s->scan, chunk, n, &pos, level);
        if (tok == RF_TOK_MORE)
            break;
        if (tok == RF_TOK_ERROR)
            s->shape = RF_SHAPE_BAD;
        else if (s->in_member)
            take_inside(s, tok, body, level);
        else
            take_outside(s, tok);
        if (tok == RF_TOK_OBJECT && s->in_member && s->scan.depth == level_of(s)) {
            size_t passed = read_plain(s, body, len);
            if (passed > 0) {
                rf_scan_pass_object(&s->scan, passed);
                pos += passed;
            }
        }
    }
    s->fed = len;
}

/** Whether nothing but whitespace came, a byte order mark aside. */
static bool blank(const struct rf_split *s, const char *body)
{
    uint64_t i = s->bom == BOM_STOOD ? sizeof bom_bytes : 0;
    while (i < s->fed && memchr(" \t\n\r", body[i], 4) != NULL)
        i++;
    return i == s->fed;
}

void rf_split_finish(struct rf_split *s, const char *body)
{
    if (s->shape == RF_SHAPE_BAD)
        return;
    int number = 0;
    if (s->bom == BOM_CUT)
        s->shape = RF_SHAPE_BAD;
    else if (s->shape == RF_SHAPE_NONE && blank(s, body))
        return;
    else if (rf_scan_finish(&s->scan, &number) != RPCFAN_OK)
        s->shape = RF_SHAPE_BAD;
    else if (number)
        s->shape = RF_SHAPE_OTHER;
}
