/* hints.c - reads when a server wants us back and how large a batch it takes.
 *
 * Example: "Retry-After: Sun, 06 Nov 1994 08:49:37 GMT" in a response with "Date: Sun, 06 Nov 1994
 * 08:49:30 GMT" is 7 s, whatever the clock here says. "retry in 10m0s" is 600 s, clamped to 300 s.
 * "batch limit 100 exceeded. Requested batch of size: 250" is 100.
 *
 * | constant              | value | why                                                   |
 * |-----------------------|-------|-------------------------------------------------------|
 * | RF_RETRY_AFTER_MAX_NS | 300 s | as in linkerd; longer is an outage, and asked about again |
 * | CENTURY_TURN          | 70    | RFC 850 years below it are 20xx                       |
 *
 * Source: RFC 9110, 5.6.7 (HTTP-date) and 10.2.3 (Retry-After). Locale and time zone of the process
 * play no part. The texts are what providers were seen to send; each of them is a test case. */
#include "policy/hints.h"

#include <string.h>

#include "policy/cursor.h"

#define CENTURY_TURN 70
#define DAY_S 86400

static struct rf_cursor trimmed(const char *text)
{
    struct rf_cursor c = {text, text + strlen(text)};
    rf_cursor_space(&c);
    while (c.end > c.p && rf_is_space(c.end[-1]))
        c.end--;
    return c;
}

static bool read_digits(struct rf_cursor *c, int count, int *value)
{
    if (c->end - c->p < count)
        return false;
    int v = 0;
    for (int i = 0; i < count; i++) {
        if (!rf_is_digit(c->p[i]))
            return false;
        v = v * 10 + (c->p[i] - '0');
    }
    c->p += count;
    *value = v;
    return true;
}

/* A calendar time in UTC. */
struct civil {
    int year, month, day, hour, minute, second; /* month 1 to 12 */
};

static bool is_leap(int year)
{
    return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

/* Leap years before a year, counted from year 0. */
static int64_t leaps_before(int64_t year)
{
    return year > 0 ? (year - 1) / 4 - (year - 1) / 100 + (year - 1) / 400 + 1 : 0;
}

static bool to_seconds(const struct civil *t, int64_t *seconds)
{
    static const int days_in[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    int february_29 = t->month == 2 && is_leap(t->year) ? 1 : 0;
    if (t->day < 1 || t->day > days_in[t->month - 1] + february_29 || t->hour > 23 ||
        t->minute > 59 || t->second > 60)
        return false;
    int64_t days = 365 * ((int64_t)t->year - 1970) + leaps_before(t->year) - leaps_before(1970);
    for (int m = 1; m < t->month; m++)
        days += days_in[m - 1];
    if (t->month > 2 && is_leap(t->year))
        days++;
    days += t->day - 1;
    *seconds = days * DAY_S + t->hour * 3600 + t->minute * 60 + t->second;
    return true;
}

static bool read_month(struct rf_cursor *c, int *month)
{
    static const char *const names[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                        "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    for (size_t i = 0; i < RF_COUNT(names); i++) {
        if (rf_cursor_text(c, names[i])) {
            *month = (int)i + 1;
            return true;
        }
    }
    return false;
}

static bool read_weekday(struct rf_cursor *c)
{
    static const char *const names[] = {"Sunday", "Monday",   "Tuesday", "Wednesday", "Thursday",
                                        "Friday", "Saturday", "Sun",     "Mon",       "Tue",
                                        "Wed",    "Thu",      "Fri",     "Sat"};
    for (size_t i = 0; i < RF_COUNT(names); i++) {
        if (rf_cursor_text(c, names[i]))
            return true;
    }
    return false;
}

static bool read_clock(struct rf_cursor *c, struct civil *t)
{
    return read_digits(c, 2, &t->hour) && rf_cursor_text(c, ":") && read_digits(c, 2, &t->minute) &&
           rf_cursor_text(c, ":") && read_digits(c, 2, &t->second);
}

/* "06 Nov 1994 08:49:37 GMT", after the weekday. */
static bool read_fixdate(struct rf_cursor c, struct civil *t)
{
    return rf_cursor_text(&c, ", ") && read_digits(&c, 2, &t->day) && rf_cursor_text(&c, " ") &&
           read_month(&c, &t->month) && rf_cursor_text(&c, " ") && read_digits(&c, 4, &t->year) &&
           rf_cursor_text(&c, " ") && read_clock(&c, t) && rf_cursor_text(&c, " GMT") &&
           c.p == c.end;
}

/* "06-Nov-94 08:49:37 GMT", after the weekday. */
static bool read_rfc850(struct rf_cursor c, struct civil *t)
{
    if (!rf_cursor_text(&c, ", ") || !read_digits(&c, 2, &t->day) || !rf_cursor_text(&c, "-") ||
        !read_month(&c, &t->month) || !rf_cursor_text(&c, "-") || !read_digits(&c, 2, &t->year))
        return false;
    t->year += t->year < CENTURY_TURN ? 2000 : 1900;
    return rf_cursor_text(&c, " ") && read_clock(&c, t) && rf_cursor_text(&c, " GMT") &&
           c.p == c.end;
}

/* "Nov  6 08:49:37 1994", after the weekday. */
static bool read_asctime(struct rf_cursor c, struct civil *t)
{
    return rf_cursor_text(&c, " ") && read_month(&c, &t->month) && rf_cursor_text(&c, " ") &&
           (rf_cursor_text(&c, " ") ? read_digits(&c, 1, &t->day) : read_digits(&c, 2, &t->day)) &&
           rf_cursor_text(&c, " ") && read_clock(&c, t) && rf_cursor_text(&c, " ") &&
           read_digits(&c, 4, &t->year) && c.p == c.end;
}

bool rf_http_date(const char *text, int64_t *seconds)
{
    struct rf_cursor c = trimmed(text);
    struct civil t = {0};
    if (!read_weekday(&c) || !(read_fixdate(c, &t) || read_rfc850(c, &t) || read_asctime(c, &t)))
        return false;
    return to_seconds(&t, seconds);
}

static uint64_t clamp(uint64_t ns)
{
    return rf_min_u64(ns, RF_RETRY_AFTER_MAX_NS);
}

uint64_t rf_retry_after(const char *value, const char *date, int64_t wall_s)
{
    if (value == NULL)
        return RF_NEVER;
    struct rf_cursor c = trimmed(value);
    uint64_t delta;
    if (rf_cursor_decimal(&c, &delta))
        return c.p == c.end ? clamp(delta) : RF_NEVER;
    int64_t at, now = wall_s;
    if (!rf_http_date(value, &at))
        return RF_NEVER;
    if (date == NULL || !rf_http_date(date, &now))
        now = wall_s;
    if (at <= now)
        return 0;
    uint64_t ahead = (uint64_t)at - (uint64_t)now;
    return ahead > RF_RETRY_AFTER_MAX_NS / RF_SEC ? RF_RETRY_AFTER_MAX_NS : ahead * RF_SEC;
}

/* One "10m", "1.5s" or "250 ms". A unit is a whole word, or the next number follows ("10m0s"). */
static bool read_span(struct rf_cursor *c, uint64_t *ns)
{
    static const struct {
        const char *name;
        uint64_t ns;
    } units[] = {{"milliseconds", RF_MS},
                 {"millisecond", RF_MS},
                 {"microseconds", RF_US},
                 {"nanoseconds", 1},
                 {"seconds", RF_SEC},
                 {"second", RF_SEC},
                 {"secs", RF_SEC},
                 {"sec", RF_SEC},
                 {"minutes", 60 * RF_SEC},
                 {"minute", 60 * RF_SEC},
                 {"mins", 60 * RF_SEC},
                 {"min", 60 * RF_SEC},
                 {"hours", 3600 * RF_SEC},
                 {"hour", 3600 * RF_SEC},
                 {"ms", RF_MS},
                 {"us", RF_US},
                 {"\xc2\xb5s", RF_US},
                 {"ns", 1},
                 {"h", 3600 * RF_SEC},
                 {"m", 60 * RF_SEC},
                 {"s", RF_SEC}};
    struct rf_cursor at = *c;
    uint64_t nano;
    if (!rf_cursor_decimal(&at, &nano))
        return false;
    rf_cursor_space(&at);
    for (size_t i = 0; i < RF_COUNT(units); i++) {
        struct rf_cursor after = at;
        if (!rf_cursor_text(&after, units[i].name) ||
            (after.p < after.end && rf_is_letter(*after.p)))
            continue;
        uint64_t unit = units[i].ns;
        if (unit < RF_SEC)
            *ns = nano / (RF_SEC / unit);
        else
            *ns = nano > RF_RETRY_AFTER_MAX_NS ? RF_RETRY_AFTER_MAX_NS : nano * (unit / RF_SEC);
        *c = after;
        return true;
    }
    return false;
}

/* A duration of one or more spans without space between them. */
static uint64_t read_duration(struct rf_cursor c)
{
    uint64_t total = 0, span;
    rf_cursor_space(&c);
    if (!read_span(&c, &total))
        return RF_NEVER;
    while (rf_cursor_at_digit(&c) && read_span(&c, &span))
        total = rf_time_add(total, span);
    return clamp(total);
}

/* Quotes, a colon and white space between a member's name and its number. */
static uint64_t read_seconds_member(struct rf_cursor c)
{
    uint64_t nano;
    while (c.p < c.end && (rf_is_space(*c.p) || *c.p == '"' || *c.p == ':' || *c.p == '\\'))
        c.p++;
    return rf_cursor_decimal(&c, &nano) ? clamp(nano) : RF_NEVER;
}

uint64_t rf_hint_in_text(const char *text, size_t len)
{
    static const struct {
        const char *phrase;
        uint64_t (*read)(struct rf_cursor);
    } forms[] = {{"backoff_seconds", read_seconds_member}, {"retry in ", read_duration},
                 {"retry after ", read_duration},          {"try again in ", read_duration},
                 {"try again after ", read_duration},      {"reset in ", read_duration}};
    const char *end = text + len;
    uint64_t longest = RF_NEVER;
    for (size_t i = 0; i < RF_COUNT(forms); i++) {
        const char *p = text;
        while ((p = rf_find_nocase(p, (size_t)(end - p), forms[i].phrase)) != NULL) {
            p += strlen(forms[i].phrase);
            uint64_t hint = forms[i].read((struct rf_cursor){p, end});
            if (hint != RF_NEVER && (longest == RF_NEVER || hint > longest))
                longest = hint;
        }
    }
    return longest;
}

/* Skip what may stand between "limit" and its number. */
static void skip_fillers(struct rf_cursor *c)
{
    static const char *const words[] = {
        "of",       "is",      "are",   "to",  "the",   "size", "batch", "allowed",
        "number",   "count",   "limit", "per", "calls", "call", "items", "item",
        "requests", "request", "set",   "at",  "a",     "in",   "value"};
    static const char marks[] = " \t\r\n:=(\"'<_\\";
    for (;;) {
        const char *before = c->p;
        while (c->p < c->end && *c->p != '\0' && strchr(marks, *c->p) != NULL)
            c->p++;
        for (size_t i = 0; i < RF_COUNT(words); i++) {
            if (rf_cursor_word(c, words[i]))
                break;
        }
        if (c->p == before)
            return;
    }
}

/* A number with optional thousands commas that counts calls: not a fraction, a rate or bytes. */
static uint32_t read_count(struct rf_cursor *c)
{
    static const char *const bytes[] = {"bytes", "byte", "b",   "kb", "mb",
                                        "gb",    "kib",  "mib", "gib"};
    uint64_t n = 0;
    if (!rf_cursor_at_digit(c))
        return 0;
    for (; c->p < c->end; c->p++) {
        bool comma = *c->p == ',' && c->end - c->p > 3 && rf_is_digit(c->p[1]) &&
                     rf_is_digit(c->p[2]) && rf_is_digit(c->p[3]) &&
                     (c->end - c->p == 4 || !rf_is_digit(c->p[4]));
        if (comma)
            continue;
        if (!rf_is_digit(*c->p))
            break;
        n = n <= UINT32_MAX ? n * 10 + (uint64_t)(*c->p - '0') : n;
    }
    bool fraction = c->end - c->p > 1 && *c->p == '.' && rf_is_digit(c->p[1]);
    if (fraction || (c->p < c->end && (rf_is_letter(*c->p) || *c->p == '/' || *c->p == '%')))
        return 0;
    struct rf_cursor unit = *c;
    rf_cursor_space(&unit);
    for (size_t i = 0; i < RF_COUNT(bytes); i++) {
        if (rf_cursor_word(&unit, bytes[i]))
            return 0;
    }
    return n <= UINT32_MAX ? (uint32_t)n : 0;
}

uint32_t rf_batch_limit_in_text(const char *text, size_t len)
{
    static const char *const words[] = {"limit", "maximum", "max",    "more than",
                                        "up to", "at most", "exceeds"};
    struct rf_cursor c = {text, text + len};
    for (; c.p < c.end; c.p++) {
        if (c.p > text && rf_is_letter(c.p[-1]))
            continue;
        for (size_t i = 0; i < RF_COUNT(words); i++) {
            struct rf_cursor at = c;
            if (!rf_cursor_word(&at, words[i]))
                continue;
            skip_fillers(&at);
            uint32_t n = read_count(&at);
            if (n > 0)
                return n;
        }
    }
    return 0;
}

uint64_t rf_body_limit_in_text(const char *text, size_t len)
{
    const char *at = rf_find_nocase(text, len, "too large (");
    if (at == NULL)
        return 0;
    const char *end = text + len, *p = memchr(at, '>', (size_t)(end - at));
    uint64_t bytes = 0;
    for (p = p == NULL ? end : p + 1; p < end && *p >= '0' && *p <= '9'; p++) {
        if (bytes > UINT64_MAX / 16)
            return 0;
        bytes = bytes * 10 + (uint64_t)(*p - '0');
    }
    return bytes;
}
