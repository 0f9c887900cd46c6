/* test_elements.c - every place the array can stand, cut at every two places, byte by byte, with
 * and without stops; what surrounds it; faults in each place; memory. */
#include "json/elements.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "json/split.h"

#define MAX 4096

struct text {
    const char *text;
    const char *elements; /* each behind the other, a | behind each; NULL: there is no array */
    const char *rest;     /* NULL: the text as it came */
    uint64_t slot;
    bool bad;
};

static const struct text texts[] = {
    {"{\"result\":[1,\"a\",{\"b\":[2]},[3],null,-4.5e1,true]}",
     "1|\"a\"|{\"b\":[2]}|[3]|null|-4.5e1|true|", "{\"result\":[]}", 0, false},
    {"{\"jsonrpc\":\"2.0\",\"result\":[],\"id\":7}", "", NULL, 0, false},
    {"{\"result\":{\"context\":{\"a\":\"1\",\"slot\":5},\"value\":[{},7]},\"id\":1}", "{}|7|",
     "{\"result\":{\"context\":{\"a\":\"1\",\"slot\":5},\"value\":[]},\"id\":1}", 5, false},
    {"{\"result\":{\"value\":[ 1 , 22 ],\"context\":{\"slot\":18446744073709551615}}}", "1|22|",
     "{\"result\":{\"value\":[],\"context\":{\"slot\":18446744073709551615}}}", UINT64_MAX, false},
    {"{\"result\":{\"accounts\":[{\"x\":{}}],\"paginationKey\":\"k\"}}", "{\"x\":{}}|",
     "{\"result\":{\"accounts\":[],\"paginationKey\":\"k\"}}", 0, false},
    {"{\"result\":{\"context\":{\"slot\":9},\"value\":{\"accounts\":[true,1],\"k\":[2]}}}",
     "true|1|", "{\"result\":{\"context\":{\"slot\":9},\"value\":{\"accounts\":[],\"k\":[2]}}}", 9,
     false},
    {"{\"r\\u0065sult\":{\"\\u0061ccounts\":[1]}}", "1|",
     "{\"r\\u0065sult\":{\"\\u0061ccounts\":[]}}", 0, false},
    {"\xef\xbb\xbf{\"result\":[\"\xc3\xa9\\n\"]}\n", "\"\xc3\xa9\\n\"|",
     "\xef\xbb\xbf{\"result\":[]}\n", 0, false},
    /* the first array alone */
    {"{\"result\":{\"value\":[1],\"accounts\":[2]}}", "1|",
     "{\"result\":{\"value\":[],\"accounts\":[2]}}", 0, false},
    /* nothing of the kind */
    {"{\"error\":{\"code\":-32016,\"data\":{\"value\":[1],\"slot\":3}},\"id\":1}", NULL, NULL, 0,
     false},
    {"{\"result\":null}", NULL, NULL, 0, false},
    {"{\"result\":{\"values\":[1],\"context\":[5],\"v\":{\"accounts\":[1]}}}", NULL, NULL, 0,
     false},
    {"{\"value\":[1],\"accounts\":[2],\"x\":{\"result\":[3]}}", NULL, NULL, 0, false},
    {"[{\"result\":[1]}]", NULL, NULL, 0, false},
    {"{\"result\":{\"value\":{\"value\":[1]},\"accounts\":{\"accounts\":[2]}}}", NULL, NULL, 0,
     false},
    {"{\"result\":[1],\"result\":{\"value\":[2],\"context\":{\"slot\":-1}}}", "1|",
     "{\"result\":[],\"result\":{\"value\":[2],\"context\":{\"slot\":-1}}}", 0, false},
    {"{\"result\":{\"context\":{\"slot\":18446744073709551616},\"value\":[0]}}", "0|",
     "{\"result\":{\"context\":{\"slot\":18446744073709551616},\"value\":[]}}", 0, false},
    {" 12", NULL, NULL, 0, false},
    /* faults */
    {"", NULL, NULL, 0, true},
    {"<html>429</html>", NULL, NULL, 0, true},
    {"\xef\xbb{}", NULL, NULL, 0, true},
    {"{\"result\":[1,{\"a\":2", "1|", "{\"result\":[", 0, true},
    {"{\"result\":[1,]}", "1|", "{\"result\":[", 0, true},
    {"{\"result\":[1,\"a\x01\"],\"id\":1}", "1|", "{\"result\":[", 0, true},
    {"{\"result\":[1]} x and more", "1|", "{\"result\":[]} x", 0, true},
    {"{\"result\":[1],]", "1|", "{\"result\":[],]", 0, true},
    {"{\"result\":{\"value\":[1]", "1|", "{\"result\":{\"value\":[]", 0, true},
};

/* What was reported, and when to stop. */
struct heard {
    char got[MAX];
    size_t len;
    unsigned stop_every, calls;
};

static bool hear(void *arg, struct rpcfan_slice element)
{
    struct heard *h = arg;
    assert_true(h->len + element.len + 1 < MAX);
    memcpy(h->got + h->len, element.data, element.len);
    h->len += element.len;
    h->got[h->len++] = '|';
    h->calls++;
    return h->stop_every == 0 || h->calls % h->stop_every != 0;
}

/* A chunk in memory of its exact size, again and again until it is used. */
static void feed(struct rf_elements *e, const char *text, size_t len, struct heard *h)
{
    for (size_t at = 0; at < len;) {
        char *chunk = malloc(len - at);
        assert_non_null(chunk);
        memcpy(chunk, text + at, len - at);
        size_t used = rf_elements_feed(e, chunk, len - at, hear, h);
        free(chunk);
        assert_true(used <= len - at);
        assert_true(used == len - at || h->stop_every > 0);
        at += used;
    }
}

static void check(const struct rf_elements *e, const struct heard *h, const struct text *t)
{
    const char *rest = t->rest != NULL ? t->rest : t->text;
    const char *elements = t->elements != NULL ? t->elements : "";
    if (e->bad != t->bad || e->has_array != (t->elements != NULL) || e->context_slot != t->slot)
        fail_msg("bad %d, array %d, slot %llu: %s", e->bad, e->has_array,
                 (unsigned long long)e->context_slot, t->text);
    assert_false(e->no_memory || e->too_big);
    assert_int_equal(e->n, h->calls);
    if (h->len != strlen(elements) || memcmp(h->got, elements, h->len) != 0)
        fail_msg("elements %.*s: %s", (int)h->len, h->got, t->text);
    if (e->rest.len != strlen(rest) || (e->rest.len > 0 && memcmp(e->rest.data, rest, e->rest.len)))
        fail_msg("rest %.*s: %s", (int)e->rest.len, e->rest.data, t->text);
}

/* Whatever is bad here is bad to the splitter too, and nothing else is. */
static void check_split(const struct rf_elements *e)
{
    struct rf_split s = {0};
    rf_split_init(&s, 4);
    rf_split_feed(&s, e->rest.data, e->rest.len);
    rf_split_finish(&s, e->rest.len > 0 ? e->rest.data : "");
    assert_int_equal(s.shape == RF_SHAPE_BAD || s.shape == RF_SHAPE_NONE, e->bad);
    rf_split_fini(&s);
}

static void test_elements_cut_anywhere(void **state)
{
    (void)state;
    struct rf_elements e = {0};
    for (size_t i = 0; i < RF_COUNT(texts); i++) {
        const char *t = texts[i].text;
        size_t len = strlen(t);
        for (size_t a = 0; a <= len; a++) {
            for (size_t b = a; b <= len; b++) {
                struct heard h = {.stop_every = (unsigned)((a + b) % 3)};
                rf_elements_init(&e, MAX);
                feed(&e, t, a, &h);
                feed(&e, t + a, b - a, &h);
                feed(&e, t + b, len - b, &h);
                rf_elements_finish(&e);
                check(&e, &h, &texts[i]);
            }
        }
        check_split(&e);
    }
    rf_elements_fini(&e);
}

static void test_elements_bytewise(void **state)
{
    (void)state;
    struct rf_elements e = {0};
    for (size_t i = 0; i < RF_COUNT(texts); i++) {
        struct heard h = {.stop_every = (unsigned)(i % 2)};
        rf_elements_init(&e, MAX);
        for (const char *t = texts[i].text; *t != '\0'; t++)
            feed(&e, t, 1, &h);
        rf_elements_finish(&e);
        check(&e, &h, &texts[i]);
    }
    rf_elements_fini(&e);
}

/* All ways to cut a text of 17 bytes, 65536 of them. */
static void test_elements_every_chunking(void **state)
{
    (void)state;
    static const struct text t = {"{\"result\":[12,0]}", "12|0|", "{\"result\":[]}", 0, false};
    struct rf_elements e = {0};
    size_t len = strlen(t.text);
    for (uint32_t mask = 0; mask < UINT32_C(1) << (len - 1); mask++) {
        struct heard h = {0};
        rf_elements_init(&e, MAX);
        for (size_t at = 0, i = 1; i <= len; i++) {
            if (i < len && (mask >> (i - 1) & 1) == 0)
                continue;
            (void)rf_elements_feed(&e, t.text + at, i - at, hear, &h);
            at = i;
        }
        rf_elements_finish(&e);
        check(&e, &h, &t);
    }
    rf_elements_fini(&e);
}

static bool is_inside(void *arg, struct rpcfan_slice element)
{
    const struct rpcfan_slice *chunk = arg;
    assert_true(element.data >= chunk->data &&
                element.data + element.len <= chunk->data + chunk->len);
    return true;
}

static void test_elements_are_not_copied(void **state)
{
    (void)state;
    static const char text[] = "{\"result\":[{\"a\":1},{\"b\":[2,3]},4]}";
    struct rpcfan_slice chunk = {text, sizeof text - 1};
    struct rf_elements e = {0};
    rf_elements_init(&e, MAX);
    assert_int_equal(rf_elements_feed(&e, text, chunk.len, is_inside, &chunk), chunk.len);
    assert_int_equal(e.n, 3);
    assert_null(e.element.data);
    rf_elements_fini(&e);
}

static void test_elements_cap(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool too_big;
    } cases[] = {
        {"{\"result\":[\"67890123456789012345\",\"6789012345678901\"]}", false},
        {"{\"result\":[\"678901234567890123456\"]}", true},
        {"{\"result\":[{\"a\":678901234567890123}]}", true},
        {"{\"result\":[1],\"something\":\"more\"}", true},
        {"{\"error\":\"it is as long as that\"}", true},
        {"<html>it is too long as that</html>", true},
    };
    for (size_t i = 0; i < RF_COUNT(cases); i++) {
        for (size_t step = 1; step < 60; step++) {
            struct rf_elements e = {0};
            struct heard h = {0};
            rf_elements_init(&e, 22);
            size_t len = strlen(cases[i].text);
            for (size_t at = 0; at < len; at += step)
                feed(&e, cases[i].text + at, len - at < step ? len - at : step, &h);
            rf_elements_finish(&e);
            if (e.too_big != cases[i].too_big)
                fail_msg("too big %d by %zu: %s", e.too_big, step, cases[i].text);
            rf_elements_fini(&e);
        }
    }
}

static void test_elements_memory_stays_flat(void **state)
{
    (void)state;
    static const char row[] = "{\"account\":{\"data\":[\"AAAA\",\"base64\"]},\"pubkey\":\"k\"},";
    struct rf_elements e = {0};
    struct rpcfan_slice any = {row, sizeof row - 1};
    struct heard h = {0};
    rf_elements_init(&e, MAX);
    feed(&e, "{\"result\":[", 11, &h);
    for (unsigned i = 0; i < 100000; i++) {
        (void)rf_elements_feed(&e, row, 20, is_inside, &any);
        h.len = 0;
        (void)rf_elements_feed(&e, row + 20, sizeof row - 21, hear, &h);
    }
    feed(&e, "0]}", 3, &h);
    rf_elements_finish(&e);
    assert_false(e.bad);
    assert_int_equal(e.n, 100001);
    assert_true(e.rest.cap + e.element.cap < 1024);
    rf_elements_fini(&e);
}

static void test_elements_out_of_memory(void **state)
{
    (void)state;
    const char *t = texts[2].text;
    for (uint64_t n = 1; n < 20; n++) {
        struct rf_elements e = {0};
        struct heard h = {0};
        rf_elements_init(&e, MAX);
        rf_alloc_fail_at(n);
        for (const char *p = t; *p != '\0'; p++)
            (void)rf_elements_feed(&e, p, 1, hear, &h);
        rf_alloc_fail_at(0);
        rf_elements_finish(&e);
        if (n == 1)
            assert_true(e.no_memory);
        if (!e.no_memory)
            check(&e, &h, &texts[2]);
        rf_elements_fini(&e);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_elements_cut_anywhere),
        cmocka_unit_test(test_elements_bytewise),
        cmocka_unit_test(test_elements_every_chunking),
        cmocka_unit_test(test_elements_are_not_copied),
        cmocka_unit_test(test_elements_cap),
        cmocka_unit_test(test_elements_memory_stays_flat),
        cmocka_unit_test(test_elements_out_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
