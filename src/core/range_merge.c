/* range_merge.c - one answer out of the answers of the pieces.
 *
 * In order: the insides of the arrays, copied one behind the other. By position: each element's
 * place and position are read in one scan; runs that rise are merged two by two until one is left
 * (a part is one run, where its node sorts), and the elements are copied in that order. */
#include <string.h>

#include "base/mem.h"
#include "core/range.h"
#include "json/rpc.h"

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static struct rpcfan_slice trim(struct rpcfan_slice s)
{
    while (s.len > 0 && is_space(s.data[0])) {
        s.data++;
        s.len--;
    }
    while (s.len > 0 && is_space(s.data[s.len - 1]))
        s.len--;
    return s;
}

static bool concatenate(const struct rpcfan_slice *parts, uint32_t n, struct rf_buf *out)
{
    bool first = true;
    rf_buf_char(out, '[');
    for (uint32_t i = 0; i < n; i++) {
        struct rpcfan_slice s = trim(parts[i]);
        if (s.len < 2 || s.data[0] != '[' || s.data[s.len - 1] != ']')
            return false;
        s = trim((struct rpcfan_slice){s.data + 1, s.len - 2});
        if (s.len == 0)
            continue;
        if (!first)
            rf_buf_char(out, ',');
        first = false;
        rf_buf_add(out, s.data, s.len);
    }
    rf_buf_char(out, ']');
    return !out->failed;
}

/* An element and where it belongs. */
struct element {
    const char *text;
    size_t len;
    uint64_t block, index;
};

#define AT(buf, type, i) (((type *)(void *)(buf).data) + (i))
#define LEN(buf, type) ((buf).len / sizeof(type))

static bool is_name(const struct rf_scan *s, const char *text, const char *name)
{
    size_t len = (size_t)(s->end - s->start) - 2;
    return len == strlen(name) && memcmp(text + s->start + 1, name, len) == 0;
}

/* Read one element, whose brace was scanned last. @return false where it has no position. */
static bool read_element(struct rf_scan *s, struct rpcfan_slice part, size_t *pos,
                         struct element *e)
{
    uint64_t unwanted, *want = &unwanted;
    bool has_block = false, has_index = false, ok;
    enum rf_tok tok;
    e->text = part.data + s->start;
    while ((tok = rf_scan_skip(s, part.data, part.len, pos, 2)) > RF_TOK_ERROR) {
        if (tok == RF_TOK_OBJECT_END && s->depth == 1)
            break;
        if (tok == RF_TOK_KEY) {
            want = is_name(s, part.data, "blockNumber") ? &e->block
                   : is_name(s, part.data, "logIndex")  ? &e->index
                                                        : &unwanted;
            continue;
        }
        if (want == &unwanted)
            continue;
        struct rpcfan_slice raw = {part.data + s->start, (size_t)(s->end - s->start)};
        ok = rf_range_number(raw, want, NULL);
        if (!ok)
            return false;
        *(want == &e->block ? &has_block : &has_index) = true;
        want = &unwanted;
    }
    e->len = (size_t)(part.data + s->end - e->text);
    return tok == RF_TOK_OBJECT_END && has_block && has_index;
}

/* Add the elements of one part. */
static bool read_part(struct rpcfan_slice part, struct rf_buf *elements)
{
    struct rf_scan s;
    enum rf_tok tok;
    size_t pos = 0;
    rf_scan_init(&s, RF_SCAN_DEPTH);
    if (rf_scan_next(&s, part.data, part.len, &pos) != RF_TOK_ARRAY)
        return false;
    while ((tok = rf_scan_next(&s, part.data, part.len, &pos)) == RF_TOK_OBJECT) {
        struct element e;
        if (!read_element(&s, part, &pos, &e))
            return false;
        rf_buf_add(elements, &e, sizeof e);
    }
    return tok == RF_TOK_ARRAY_END && !elements->failed;
}

static bool before(const struct element *a, const struct element *b)
{
    return a->block != b->block ? a->block < b->block : a->index < b->index;
}

/* Where the runs that rise begin. */
static void find_runs(const struct rf_buf *elements, struct rf_buf *runs)
{
    size_t n = LEN(*elements, struct element);
    for (size_t i = 0; i < n; i++) {
        const struct element *e = AT(*elements, struct element, i);
        if (i == 0 || before(e, e - 1))
            rf_buf_add(runs, &i, sizeof i);
    }
}

/* Merge [a, mid) and [mid, end); of equal ones the left one first. */
static void merge_two(const struct element *from, size_t a, size_t mid, size_t end,
                      struct element *to)
{
    size_t left = a, right = mid;
    for (size_t i = a; i < end; i++) {
        bool take_right = left == mid || (right < end && before(&from[right], &from[left]));
        to[i] = from[take_right ? right++ : left++];
    }
}

/* Merge each two runs that are neighbours. */
static void merge_round(const struct rf_buf *from, struct rf_buf *runs, struct rf_buf *to)
{
    size_t n = LEN(*from, struct element), n_runs = LEN(*runs, size_t), kept = 0;
    size_t *run = AT(*runs, size_t, 0);
    for (size_t i = 0; i < n_runs; i += 2) {
        size_t a = run[i], mid = i + 1 < n_runs ? run[i + 1] : n;
        size_t end = i + 2 < n_runs ? run[i + 2] : n;
        merge_two(AT(*from, struct element, 0), a, mid, end, AT(*to, struct element, 0));
        run[kept++] = a;
    }
    runs->len = kept * sizeof(size_t);
}

static bool sort(struct rf_buf *elements)
{
    struct rf_buf runs = {0}, other = {0};
    find_runs(elements, &runs);
    bool ok = !runs.failed;
    if (ok && LEN(runs, size_t) > 1)
        ok = rf_buf_reserve(&other, elements->len);
    while (ok && LEN(runs, size_t) > 1) {
        struct rf_buf from = *elements;
        other.len = from.len;
        merge_round(&from, &runs, &other);
        *elements = other;
        other = from;
    }
    rf_buf_fini(&runs);
    rf_buf_fini(&other);
    return ok;
}

static bool same(const struct element *a, const struct element *b)
{
    return a->block == b->block && a->index == b->index && a->len == b->len &&
           memcmp(a->text, b->text, a->len) == 0;
}

static void write_elements(const struct rf_buf *elements, struct rf_buf *out)
{
    size_t n = LEN(*elements, struct element);
    rf_buf_char(out, '[');
    for (size_t i = 0; i < n; i++) {
        const struct element *e = AT(*elements, struct element, i);
        if (i > 0 && same(e - 1, e))
            continue;
        if (i > 0)
            rf_buf_char(out, ',');
        rf_buf_add(out, e->text, e->len);
    }
    rf_buf_char(out, ']');
}

static bool merge(const struct rpcfan_slice *parts, uint32_t n, struct rf_buf *out)
{
    struct rf_buf elements = {0};
    bool ok = true;
    for (uint32_t i = 0; i < n && ok; i++)
        ok = read_part(parts[i], &elements);
    ok = ok && sort(&elements);
    if (ok)
        write_elements(&elements, out);
    rf_buf_fini(&elements);
    return ok && !out->failed;
}

bool rf_range_merge(const struct rpcfan_slice *parts, uint32_t n, bool by_position,
                    struct rf_buf *out)
{
    size_t len = out->len, room = (size_t)n + 2;
    for (uint32_t i = 0; i < n; i++)
        room += parts[i].len;
    bool ok = rf_buf_reserve(out, room) &&
              (by_position ? merge(parts, n, out) : concatenate(parts, n, out));
    if (!ok)
        out->len = len;
    return ok;
}
