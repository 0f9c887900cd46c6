/* fuzz_elements.c - libFuzzer: any bytes through the scanner of elements, at once and in random
 * chunks with random stops, which must give the same; the elements are compared with jansson's
 * tree, and what surrounds them with the splitter's opinion of the whole.
 * Build: clang -fsanitize=fuzzer,address,undefined with src/json, src/base and -ljansson. */
#include <stdlib.h>
#include <string.h>

#include "../unit/json/oracle.h"
#include "base/rng.h"
#include "json/elements.h"
#include "json/split.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MAX (1u << 20)

/** The elements that were reported, each with a byte behind it. */
struct heard {
    struct rf_buf got;
    struct rf_rng *rng; /* decides where to stop; NULL: nowhere */
    bool stopped;
};

static void require(bool ok)
{
    if (!ok)
        abort();
}

static bool hear(void *arg, struct rpcfan_slice element)
{
    struct heard *h = arg;
    rf_buf_add(&h->got, element.data, element.len);
    rf_buf_char(&h->got, '\n');
    h->stopped = h->rng != NULL && rf_rng_below(h->rng, 3) == 0;
    return !h->stopped;
}

static void feed(struct rf_elements *e, const uint8_t *data, size_t size, struct heard *h)
{
    for (size_t at = 0; at < size;) {
        char *chunk = malloc(size - at);
        require(chunk != NULL);
        memcpy(chunk, data + at, size - at);
        h->stopped = false;
        size_t used = rf_elements_feed(e, chunk, size - at, hear, h);
        require(used == size - at || (used < size - at && h->stopped));
        at += used;
        free(chunk);
    }
}

static void feed_in_chunks(struct rf_elements *e, const uint8_t *data, size_t size, size_t step,
                           struct heard *h)
{
    struct rf_rng r;
    rf_rng_init(&r, size * 31 + (size > 0 ? data[size - 1] : 0) + step);
    h->rng = &r;
    rf_elements_init(e, MAX);
    for (size_t at = 0, n; at < size; at += n) {
        n = 1 + (size_t)rf_rng_below(&r, step);
        n = n > size - at ? size - at : n;
        feed(e, data + at, n, h);
    }
    rf_elements_finish(e);
    h->rng = NULL;
}

static bool same(const struct rf_buf *a, const struct rf_buf *b)
{
    return a->len == b->len && (a->len == 0 || memcmp(a->data, b->data, a->len) == 0);
}

static void require_same(const struct rf_elements *a, const struct heard *x,
                         const struct rf_elements *b, const struct heard *y)
{
    require(a->bad == b->bad && a->has_array == b->has_array && a->n == b->n);
    require(a->context_slot == b->context_slot && !a->too_big && !b->too_big);
    require(same(&a->rest, &b->rest) && same(&x->got, &y->got));
}

/** Empty the array that the elements came from, and compare them with it. */
static void take_array(json_t *array, const struct heard *h)
{
    const char *p = h->got.data;
    for (size_t i = 0; i < json_array_size(array); i++) {
        json_t *got = NULL;
        const char *end = p;
        size_t left = h->got.len - (size_t)(p - h->got.data);
        /* the byte behind an element is a line's end, which may also stand inside */
        do {
            require(left > 0);
            end = memchr(end, '\n', left - (size_t)(end - p));
            require(end != NULL);
            json_decref(got);
            oracle_judge(p, (size_t)(end - p), &got);
            end++;
        } while (got == NULL || !json_equal(got, json_array_get(array, i)));
        json_decref(got);
        p = end;
    }
    require(p == h->got.data + h->got.len);
    json_array_clear(array);
}

/** The one to report, by the tree; of doubled names jansson keeps the last alone. */
static json_t *find_array(const json_t *tree)
{
    json_t *result = json_object_get(tree, "result");
    json_t *value = json_object_get(result, "value");
    if (json_is_array(result))
        return result;
    if (json_is_array(value))
        return value;
    if (json_is_array(json_object_get(result, "accounts")))
        return json_object_get(result, "accounts");
    return json_is_array(json_object_get(value, "accounts")) ? json_object_get(value, "accounts")
                                                             : NULL;
}

static unsigned count(const uint8_t *data, size_t size, const char *word)
{
    unsigned n = 0;
    size_t len = strlen(word);
    for (size_t i = 0; i + len <= size; i++)
        n += memcmp(data + i, word, len) == 0;
    return n;
}

/** Doubled names, and several arrays, are told by the order, which a tree does not have. */
static bool is_simple(const uint8_t *data, size_t size)
{
    return count(data, size, "result") <= 1 && count(data, size, "value") <= 1 &&
           count(data, size, "accounts") <= 1 && memchr(data, '\\', size) == NULL;
}

static void check_tree(json_t *tree, const struct rf_elements *e, const struct heard *h)
{
    json_t *array = find_array(tree), *rest = NULL, *result = json_object_get(tree, "result");
    if (json_object_get(result, "value") != NULL && json_object_get(result, "accounts") != NULL)
        return; /* either may come first */
    require((array != NULL) == e->has_array);
    if (array == NULL)
        return;
    require(json_array_size(array) == e->n);
    if (e->n > 0)
        take_array(array, h);
    size_t bom = e->rest.len >= 3 && memcmp(e->rest.data, "\xef\xbb\xbf", 3) == 0 ? 3 : 0;
    require(oracle_judge(e->rest.data + bom, e->rest.len - bom, &rest) == VERDICT_YES);
    require(json_equal(rest, tree));
    json_decref(rest);
}

/** The splitter finds the whole and what is left of it equally good. */
static void check_split(const char *body, size_t size, const struct rf_elements *e)
{
    struct rf_split whole = {0}, rest = {0};
    rf_split_init(&whole, 5);
    rf_split_feed(&whole, body, size);
    rf_split_finish(&whole, body);
    rf_split_init(&rest, 5);
    rf_split_feed(&rest, e->rest.data, e->rest.len);
    rf_split_finish(&rest, e->rest.len > 0 ? e->rest.data : "");
    require(whole.shape == rest.shape);
    require((whole.shape == RF_SHAPE_BAD || whole.shape == RF_SHAPE_NONE) == e->bad);
    if (!e->bad && whole.shape == RF_SHAPE_OBJECT) {
        require(whole.n == rest.n);
        require(whole.member[0].id == rest.member[0].id &&
                whole.member[0].id_kind == rest.member[0].id_kind &&
                whole.member[0].twice == rest.member[0].twice &&
                whole.member[0].error_len == rest.member[0].error_len);
    }
    rf_split_fini(&whole);
    rf_split_fini(&rest);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct rf_elements whole = {0}, cut = {0};
    struct heard x = {0}, y = {0};
    char *body = malloc(size + 1);
    require(body != NULL);
    if (size > 0)
        memcpy(body, data, size);
    rf_elements_init(&whole, MAX);
    feed(&whole, data, size, &x);
    rf_elements_finish(&whole);
    for (size_t step = 1; step <= 1 + size / 2; step += 1 + size / 6) {
        y.got.len = 0;
        feed_in_chunks(&cut, data, size, step, &y);
        require_same(&whole, &x, &cut, &y);
    }
    check_split(body, size, &whole);
    json_t *tree = NULL;
    size_t bom = size >= 3 && memcmp(body, "\xef\xbb\xbf", 3) == 0 ? 3 : 0;
    enum verdict theirs = oracle_judge(body + bom, size - bom, &tree);
    if (theirs == VERDICT_NO)
        require(whole.bad);
    if (whole.bad && theirs == VERDICT_YES)
        require(strstr(rf_scan_error(&whole.scan), "deeply") != NULL);
    if (tree != NULL && !whole.bad && is_simple(data, size))
        check_tree(tree, &whole, &x);
    json_decref(tree);
    rf_elements_fini(&whole);
    rf_elements_fini(&cut);
    rf_buf_fini(&x.got);
    rf_buf_fini(&y.got);
    free(body);
    return 0;
}
