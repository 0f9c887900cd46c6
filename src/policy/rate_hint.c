/* rate_hint.c - reads rate-limit headers. Called by net/http for responses that have one. Pure.
 *
 * Worked example: `RateLimit-Policy: "burst";q=100;w=60, "day";q=5000;w=86400` and
 * `RateLimit: "burst";r=12;t=8, "day";r=4100;t=70000` are 12 requests left for 8 s, of 100 in 60 s.
 *
 *   RF_RATE_ITEMS   8          entries of a list that are kept; a server has two or three
 *   LONGEST         366 d      a longer reset or window is cut: nobody waits for it
 *   EPOCH_S         10^9 s     31 years: a "delta" beyond it is an instant (September 2001 on)
 *   EPOCH_MS        10^12      the same in ms */
#include "policy/rate_hint.h"

#include <string.h>
#include <strings.h>

#define LONGEST_S (UINT64_C(366) * 24 * 3600)
#define EPOCH_S UINT64_C(1000000000)
#define EPOCH_MS UINT64_C(1000000000000)
#define SF_DIGITS 15 /* of an integer (RFC 8941, 3.3.1) */
#define FNV_BASIS UINT64_C(14695981039346656037)
#define FNV_PRIME UINT64_C(1099511628211)

enum part { LIMIT, REMAINING, RESET };

enum sf_type { SF_INTEGER, SF_DECIMAL, SF_STRING, SF_TOKEN, SF_BYTES, SF_BOOLEAN };

/* A bare item. Texts are only ever compared, so they are kept as a hash. */
struct sf {
    enum sf_type type;
    bool negative;
    uint64_t number; /* integer; whole part of a decimal */
    uint64_t text;   /* string, token */
};

/* The parameters that mean something here. */
struct params {
    bool has_q, has_w, has_r, has_t, not_calls;
    uint64_t q, w, r, t;
};

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_lower(char c)
{
    return c >= 'a' && c <= 'z';
}

static bool is_letter(char c)
{
    return is_lower((char)(c | 0x20));
}

static uint64_t hash_add(uint64_t hash, char c)
{
    return (hash ^ (unsigned char)c) * FNV_PRIME;
}

static uint64_t hash_of(const char *text)
{
    uint64_t hash = FNV_BASIS;
    for (; *text != '\0'; text++)
        hash = hash_add(hash, *text);
    return hash;
}

static uint64_t seconds_ns(uint64_t s)
{
    return rf_min_u64(s, LONGEST_S) * RF_SEC;
}

static bool read_number(const char **p, struct sf *out)
{
    const char *c = *p;
    int digits = 0;
    *out = (struct sf){.type = SF_INTEGER, .negative = *c == '-'};
    for (c += out->negative ? 1 : 0; is_digit(*c) && digits <= SF_DIGITS; c++, digits++)
        out->number = out->number * 10 + (uint64_t)(*c - '0');
    if (digits == 0 || digits > SF_DIGITS)
        return false;
    if (*c == '.') {
        int fraction = 0;
        for (c++; is_digit(*c); c++)
            fraction++;
        if (fraction == 0 || fraction > 3 || digits > 12)
            return false;
        out->type = SF_DECIMAL;
    }
    *p = c;
    return true;
}

static bool read_string(const char **p, struct sf *out)
{
    const char *c = *p + 1;
    *out = (struct sf){.type = SF_STRING, .text = FNV_BASIS};
    for (; *c != '"'; c++) {
        if (*c == '\\' && *++c != '"' && *c != '\\')
            return false;
        if ((unsigned char)*c < ' ' || (unsigned char)*c >= 0x7f)
            return false;
        out->text = hash_add(out->text, *c);
    }
    *p = c + 1;
    return true;
}

static bool is_token(char c)
{
    return is_letter(c) || is_digit(c) || (c != '\0' && strchr("!#$%&'*+-.^_`|~:/", c) != NULL);
}

/* A boolean or a byte sequence: only passed over. */
static bool read_other(const char **p, struct sf *out)
{
    const char *c = *p + 1;
    *out = (struct sf){.type = **p == '?' ? SF_BOOLEAN : SF_BYTES};
    if (out->type == SF_BOOLEAN) {
        if (*c != '0' && *c != '1')
            return false;
    } else {
        while (is_letter(*c) || is_digit(*c) || *c == '+' || *c == '/' || *c == '=')
            c++;
        if (*c != ':')
            return false;
    }
    *p = c + 1;
    return true;
}

static bool read_item(const char **p, struct sf *out)
{
    const char *c = *p;
    if (is_digit(*c) || *c == '-')
        return read_number(p, out);
    if (*c == '"')
        return read_string(p, out);
    if (*c == '?' || *c == ':')
        return read_other(p, out);
    if (!is_letter(*c) && *c != '*')
        return false;
    *out = (struct sf){.type = SF_TOKEN, .text = FNV_BASIS};
    for (; is_token(*c); c++)
        out->text = hash_add(out->text, *c);
    *p = c;
    return true;
}

/* @return the key's length, 0 where there is none. */
static size_t key_length(const char *p)
{
    size_t n = 0;
    if (!is_lower(p[0]) && p[0] != '*')
        return 0;
    while (is_lower(p[n]) || is_digit(p[n]) || (p[n] != '\0' && strchr("_-.*", p[n]) != NULL))
        n++;
    return n;
}

static bool keep_param(struct params *out, const char *key, size_t len, const struct sf *v)
{
    bool counts = v->type == SF_INTEGER && !v->negative;
    if (len == 2 && memcmp(key, "qu", 2) == 0) {
        out->not_calls = v->text != hash_of("requests");
        return v->type == SF_STRING || v->type == SF_TOKEN;
    }
    if (len != 1 || strchr("qwrt", *key) == NULL)
        return true;
    bool *has = *key == 'q'   ? &out->has_q
                : *key == 'w' ? &out->has_w
                : *key == 'r' ? &out->has_r
                              : &out->has_t;
    uint64_t *value = *key == 'q'   ? &out->q
                      : *key == 'w' ? &out->w
                      : *key == 'r' ? &out->r
                                    : &out->t;
    *has = true;
    *value = v->number;
    return counts;
}

static bool read_params(const char **p, struct params *out)
{
    *out = (struct params){0};
    while (**p == ';') {
        struct sf value = {.type = SF_BOOLEAN};
        const char *key = *p + 1;
        key += strspn(key, " ");
        size_t len = key_length(key);
        *p = key + len;
        if (len == 0)
            return false;
        if (**p == '=') {
            (*p)++;
            if (!read_item(p, &value))
                return false;
        }
        if (!keep_param(out, key, len, &value))
            return false;
    }
    return true;
}

/* Behind a member: the end, or a comma with another member to come. */
static bool next_member(const char **p, bool *more)
{
    *p += strspn(*p, " \t");
    *more = **p == ',';
    if (**p == '\0')
        return true;
    if (!*more)
        return false;
    (*p)++;
    *p += strspn(*p, " \t");
    return **p != '\0';
}

typedef bool (*take_member)(struct rf_rate_reader *r, const struct sf *item,
                            const struct params *params);

/* A list of items, each handed to `take`. @return false where it is malformed, or not wanted. */
static bool read_list(struct rf_rate_reader *r, const char *p, take_member take)
{
    bool more;
    p += strspn(p, " \t");
    more = *p != '\0';
    while (more) {
        struct sf item;
        struct params params;
        if (!read_item(&p, &item) || !read_params(&p, &params) || !take(r, &item, &params) ||
            !next_member(&p, &more))
            return false;
    }
    return true;
}

static bool is_name(const struct sf *item)
{
    return item->type == SF_STRING || item->type == SF_TOKEN;
}

static bool is_count(const struct sf *item)
{
    return item->type == SF_INTEGER && !item->negative;
}

static bool take_policy(struct rf_rate_reader *r, const struct sf *item,
                        const struct params *params)
{
    bool older = is_count(item);
    if (r->n_policies == RF_RATE_ITEMS || (!older && (!is_name(item) || !params->has_q)))
        return false;
    r->policy[r->n_policies++] =
        (struct rf_rate_policy){.name = older ? item->number : item->text,
                                .quota = older ? item->number : params->q,
                                .window_ns = params->has_w ? seconds_ns(params->w) : 0,
                                .older = older,
                                .not_calls = params->not_calls};
    return true;
}

static bool take_item(struct rf_rate_reader *r, const struct sf *item, const struct params *params)
{
    if (r->n_items == RF_RATE_ITEMS || !is_name(item) || !params->has_r)
        return false;
    r->item[r->n_items++] =
        (struct rf_rate_item){.name = item->text,
                              .remaining = params->r,
                              .reset_ns = params->has_t ? seconds_ns(params->t) : RF_NEVER};
    return true;
}

/* `100`, `100;w=60` or `100, 100;w=60, 1000;w=3600`: the first is the quota, and a window of the
 * same quota is its window. */
static bool read_limit(struct rf_rate_triple *t, const char *p)
{
    struct rf_rate_triple read = {0};
    bool more, first = true;
    do {
        struct sf item;
        struct params params;
        if (!read_item(&p, &item) || !is_count(&item) || !read_params(&p, &params) ||
            !next_member(&p, &more))
            return false;
        if (first)
            read.quota = item.number;
        if (params.has_w && item.number == read.quota)
            read.window_ns = seconds_ns(params.w);
        first = false;
    } while (more);
    if (read.quota == 0)
        t->no_limit = true;
    if (t->quota == 0 || read.quota < t->quota) {
        t->quota = read.quota;
        t->window_ns = read.window_ns;
    }
    return true;
}

/* A number with an optional fraction, in thousandths. */
static bool read_thousandths(const char *p, uint64_t *out)
{
    uint64_t whole = 0, fraction = 0, unit = 100;
    if (!is_digit(*p))
        return false;
    for (; is_digit(*p); p++) {
        if (whole > UINT64_MAX / 10000 - 1)
            return false;
        whole = whole * 10 + (uint64_t)(*p - '0');
    }
    if (*p == '.' && is_digit(p[1])) {
        for (p++; is_digit(*p); p++, unit /= 10)
            fraction += (uint64_t)(*p - '0') * unit;
    }
    *out = whole * 1000 + fraction;
    return p[strspn(p, " \t")] == '\0';
}

/* Of several headers of one name the tightest counts: proxies add theirs. */
static void note_remaining(struct rf_rate_triple *t, uint64_t v)
{
    t->remaining = rf_min_u64(t->remaining, v);
}

static void note_reset(struct rf_rate_triple *t, uint64_t ms)
{
    t->reset_ms = t->reset_ms == RF_NEVER ? ms : rf_max_u64(t->reset_ms, ms);
}

/* `limit=100, remaining=50, reset=30`: drafts 07 and 08. */
static bool read_dictionary(struct rf_rate_reader *r, const char *p)
{
    static const char *const keys[] = {"limit", "remaining", "reset"};
    uint64_t value[RF_COUNT(keys)] = {0};
    bool has[RF_COUNT(keys)] = {false}, more;
    p += strspn(p, " \t");
    do {
        struct sf item;
        struct params params;
        const char *key = p;
        size_t len = key_length(p);
        p += len;
        if (len == 0 || *p++ != '=' || !read_item(&p, &item) || !read_params(&p, &params) ||
            !next_member(&p, &more))
            return false;
        for (size_t i = 0; i < RF_COUNT(keys); i++) {
            if (strlen(keys[i]) != len || memcmp(keys[i], key, len) != 0)
                continue;
            if (!is_count(&item))
                return false;
            has[i] = true;
            value[i] = item.number;
        }
    } while (more);
    if (has[0])
        r->older.quota = value[0];
    if (has[1])
        note_remaining(&r->older, value[1]);
    if (has[2])
        note_reset(&r->older, value[2] * 1000);
    return true;
}

void rf_rate_reader_init(struct rf_rate_reader *r)
{
    static const uint64_t spans_s[RF_RATE_SPANS] = {0, 1, 60, 3600, 86400, UINT64_C(30) * 86400};
    *r = (struct rf_rate_reader){.older = {.remaining = UINT64_MAX, .reset_ms = RF_NEVER}};
    for (size_t i = 0; i < RF_RATE_SPANS; i++)
        r->x[i] = (struct rf_rate_triple){
            .window_ns = spans_s[i] * RF_SEC, .remaining = UINT64_MAX, .reset_ms = RF_NEVER};
}

bool rf_rate_header(const char *line, size_t len)
{
    /* Few headers begin with these letters, so nearly all are done with here. */
    if (len < 9 || ((line[0] | 0x20) != 'r' && (line[0] | 0x20) != 'x'))
        return false;
    return strncasecmp(line, "ratelimit", 9) == 0 || strncasecmp(line, "x-rate", 6) == 0;
}

static void take_part(struct rf_rate_triple *t, enum part part, const char *value)
{
    uint64_t v;
    value += strspn(value, " \t");
    if (part == LIMIT) {
        uint64_t window_ns = t->window_ns;
        read_limit(t, value);
        if (t->window_ns == 0)
            t->window_ns = window_ns; /* the header's name has it */
    } else if (read_thousandths(value, &v)) {
        if (part == REMAINING)
            note_remaining(t, v / 1000);
        else
            note_reset(t, v);
    }
}

/* `name` is behind RateLimit- or X-RateLimit-: Limit, Remaining or Reset, and of `spans` the one
 * that a suffix names. */
static void take_triple(struct rf_rate_triple *spans, size_t n_spans, const char *name,
                        const char *value)
{
    static const char *const parts[] = {
        [LIMIT] = "limit", [REMAINING] = "remaining", [RESET] = "reset"};
    static const char *const suffixes[RF_RATE_SPANS] = {"",      "-second", "-minute",
                                                        "-hour", "-day",    "-month"};
    for (size_t i = 0; i < RF_COUNT(parts); i++) {
        size_t n = strlen(parts[i]);
        if (strncasecmp(name, parts[i], n) != 0)
            continue;
        for (size_t k = 0; k < n_spans; k++) {
            if (strcasecmp(name + n, suffixes[k]) == 0)
                take_part(&spans[k], (enum part)i, value);
        }
    }
}

void rf_rate_reader_take(struct rf_rate_reader *r, const char *name, const char *value)
{
    static const char *const prefixes[] = {"X-RateLimit-", "X-Rate-Limit-"};
    if (strcasecmp(name, "RateLimit-Policy") == 0) {
        r->bad_policies = !read_list(r, value, take_policy) || r->bad_policies;
    } else if (strcasecmp(name, "RateLimit") == 0) {
        if (!read_list(r, value, take_item) && !read_dictionary(r, value))
            r->bad_items = true;
    } else if (strncasecmp(name, "RateLimit-", 10) == 0) {
        take_triple(&r->older, 1, name + 10, value);
    } else {
        for (size_t i = 0; i < RF_COUNT(prefixes); i++) {
            size_t n = strlen(prefixes[i]);
            if (strncasecmp(name, prefixes[i], n) == 0)
                take_triple(r->x, RF_RATE_SPANS, name + n, value);
        }
    }
}

static const struct rf_rate_policy *find_policy(const struct rf_rate_reader *r, uint64_t name,
                                                bool older)
{
    for (size_t i = 0; i < r->n_policies && !r->bad_policies; i++) {
        if (r->policy[i].older == older && r->policy[i].name == name)
            return &r->policy[i];
    }
    return NULL;
}

/* The entry with the fewest requests left; of equal ones, that which is restored last. */
static const struct rf_rate_item *tightest_item(const struct rf_rate_reader *r)
{
    const struct rf_rate_item *best = NULL;
    for (size_t i = 0; i < r->n_items && !r->bad_items; i++) {
        const struct rf_rate_item *it = &r->item[i];
        const struct rf_rate_policy *policy = find_policy(r, it->name, false);
        if (policy != NULL && policy->not_calls)
            continue;
        if (best == NULL || it->remaining < best->remaining ||
            (it->remaining == best->remaining && it->reset_ns > best->reset_ns))
            best = it;
    }
    return best;
}

/* The policy of the lowest rate; one without a window only where no other is there. */
static const struct rf_rate_policy *tightest_policy(const struct rf_rate_reader *r, bool older)
{
    const struct rf_rate_policy *best = NULL;
    for (size_t i = 0; i < r->n_policies && !r->bad_policies; i++) {
        const struct rf_rate_policy *p = &r->policy[i];
        if (p->older != older || p->not_calls)
            continue;
        if (best == NULL || (best->window_ns == 0 && p->window_ns > 0) ||
            (p->window_ns > 0 && (double)p->quota * (double)best->window_ns <
                                     (double)best->quota * (double)p->window_ns))
            best = p;
    }
    return best;
}

static void put_quota(struct rf_rate_hint *out, uint64_t quota, uint64_t window_ns)
{
    if (out->quota > 0)
        return;
    out->quota = quota;
    out->window_ns = quota > 0 ? window_ns : 0;
}

static bool says_left(const struct rf_rate_hint *out)
{
    return out->remaining != UINT64_MAX || out->reset_ns != RF_NEVER;
}

static uint64_t reset_ns(uint64_t ms, int64_t wall_s)
{
    if (ms == RF_NEVER)
        return RF_NEVER;
    uint64_t now_ms = wall_s > 0 ? (uint64_t)wall_s * 1000 : 0;
    if (ms > EPOCH_MS * 1000)
        ms = rf_time_sub(ms / 1000, now_ms);
    else if (ms > EPOCH_S * 1000)
        ms = rf_time_sub(ms, now_ms);
    return rf_min_u64(ms, LONGEST_S * 1000) * RF_MS;
}

static void put_triple(struct rf_rate_hint *out, const struct rf_rate_triple *t, int64_t wall_s)
{
    if (t->no_limit)
        return;
    if (!says_left(out)) {
        out->remaining = t->remaining;
        out->reset_ns = reset_ns(t->reset_ms, wall_s);
    }
    put_quota(out, t->quota, t->window_ns);
}

static const struct rf_rate_triple *tightest_triple(const struct rf_rate_triple *t, size_t n)
{
    const struct rf_rate_triple *best = &t[0];
    for (size_t i = 1; i < n; i++) {
        bool nothing = best->no_limit || (best->remaining == UINT64_MAX && best->quota == 0 &&
                                          best->reset_ms == RF_NEVER);
        if (!t[i].no_limit && (t[i].remaining < best->remaining || nothing))
            best = &t[i];
    }
    return best;
}

void rf_rate_reader_finish(const struct rf_rate_reader *r, int64_t wall_s, struct rf_rate_hint *out)
{
    struct rf_rate_triple older = r->older;
    const struct rf_rate_item *item = tightest_item(r);
    const struct rf_rate_policy *policy =
        item != NULL ? find_policy(r, item->name, false) : tightest_policy(r, false);
    rf_rate_hint_init(out);
    if (item != NULL) {
        out->remaining = item->remaining;
        out->reset_ns = item->reset_ns;
    }
    if (policy != NULL)
        put_quota(out, policy->quota, policy->window_ns);

    policy = older.quota > 0 ? find_policy(r, older.quota, true) : tightest_policy(r, true);
    if (policy != NULL && older.window_ns == 0) {
        older.quota = policy->quota;
        older.window_ns = policy->window_ns;
    }
    put_triple(out, &older, wall_s);
    put_triple(out, tightest_triple(r->x, RF_RATE_SPANS), wall_s);
    out->any = says_left(out) || out->quota > 0;
}
