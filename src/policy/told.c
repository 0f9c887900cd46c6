/* told.c - reads the numbers that refusals tell.
 *
 * Example: "Log response size exceeded. You can make eth_getLogs requests with up to a 2K block
 * range and no limit on the response size, or ... a cap of 10K logs in the response. Based on your
 * parameters ... this block range should work: [0x1000, 0x1fff]" tells 2000 blocks and the range
 * 4096 to 8191. "eth_getLogs is limited to 0 - 50 blocks range" tells 50.
 *
 * | constant     | value | why                                                             |
 * |--------------|-------|-----------------------------------------------------------------|
 * | COUNT_MAX    | 10^15 | larger is no cap but a hash or a time                           |
 * | FRACTION_IN  | 10 s  | a rate that is no whole number a second is counted in this time |
 *
 * A number counts only close behind a phrase that announces it, and not where what follows says
 * that it counts something else. */
#include "policy/told.h"

#include "policy/cursor.h"

#define COUNT_MAX UINT64_C(1000000000000000)
#define FRACTION_IN 10

/* Hexadecimal with 0x, or decimal. */
static bool read_block(struct rf_cursor *c, uint64_t *value)
{
    struct rf_cursor at = *c;
    bool hex = rf_cursor_text(&at, "0x");
    uint64_t v = 0;
    int digits = 0;
    for (; at.p < at.end; at.p++, digits++) {
        char d = (char)(*at.p | 0x20);
        unsigned n;
        if (rf_is_digit(*at.p))
            n = (unsigned)(*at.p - '0');
        else if (hex && d >= 'a' && d <= 'f')
            n = (unsigned)(d - 'a') + 10;
        else
            break;
        if (digits == 16)
            return false;
        v = hex ? v << 4 | n : v * 10 + n;
    }
    if (digits == 0 || (at.p < at.end && rf_is_letter(*at.p)))
        return false;
    *value = v;
    *c = at;
    return true;
}

static void skip_marks(struct rf_cursor *c, const char *marks)
{
    while (c->p < c->end && *c->p != '\0' && strchr(marks, *c->p) != NULL)
        c->p++;
}

static bool read_pair(struct rf_cursor c, uint64_t *from, uint64_t *to)
{
    skip_marks(&c, " :[(\"'\\");
    if (!read_block(&c, from))
        return false;
    skip_marks(&c, " ,-\"'\\.");
    if (rf_cursor_word(&c, "to"))
        skip_marks(&c, " \"'\\");
    return read_block(&c, to) && *from <= *to;
}

bool rf_told_range(const char *text, size_t len, uint64_t *from, uint64_t *to)
{
    static const char *const phrases[] = {"block range should work", "try with this block range",
                                          "retry with the range", "retry with this block range"};
    const char *end = text + len;
    for (size_t i = 0; i < RF_COUNT(phrases); i++) {
        const char *p = rf_find_nocase(text, len, phrases[i]);
        if (p != NULL && read_pair((struct rf_cursor){p + strlen(phrases[i]), end}, from, to))
            return true;
    }
    return false;
}

/* A count with optional thousands commas and an optional k or m behind it: "10,000", "10k". */
static bool read_count(struct rf_cursor *c, uint64_t *count)
{
    struct rf_cursor at = *c;
    uint64_t n = 0;
    if (!rf_cursor_at_digit(&at))
        return false;
    for (; at.p < at.end; at.p++) {
        bool comma = *at.p == ',' && at.end - at.p > 3 && rf_is_digit(at.p[1]) &&
                     rf_is_digit(at.p[2]) && rf_is_digit(at.p[3]);
        if (comma)
            continue;
        if (!rf_is_digit(*at.p))
            break;
        n = n <= COUNT_MAX ? n * 10 + (uint64_t)(*at.p - '0') : n;
    }
    if (rf_cursor_word(&at, "k"))
        n *= 1000;
    else if (rf_cursor_word(&at, "m"))
        n *= 1000000;
    bool part = at.p < at.end && (rf_is_letter(*at.p) || *at.p == '%' || *at.p == '.');
    if (part && *at.p == '.' && (at.end - at.p < 2 || !rf_is_digit(at.p[1])))
        part = false; /* the end of a sentence */
    if (part || n > COUNT_MAX)
        return false;
    *count = n;
    *c = at;
    return true;
}

/* Whether one of the words comes next, after blanks. */
static bool word_follows(struct rf_cursor c, const char *const *words)
{
    skip_marks(&c, " \t");
    for (; *words != NULL; words++) {
        if (rf_cursor_word(&c, *words))
            return true;
    }
    return false;
}

/* What may stand between a phrase and its number. */
static void skip_fillers(struct rf_cursor *c)
{
    static const char *const words[] = {"of", "is", "to", "a", "an", "the", "set", "size", "only"};
    for (const char *before = NULL; before != c->p;) {
        before = c->p;
        skip_marks(c, " \t:=(\"'<[{\\");
        for (size_t i = 0; i < RF_COUNT(words); i++) {
            if (rf_cursor_word(c, words[i]))
                break;
        }
    }
}

static uint64_t blocks_behind(struct rf_cursor c)
{
    static const char *const other[] = {"results", "result",    "logs",      "log",    "bytes",
                                        "byte",    "addresses", "topics",    "topic",  "filters",
                                        "kb",      "mb",        "requests",  "calls",  "seconds",
                                        "second",  "s",         "addresses", "events", NULL};
    uint64_t n, upper;
    skip_fillers(&c);
    if (!read_count(&c, &n))
        return 0;
    struct rf_cursor rest = c;
    skip_marks(&rest, " -");
    if (n == 0 && rest.p > c.p && read_count(&rest, &upper)) { /* "0 - 50" */
        n = upper;
        c = rest;
    }
    return word_follows(c, other) ? 0 : n;
}

/* "(5000 > 500)": what was asked, and the cap. */
static uint64_t blocks_compared(struct rf_cursor c)
{
    uint64_t asked, cap;
    if (!rf_cursor_text(&c, "(") || !read_count(&c, &asked))
        return 0;
    skip_marks(&c, " ");
    if (!rf_cursor_text(&c, ">"))
        return 0;
    skip_marks(&c, " ");
    return read_count(&c, &cap) ? cap : 0;
}

/* The first number behind one of the phrases, by its place in the text. */
static uint64_t first_behind(const char *text, size_t len, const char *const *phrases,
                             uint64_t (*read)(struct rf_cursor))
{
    struct rf_cursor c = {text, text + len};
    for (; c.p < c.end; c.p++) {
        if (c.p > text && rf_is_letter(c.p[-1]))
            continue;
        for (size_t i = 0; phrases[i] != NULL; i++) {
            struct rf_cursor at = c;
            uint64_t n = rf_cursor_word(&at, phrases[i]) ? read(at) : 0;
            if (n > 0)
                return n;
        }
    }
    return 0;
}

uint64_t rf_told_blocks(const char *text, size_t len)
{
    static const char *const phrases[] = {
        "up to",     "limited to",       "at most",      "blocks distance", "range over",
        "max range", "ranges over",      "max is",       "maximum is",      "max block range",
        "maximum",   "requested blocks", "greater than", "must not exceed", "maximum block range",
        "max",       "range exceeds",    "smaller than", "limit is",        "range limit",
        NULL};
    const char *end = text + len;
    uint64_t n = first_behind(text, len, phrases, blocks_behind);
    for (const char *p = text; n == 0 && p < end; p++)
        n = blocks_compared((struct rf_cursor){p, end});
    return n;
}

static uint64_t inputs_behind(struct rf_cursor c)
{
    uint64_t n;
    skip_fillers(&c);
    return read_count(&c, &n) ? n : 0;
}

uint32_t rf_told_inputs(const char *text, size_t len)
{
    static const char *const phrases[] = {"max", "maximum", "limit is", "at most", "up to", NULL};
    uint64_t n = first_behind(text, len, phrases, inputs_behind);
    return n <= UINT32_MAX ? (uint32_t)n : 0;
}

bool rf_told_member(const char *text, size_t len, const char *name, uint64_t *value)
{
    const char *end = text + len;
    const char *p = text;
    while ((p = rf_find_nocase(p, (size_t)(end - p), name)) != NULL) {
        struct rf_cursor c = {p + strlen(name), end};
        bool quoted = p > text && p[-1] == '"' && c.p < end && *c.p == '"';
        p = c.p;
        if (!quoted)
            continue;
        skip_marks(&c, "\"");
        rf_cursor_space(&c);
        if (!rf_cursor_text(&c, ":"))
            continue;
        rf_cursor_space(&c);
        if (read_block(&c, value))
            return true;
    }
    return false;
}

/* "second", "10 s", "minute". @return its time, or 0. */
static uint64_t read_window(struct rf_cursor *c)
{
    static const struct {
        const char *name;
        uint64_t ns;
    } units[] = {{"seconds", RF_SEC},
                 {"second", RF_SEC},
                 {"sec", RF_SEC},
                 {"secs", RF_SEC},
                 {"s", RF_SEC},
                 {"minutes", 60 * RF_SEC},
                 {"minute", 60 * RF_SEC},
                 {"min", 60 * RF_SEC},
                 {"mins", 60 * RF_SEC},
                 {"m", 60 * RF_SEC},
                 {"hours", 3600 * RF_SEC},
                 {"hour", 3600 * RF_SEC},
                 {"h", 3600 * RF_SEC},
                 {"days", 86400 * RF_SEC},
                 {"day", 86400 * RF_SEC},
                 {"d", 86400 * RF_SEC}};
    uint64_t times = 0;
    rf_cursor_space(c);
    bool counted = rf_cursor_at_digit(c);
    for (; rf_cursor_at_digit(c) && times < 100000; c->p++)
        times = times * 10 + (uint64_t)(*c->p - '0');
    rf_cursor_space(c);
    for (size_t i = 0; i < RF_COUNT(units); i++) {
        if (rf_cursor_word(c, units[i].name))
            return !counted ? units[i].ns : times < 100000 ? times * units[i].ns : 0;
    }
    return 0;
}

static bool read_per(struct rf_cursor *c)
{
    return rf_cursor_text(c, "/") || rf_cursor_word(c, "per") || rf_cursor_word(c, "every") ||
           rf_cursor_word(c, "in any");
}

/* "50/second", "100 requests per 10 seconds", from its first digit on. */
static struct rf_told_rate rate_at(struct rf_cursor c)
{
    struct rf_told_rate r = {0};
    uint64_t n;
    if (!read_count(&c, &n) || n == 0)
        return r;
    rf_cursor_space(&c);
    struct rf_cursor unit = c;
    r.credits = rf_cursor_word(&unit, "credits") || rf_cursor_word(&unit, "cu") ||
                rf_cursor_word(&unit, "cus") || rf_cursor_word(&unit, "compute units");
    if (!read_per(&c)) {
        c = r.credits ? unit : c;
        while (!r.credits && c.p < c.end && rf_is_letter(*c.p)) /* what is counted: one word */
            c.p++;
        rf_cursor_space(&c);
        if (!read_per(&c))
            return (struct rf_told_rate){0};
    }
    r.window_ns = read_window(&c);
    r.count = r.window_ns > 0 ? n : 0;
    return r.count > 0 ? r : (struct rf_told_rate){0};
}

/* `requests_per_unit:1500 unit:MINUTE`. */
static struct rf_told_rate rate_of_unit(const char *text, size_t len)
{
    static const char name[] = "requests_per_unit";
    struct rf_told_rate r = {0};
    const char *end = text + len, *p = rf_find_nocase(text, len, name);
    if (p == NULL)
        return r;
    struct rf_cursor c = {p + sizeof name - 1, end};
    uint64_t n;
    skip_marks(&c, " :=\"");
    if (!read_count(&c, &n) || n == 0)
        return r;
    p = rf_find_nocase(c.p, (size_t)(end - c.p), "unit");
    if (p == NULL)
        return r;
    c.p = p + 4;
    skip_marks(&c, " :=\"");
    r.window_ns = read_window(&c);
    r.count = r.window_ns > 0 ? n : 0;
    return r;
}

/* `"allowed_rps": 12.5`. */
static struct rf_told_rate rate_of_rps(const char *text, size_t len)
{
    static const char name[] = "allowed_rps";
    struct rf_told_rate r = {0};
    const char *p = rf_find_nocase(text, len, name);
    if (p == NULL)
        return r;
    struct rf_cursor c = {p + sizeof name - 1, text + len};
    uint64_t nano;
    skip_marks(&c, " :=\"\\");
    if (!rf_cursor_decimal(&c, &nano) || nano == 0)
        return r;
    if (nano % RF_SEC == 0)
        return (struct rf_told_rate){.count = nano / RF_SEC, .window_ns = RF_SEC};
    r.count = nano / (RF_SEC / FRACTION_IN);
    r.window_ns = FRACTION_IN * RF_SEC;
    if (r.count == 0) /* less than one in 10 s */
        r = (struct rf_told_rate){.count = 1, .window_ns = RF_SEC * (RF_SEC / nano + 1)};
    return r;
}

struct rf_told_rate rf_told_rate(const char *text, size_t len)
{
    const char *end = text + len;
    struct rf_told_rate r = rate_of_unit(text, len);
    if (r.count == 0)
        r = rate_of_rps(text, len);
    /* Of several the slowest: the others are what was used, or what more money buys. */
    for (const char *p = r.count == 0 ? text : end; p < end; p++) {
        bool inside = p > text && (rf_is_digit(p[-1]) || rf_is_letter(p[-1]) || p[-1] == '.' ||
                                   p[-1] == ',' || p[-1] == '/');
        struct rf_told_rate one = {0};
        if (rf_is_digit(*p) && !inside)
            one = rate_at((struct rf_cursor){p, end});
        if (one.count > 0 && (r.count == 0 || one.window_ns / one.count > r.window_ns / r.count))
            r = one;
    }
    if (r.count > 0 && rf_find_nocase(text, len, "credits limited to") != NULL)
        r.credits = true;
    return r;
}
