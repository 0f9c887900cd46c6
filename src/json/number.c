/* number.c - the canonical form of a number.
 *
 * A number is D times ten to the E, where D is a row of digits that neither begins nor ends in 0:
 * 120.50 is 1205 and -2. D and E are the same for all ways to write a value, so what is written
 * from them alone is canonical:
 *
 * | E                        | form                    | 1205 as example        |
 * |--------------------------|-------------------------|------------------------|
 * | 0 .. RF_CANON_ZEROS      | D and E zeros           | 120500 (E = 2)         |
 * | below 0, the point in D  | D with a point in it    | 12.05 (E = -2)         |
 * | below 0, few zeros       | 0. and zeros and D      | 0.001205 (E = -6)      |
 * | any other                | D e E                   | 1205e30, 1205e-60      |
 */
#include "json/number.h"

#include "json/canon.h"

#define EXP_DIGITS 18 /* so many fit an int64_t, with the length of any text added to them */

/* A number taken apart. The digits of D stand from `first` to `last` and may have the point among
 * them. */
struct decimal {
    bool negative;
    const char *first, *last; /* last: behind the end; equal: the number is zero */
    const char *point;        /* in the text, or where it would be */
    const char *exp;          /* behind the e, or NULL */
    size_t n;                 /* digits of D */
    int64_t e;
};

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* The mantissa, without the exponent. */
static void read_mantissa(struct decimal *d, const char *p, const char *e)
{
    d->negative = *p == '-';
    p += d->negative;
    d->first = p;
    d->point = NULL;
    d->exp = NULL;
    const char *end = p;
    for (; end < e && (is_digit(*end) || *end == '.'); end++) {
        if (*end == '.')
            d->point = end;
    }
    if (d->point == NULL)
        d->point = end;
    d->last = end;
    if (end < e)
        d->exp = end + 1;
    while (d->first < d->last && (*d->first == '0' || *d->first == '.'))
        d->first++;
    while (d->last > d->first && (d->last[-1] == '0' || d->last[-1] == '.'))
        d->last--;
    d->n = (size_t)(d->last - d->first);
    if (d->first < d->point && d->point < d->last)
        d->n--;
    /* From the digit in front of `last` to the ones: to the left of the point there are as many
     * places as bytes, to the right as well, for the point itself is passed over. */
    d->e = d->last <= d->point ? d->point - d->last : -(d->last - d->point - 1);
}

/* Add the exponent. @return false where it has more digits than can be counted with. */
static bool add_exponent(struct decimal *d, const char *e)
{
    if (d->exp == NULL)
        return true;
    const char *p = d->exp;
    bool negative = *p == '-';
    p += *p == '-' || *p == '+';
    while (p < e && *p == '0')
        p++;
    if (e - p > EXP_DIGITS)
        return false;
    int64_t v = 0;
    for (; p < e; p++)
        v = v * 10 + (*p - '0');
    d->e += negative ? -v : v;
    return true;
}

static void add_zeros(struct rf_buf *b, uint64_t n)
{
    for (; n > 0; n--)
        rf_buf_char(b, '0');
}

/* The digits of D in front of the point, or behind it, where it stands among them. */
static void add_digits(struct rf_buf *b, const struct decimal *d)
{
    if (d->first < d->point && d->point < d->last) {
        rf_buf_add(b, d->first, (size_t)(d->point - d->first));
        rf_buf_add(b, d->point + 1, (size_t)(d->last - d->point - 1));
    } else {
        rf_buf_add(b, d->first, d->n);
    }
}

static void add_exponent_text(struct rf_buf *b, int64_t e)
{
    rf_buf_char(b, 'e');
    if (e < 0)
        rf_buf_char(b, '-');
    rf_buf_u64(b, e < 0 ? (uint64_t)0 - (uint64_t)e : (uint64_t)e);
}

/* D with a point in front of its last `places` digits. */
static void add_fraction(struct rf_buf *b, const struct decimal *d, uint64_t places)
{
    size_t at = b->len;
    if (places >= d->n) {
        rf_buf_str(b, "0.");
        add_zeros(b, places - d->n);
        add_digits(b, d);
        return;
    }
    add_digits(b, d);
    rf_buf_char(b, '.');
    if (b->failed)
        return;
    at += d->n - (size_t)places;
    memmove(b->data + at + 1, b->data + at, (size_t)places);
    b->data[at] = '.';
}

/* An exponent that is too long: the mantissa as it stands, and the exponent without its zeros. */
static void add_as_it_stands(struct rf_buf *b, const struct decimal *d, const char *s,
                             const char *e)
{
    const char *p = d->exp;
    rf_buf_add(b, s, (size_t)(p - 1 - s));
    rf_buf_str(b, *p == '-' ? "e-" : "e");
    p += *p == '-' || *p == '+';
    while (*p == '0')
        p++;
    rf_buf_add(b, p, (size_t)(e - p));
}

void rf_json_number_canon(struct rf_buf *b, const char *s, size_t len)
{
    struct decimal d;
    read_mantissa(&d, s, s + len);
    if (d.first == d.last) {
        rf_buf_char(b, '0');
        return;
    }
    if (!add_exponent(&d, s + len)) {
        add_as_it_stands(b, &d, s, s + len);
        return;
    }
    if (d.negative)
        rf_buf_char(b, '-');
    if (d.e >= 0 && d.e <= RF_CANON_ZEROS) {
        add_digits(b, &d);
        add_zeros(b, (uint64_t)d.e);
    } else if (d.e < 0 && -d.e <= (int64_t)d.n + RF_CANON_ZEROS) {
        add_fraction(b, &d, (uint64_t)-d.e);
    } else {
        add_digits(b, &d);
        add_exponent_text(b, d.e);
    }
}
