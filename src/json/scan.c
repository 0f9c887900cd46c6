/* scan.c - the resumable JSON scanner: RFC 8259 as two small tables and a loop.
 *
 * `state` says where in the grammar the next token stands, `sub` where inside a token the last
 * chunk ended. A token's first bytes take the fast path; whatever a chunk cuts, an escape or a byte
 * that is not ASCII goes on in the same functions that resume, so that there is one reading of each
 * rule. */
#include "json/scan.h"

#include "json/plain.h"

#define INLINE static inline __attribute__((always_inline))
#define COLD static __attribute__((noinline, cold))
#define LIKELY(x) __builtin_expect(!!(x), 1)

/** Where the next token stands. */
enum state {
    AT_TOP,
    AT_FIRST_KEY, /* behind { */
    AT_KEY,       /* behind the comma in an object */
    AT_COLON,
    AT_MEMBER, /* behind the colon */
    AFTER_MEMBER,
    AT_FIRST_ELEMENT, /* behind [ */
    AT_ELEMENT,       /* behind the comma in an array */
    AFTER_ELEMENT,
    AT_END,
    AT_FAULT,
    N_STATES
};

/** Where inside a token. Literals count their bytes in utf8_left, as \u does its digits. */
enum sub {
    IN_NOTHING,
    IN_STRING,
    IN_ESCAPE,
    IN_HEX,
    IN_UTF8,
    IN_TRUE,
    IN_FALSE,
    IN_NULL,
    IN_MINUS, /* the numbers from here on */
    IN_ZERO,
    IN_INT,
    IN_POINT,
    IN_FRACTION,
    IN_E,
    IN_E_SIGN,
    IN_EXPONENT
};

/** What a byte is outside of strings. */
enum class {
    C_OTHER,
    C_SPACE,
    C_OBJECT,
    C_OBJECT_END,
    C_ARRAY,
    C_ARRAY_END,
    C_COLON,
    C_COMMA,
    C_QUOTE,
    C_MINUS,
    C_ZERO,
    C_DIGIT,
    C_TRUE,
    C_FALSE,
    C_NULL,
    C_POINT,
    C_E,
    C_PLUS,
    N_CLASSES
};

enum action {
    DO_FAULT,
    DO_SPACE,
    DO_STEP, /* a colon or a comma where one belongs */
    DO_OBJECT,
    DO_ARRAY,
    DO_CLOSE,
    DO_STRING,
    DO_NUMBER,
    DO_LITERAL
};

/** Faults below N_STATES say that the byte did not fit that state. */
enum fault {
    BAD_NUMBER = N_STATES,
    BAD_LITERAL,
    BAD_CONTROL,
    BAD_ESCAPE,
    BAD_HEX,
    BAD_UTF8,
    BAD_DEPTH,
    BAD_EMPTY,
    BAD_EARLY_END,
    N_FAULTS
};

static const char *const fault_text[N_FAULTS] = {
    [AT_TOP] = "a JSON value is expected",
    [AT_FIRST_KEY] = "a member name in double quotes or '}' is expected",
    [AT_KEY] = "a member name in double quotes is expected",
    [AT_COLON] = "':' is expected",
    [AT_MEMBER] = "a value is expected",
    [AFTER_MEMBER] = "',' or '}' is expected",
    [AT_FIRST_ELEMENT] = "a value or ']' is expected",
    [AT_ELEMENT] = "a value is expected",
    [AFTER_ELEMENT] = "',' or ']' is expected",
    [AT_END] = "nothing may follow the value",
    [AT_FAULT] = "no fault",
    [BAD_NUMBER] = "this is not how JSON writes a number",
    [BAD_LITERAL] = "true, false or null is misspelt",
    [BAD_CONTROL] = "a control character in a string must be escaped",
    [BAD_ESCAPE] = "unknown escape in a string",
    [BAD_HEX] = "\\u needs four hex digits",
    [BAD_UTF8] = "a string is not valid UTF-8",
    [BAD_DEPTH] = "arrays and objects are nested too deeply",
    [BAD_EMPTY] = "the text is empty",
    [BAD_EARLY_END] = "the text ends too early",
};

static const uint8_t class_of[256] = {
    [' '] = C_SPACE,      ['\t'] = C_SPACE, ['\n'] = C_SPACE,    ['\r'] = C_SPACE, ['{'] = C_OBJECT,
    ['}'] = C_OBJECT_END, ['['] = C_ARRAY,  [']'] = C_ARRAY_END, [':'] = C_COLON,  [','] = C_COMMA,
    ['"'] = C_QUOTE,      ['-'] = C_MINUS,  ['0'] = C_ZERO,      ['1'] = C_DIGIT,  ['2'] = C_DIGIT,
    ['3'] = C_DIGIT,      ['4'] = C_DIGIT,  ['5'] = C_DIGIT,     ['6'] = C_DIGIT,  ['7'] = C_DIGIT,
    ['8'] = C_DIGIT,      ['9'] = C_DIGIT,  ['t'] = C_TRUE,      ['f'] = C_FALSE,  ['n'] = C_NULL,
    ['.'] = C_POINT,      ['e'] = C_E,      ['E'] = C_E,         ['+'] = C_PLUS,
};

#define VALUE_ROW                                                                                  \
    [C_SPACE] = DO_SPACE, [C_OBJECT] = DO_OBJECT, [C_ARRAY] = DO_ARRAY, [C_QUOTE] = DO_STRING,     \
    [C_MINUS] = DO_NUMBER, [C_ZERO] = DO_NUMBER, [C_DIGIT] = DO_NUMBER, [C_TRUE] = DO_LITERAL,     \
    [C_FALSE] = DO_LITERAL, [C_NULL] = DO_LITERAL

/** The grammar: what a byte means where. Whatever is not named is a fault. */
static const uint8_t grammar[N_STATES][N_CLASSES] = {
    [AT_TOP] = {VALUE_ROW},
    [AT_FIRST_KEY] = {[C_SPACE] = DO_SPACE, [C_QUOTE] = DO_STRING, [C_OBJECT_END] = DO_CLOSE},
    [AT_KEY] = {[C_SPACE] = DO_SPACE, [C_QUOTE] = DO_STRING},
    [AT_COLON] = {[C_SPACE] = DO_SPACE, [C_COLON] = DO_STEP},
    [AT_MEMBER] = {VALUE_ROW},
    [AFTER_MEMBER] = {[C_SPACE] = DO_SPACE, [C_COMMA] = DO_STEP, [C_OBJECT_END] = DO_CLOSE},
    [AT_FIRST_ELEMENT] = {VALUE_ROW, [C_ARRAY_END] = DO_CLOSE},
    [AT_ELEMENT] = {VALUE_ROW},
    [AFTER_ELEMENT] = {[C_SPACE] = DO_SPACE, [C_COMMA] = DO_STEP, [C_ARRAY_END] = DO_CLOSE},
    [AT_END] = {[C_SPACE] = DO_SPACE},
};

/** Where a state leads: behind its colon or comma, or behind its key or value. */
static const uint8_t next_state[N_STATES] = {
    [AT_TOP] = AT_END,
    [AT_FIRST_KEY] = AT_COLON,
    [AT_KEY] = AT_COLON,
    [AT_COLON] = AT_MEMBER,
    [AT_MEMBER] = AFTER_MEMBER,
    [AFTER_MEMBER] = AT_KEY,
    [AT_FIRST_ELEMENT] = AFTER_ELEMENT,
    [AT_ELEMENT] = AFTER_ELEMENT,
    [AFTER_ELEMENT] = AT_ELEMENT,
    [AT_END] = AT_END,
    [AT_FAULT] = AT_FAULT,
};

#define DIGITS(to) [C_ZERO] = (to), [C_DIGIT] = (to)
/** What follows inside a number, by `sub` from IN_MINUS. 0: the number cannot go on with this. */
static const uint8_t number[][N_CLASSES] = {
    [IN_MINUS - IN_MINUS] = {[C_ZERO] = IN_ZERO, [C_DIGIT] = IN_INT},
    [IN_ZERO - IN_MINUS] = {[C_POINT] = IN_POINT, [C_E] = IN_E},
    [IN_INT - IN_MINUS] = {DIGITS(IN_INT), [C_POINT] = IN_POINT, [C_E] = IN_E},
    [IN_POINT - IN_MINUS] = {DIGITS(IN_FRACTION)},
    [IN_FRACTION - IN_MINUS] = {DIGITS(IN_FRACTION), [C_E] = IN_E},
    [IN_E - IN_MINUS] = {DIGITS(IN_EXPONENT), [C_MINUS] = IN_E_SIGN, [C_PLUS] = IN_E_SIGN},
    [IN_E_SIGN - IN_MINUS] = {DIGITS(IN_EXPONENT)},
    [IN_EXPONENT - IN_MINUS] = {DIGITS(IN_EXPONENT)},
};

static const char literal[][6] = {
    [IN_TRUE - IN_TRUE] = "true",
    [IN_FALSE - IN_TRUE] = "false",
    [IN_NULL - IN_TRUE] = "null",
};

/** A chunk being read. `base` is the stream offset of `begin`. */
struct cursor {
    const uint8_t *begin, *p, *e;
    uint64_t base;
};

INLINE uint64_t place(const struct cursor *c)
{
    return c->base + (uint64_t)(c->p - c->begin);
}

COLD enum rf_tok fail(struct rf_scan *s, uint8_t why)
{
    s->error = why;
    s->state = AT_FAULT;
    s->sub = IN_NOTHING;
    return RF_TOK_ERROR;
}

/** A key or a value other than an array or object ends in front of the cursor. */
INLINE enum rf_tok end_token(struct rf_scan *s, const struct cursor *c, enum rf_tok tok)
{
    s->end = place(c);
    s->sub = IN_NOTHING;
    s->state = next_state[s->state];
    s->done = s->state == AT_END;
    return tok;
}

INLINE enum rf_tok end_string(struct rf_scan *s, const struct cursor *c)
{
    bool key = s->state == AT_KEY || s->state == AT_FIRST_KEY;
    return end_token(s, c, key ? RF_TOK_KEY : RF_TOK_STRING);
}

INLINE enum rf_tok open_level(struct rf_scan *s, struct cursor *c, bool object)
{
    if (s->depth == s->max_depth)
        return fail(s, BAD_DEPTH);
    uint64_t bit = UINT64_C(1) << (s->depth & 63);
    uint64_t *word = &s->stack[s->depth >> 6];
    *word = object ? *word | bit : *word & ~bit;
    s->depth++;
    s->start = place(c);
    c->p++;
    s->end = s->start + 1;
    s->state = object ? AT_FIRST_KEY : AT_FIRST_ELEMENT;
    return object ? RF_TOK_OBJECT : RF_TOK_ARRAY;
}

INLINE enum rf_tok close_level(struct rf_scan *s, struct cursor *c)
{
    bool object = s->state == AT_FIRST_KEY || s->state == AFTER_MEMBER;
    s->start = place(c);
    c->p++;
    s->end = s->start + 1;
    s->depth--;
    if (s->depth == 0) {
        s->state = AT_END;
        s->done = true;
    } else {
        uint32_t up = s->depth - 1;
        s->state = (s->stack[up >> 6] >> (up & 63)) & 1 ? AFTER_MEMBER : AFTER_ELEMENT;
    }
    return object ? RF_TOK_OBJECT_END : RF_TOK_ARRAY_END;
}

/** Set up what must follow a UTF-8 lead byte (RFC 3629, par. 4). @return false: it is none. */
static bool lead_utf8(struct rf_scan *s, uint8_t b)
{
    s->utf8_lo = 0x80;
    s->utf8_hi = 0xbf;
    if (b >= 0xc2 && b <= 0xdf) {
        s->utf8_left = 1;
    } else if (b >= 0xe0 && b <= 0xef) {
        s->utf8_left = 2;
        if (b == 0xe0)
            s->utf8_lo = 0xa0; /* below: a longer form than needed */
        else if (b == 0xed)
            s->utf8_hi = 0x9f; /* above: surrogates */
    } else if (b >= 0xf0 && b <= 0xf4) {
        s->utf8_left = 3;
        if (b == 0xf0)
            s->utf8_lo = 0x90; /* below: a longer form than needed */
        else if (b == 0xf4)
            s->utf8_hi = 0x8f; /* above: over U+10FFFF */
    } else {
        return false;
    }
    return true;
}

/** Read on behind a lead byte, through all characters of several bytes that follow one another. */
static enum rf_tok run_utf8(struct rf_scan *s, struct cursor *c)
{
    for (;;) {
        while (s->utf8_left > 0) {
            if (c->p == c->e) {
                s->sub = IN_UTF8;
                return RF_TOK_MORE;
            }
            if (*c->p < s->utf8_lo || *c->p > s->utf8_hi)
                return fail(s, BAD_UTF8);
            s->utf8_lo = 0x80;
            s->utf8_hi = 0xbf;
            s->utf8_left--;
            c->p++;
        }
        s->sub = IN_STRING;
        if (c->p == c->e || *c->p < 0x80)
            return RF_TOK_MORE;
        if (!lead_utf8(s, *c->p))
            return fail(s, BAD_UTF8);
        c->p++;
    }
}

/** Read on in a backslash escape. RF_TOK_MORE: it is whole (IN_STRING) or the chunk is used up. */
static enum rf_tok run_escape(struct rf_scan *s, struct cursor *c)
{
    if (s->sub == IN_ESCAPE) {
        if (c->p == c->e)
            return RF_TOK_MORE;
        switch (*c->p) {
        case '"':
        case '\\':
        case '/':
        case 'b':
        case 'f':
        case 'n':
        case 'r':
        case 't':
            c->p++;
            s->sub = IN_STRING;
            return RF_TOK_MORE;
        case 'u':
            c->p++;
            s->sub = IN_HEX;
            s->utf8_left = 4;
            break;
        default:
            return fail(s, BAD_ESCAPE);
        }
    }
    for (; s->utf8_left > 0; s->utf8_left--, c->p++) {
        if (c->p == c->e)
            return RF_TOK_MORE;
        uint8_t b = *c->p, lower = b | 0x20;
        if ((b < '0' || b > '9') && (lower < 'a' || lower > 'f'))
            return fail(s, BAD_HEX);
    }
    s->sub = IN_STRING;
    return RF_TOK_MORE;
}

/** Read on in a string, wherever in it the cursor stands. */
static __attribute__((noinline)) enum rf_tok run_string(struct rf_scan *s, struct cursor *c)
{
    enum rf_tok tok = RF_TOK_MORE;
    if (s->sub == IN_UTF8)
        tok = run_utf8(s, c);
    else if (s->sub != IN_STRING)
        tok = run_escape(s, c);
    while (tok == RF_TOK_MORE && s->sub == IN_STRING) {
        c->p = rf_plain_skip(c->p, c->e);
        if (c->p == c->e)
            break;
        uint8_t b = *c->p;
        if (b == '"') {
            c->p++;
            return end_string(s, c);
        }
        if (b == '\\') {
            c->p++;
            s->escaped = true;
            s->sub = IN_ESCAPE;
            tok = run_escape(s, c);
        } else if (b < 0x20) {
            tok = fail(s, BAD_CONTROL);
        } else {
            s->utf8_left = 0;
            tok = run_utf8(s, c);
        }
    }
    return tok;
}

INLINE enum rf_tok begin_string(struct rf_scan *s, struct cursor *c)
{
    s->start = place(c);
    s->escaped = false;
    c->p = rf_plain_skip(c->p + 1, c->e);
    if (LIKELY(c->p < c->e && *c->p == '"')) {
        c->p++;
        return end_string(s, c);
    }
    s->sub = IN_STRING;
    return run_string(s, c);
}

/** Whether a number may end here. */
static bool number_whole(uint8_t sub)
{
    return sub == IN_ZERO || sub == IN_INT || sub == IN_FRACTION || sub == IN_EXPONENT;
}

static enum rf_tok end_number(struct rf_scan *s, const struct cursor *c, uint8_t sub)
{
    s->integer = sub == IN_ZERO || sub == IN_INT;
    return end_token(s, c, RF_TOK_NUMBER);
}

static enum rf_tok run_number(struct rf_scan *s, struct cursor *c)
{
    const uint8_t *p = c->p, *const e = c->e;
    uint8_t sub = s->sub, class = C_OTHER;
    for (; p < e; p++) {
        class = class_of[*p];
        uint8_t to = number[sub - IN_MINUS][class];
        if (to == IN_NOTHING)
            break;
        sub = to;
    }
    c->p = p;
    if (p == e) {
        s->sub = sub;
        return RF_TOK_MORE;
    }
    if (!number_whole(sub) || (sub == IN_ZERO && (class == C_DIGIT || class == C_ZERO)))
        return fail(s, BAD_NUMBER);
    return end_number(s, c, sub);
}

INLINE enum rf_tok begin_number(struct rf_scan *s, struct cursor *c)
{
    s->start = place(c);
    s->sub = *c->p == '-' ? IN_MINUS : *c->p == '0' ? IN_ZERO : IN_INT;
    c->p++;
    return run_number(s, c);
}

static enum rf_tok run_literal(struct rf_scan *s, struct cursor *c)
{
    const char *word = literal[s->sub - IN_TRUE];
    for (; word[s->utf8_left] != 0; s->utf8_left++, c->p++) {
        if (c->p == c->e)
            return RF_TOK_MORE;
        if (*c->p != (uint8_t)word[s->utf8_left])
            return fail(s, BAD_LITERAL);
    }
    return end_token(s, c,
                     s->sub == IN_TRUE    ? RF_TOK_TRUE
                     : s->sub == IN_FALSE ? RF_TOK_FALSE
                                          : RF_TOK_NULL);
}

static enum rf_tok begin_literal(struct rf_scan *s, struct cursor *c)
{
    s->start = place(c);
    s->sub = *c->p == 't' ? IN_TRUE : *c->p == 'f' ? IN_FALSE : IN_NULL;
    s->utf8_left = 0;
    return run_literal(s, c);
}

/** Go on with the token that the last chunk cut. */
static enum rf_tok resume(struct rf_scan *s, struct cursor *c)
{
    if (s->sub >= IN_MINUS)
        return run_number(s, c);
    return s->sub >= IN_TRUE ? run_literal(s, c) : run_string(s, c);
}

/** Whether a token stands inside of more than `depth` arrays and objects. */
INLINE bool deeper(const struct rf_scan *s, enum rf_tok tok, uint32_t depth)
{
    bool opens = tok == RF_TOK_OBJECT || tok == RF_TOK_ARRAY;
    return s->depth > depth + (opens ? 1u : 0u);
}

INLINE enum rf_tok run(struct rf_scan *s, struct cursor *c, uint32_t depth)
{
    enum rf_tok tok;
    if (s->sub != IN_NOTHING) {
        tok = resume(s, c);
        if (tok <= RF_TOK_ERROR || !deeper(s, tok, depth))
            return tok;
    }
    for (;;) {
        if (c->p == c->e)
            return RF_TOK_MORE;
        switch (grammar[s->state][class_of[*c->p]]) {
        case DO_SPACE:
            s->space = true;
            c->p++;
            continue;
        case DO_STEP:
            s->state = next_state[s->state];
            c->p++;
            continue;
        case DO_OBJECT:
            tok = open_level(s, c, true);
            break;
        case DO_ARRAY:
            tok = open_level(s, c, false);
            break;
        case DO_CLOSE:
            tok = close_level(s, c);
            break;
        case DO_STRING:
            tok = begin_string(s, c);
            break;
        case DO_NUMBER:
            tok = begin_number(s, c);
            break;
        case DO_LITERAL:
            tok = begin_literal(s, c);
            break;
        default:
            return s->state == AT_FAULT ? RF_TOK_ERROR : fail(s, s->state);
        }
        if (tok <= RF_TOK_ERROR || !deeper(s, tok, depth))
            return tok;
    }
}

void rf_scan_init(struct rf_scan *s, uint32_t max_depth)
{
    uint32_t most = max_depth > RF_SCAN_DEPTH_MAX ? RF_SCAN_DEPTH_MAX : max_depth;
    memset(s, 0, offsetof(struct rf_scan, stack)); /* a level's bit is set when it is opened */
    s->state = AT_TOP;
    s->error = AT_FAULT;
    s->max_depth = most > 0 ? most : 1;
}

enum rf_tok rf_scan_skip(struct rf_scan *s, const char *chunk, size_t len, size_t *pos,
                         uint32_t depth)
{
    if (*pos >= len)
        return s->state == AT_FAULT ? RF_TOK_ERROR : RF_TOK_MORE;
    const uint8_t *begin = (const uint8_t *)chunk;
    struct cursor c = {begin, begin + *pos, begin + len, s->offset - *pos};
    enum rf_tok tok = run(s, &c, depth);
    *pos = (size_t)(c.p - begin);
    s->offset = place(&c);
    return tok;
}

enum rf_tok rf_scan_next(struct rf_scan *s, const char *chunk, size_t len, size_t *pos)
{
    return rf_scan_skip(s, chunk, len, pos, RF_SCAN_DEPTH_MAX);
}

void rf_scan_pass_object(struct rf_scan *s, size_t n)
{
    const uint8_t *none = NULL;
    struct cursor c = {none, none, none, s->offset + n - 1};
    close_level(s, &c);
    s->offset += n;
}

enum rpcfan_err rf_scan_finish(struct rf_scan *s, int *out_number)
{
    if (out_number != NULL)
        *out_number = 0;
    if (s->state == AT_FAULT)
        return RPCFAN_EMALFORMED;
    if (s->state == AT_TOP && s->sub == IN_NOTHING) {
        fail(s, BAD_EMPTY);
        return RPCFAN_EMALFORMED;
    }
    if (s->state == AT_TOP && number_whole(s->sub)) {
        struct cursor c = {.base = s->offset};
        end_number(s, &c, s->sub);
        if (out_number != NULL)
            *out_number = 1;
    }
    if (s->state != AT_END) {
        fail(s, BAD_EARLY_END);
        return RPCFAN_EMALFORMED;
    }
    return RPCFAN_OK;
}

const char *rf_scan_error(const struct rf_scan *s)
{
    return fault_text[s->error];
}

enum rpcfan_err rf_json_check(const char *json, size_t len, uint32_t max_depth, size_t *at)
{
    struct rf_scan s;
    size_t pos = 0;
    rf_scan_init(&s, max_depth);
    while (rf_scan_skip(&s, json, len, &pos, 0) > RF_TOK_ERROR) {
    }
    enum rpcfan_err err = rf_scan_finish(&s, NULL);
    if (at != NULL)
        *at = (size_t)s.offset;
    return err;
}
