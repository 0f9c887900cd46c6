/* fuzz_split.c - libFuzzer: any bytes as a response body through the batch splitter, at once and as
 * a body that grows and moves; what it reports is compared with jansson's tree of the same body.
 * Build: clang -fsanitize=fuzzer,address,undefined with src/json, src/base and -ljansson. */
#include <stdlib.h>
#include <string.h>

#include "../unit/json/oracle.h"
#include "base/rng.h"
#include "json/split.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MEMBERS_MAX 5

static void require(bool ok)
{
    if (!ok)
        abort();
}

static char *copy(const uint8_t *data, size_t size)
{
    char *text = malloc(size > 0 ? size : 1);
    require(text != NULL);
    if (size > 0)
        memcpy(text, data, size);
    return text;
}

/** Feed a body that grows by steps of up to `step` and lies elsewhere each time. */
static void split_growing(struct rf_split *s, const uint8_t *data, size_t size, size_t step)
{
    struct rf_rng r;
    size_t at = 0;
    char *body = copy(data, 0);
    rf_rng_init(&r, size * 31 + (size > 0 ? data[size - 1] : 0));
    rf_split_init(s, MEMBERS_MAX);
    while (at < size) {
        size_t more = 1 + (size_t)rf_rng_below(&r, step);
        at = more > size - at ? size : at + more;
        free(body);
        body = copy(data, at);
        rf_split_feed(s, body, at);
    }
    rf_split_finish(s, body);
    free(body);
}

static void require_same(const struct rf_split *a, const struct rf_split *b)
{
    require(a->shape == b->shape && a->n == b->n && a->overflow == b->overflow &&
            a->not_objects == b->not_objects);
    for (uint32_t i = 0; i < a->n; i++) {
        const struct rf_member *x = &a->member[i], *y = &b->member[i];
        require(x->id == y->id && x->id_kind == y->id_kind && x->result_at == y->result_at &&
                x->result_len == y->result_len && x->error_at == y->error_at &&
                x->error_len == y->error_len && x->space == y->space && x->twice == y->twice);
    }
}

/** A slice holds what the tree has under the name (where a name stands twice, both keep the last).
 */
static void check_slice(const char *body, uint64_t at, uint64_t len, const json_t *want)
{
    json_t *got = NULL;
    require((len > 0) == (want != NULL));
    if (len == 0)
        return;
    require(oracle_judge(body + at, (size_t)len, &got) == VERDICT_YES && json_equal(got, want));
    json_decref(got);
}

static void check_id(const struct rf_member *m, const json_t *want)
{
    if (m->id_kind == RF_ID_NONE)
        require(want == NULL);
    else if (m->id_kind == RF_ID_NULL)
        require(json_is_null(want));
    else if (m->id_kind == RF_ID_UINT && json_is_integer(want))
        require(json_integer_value(want) >= 0 && m->id == (uint64_t)json_integer_value(want));
    else if (m->id_kind == RF_ID_UINT && json_is_string(want))
        require(m->id == strtoull(json_string_value(want), NULL, 10));
    else if (m->id_kind == RF_ID_UINT)
        require(json_is_real(want));
    else
        require(want != NULL);
}

static void check_member(const char *body, const struct rf_member *m, const json_t *tree)
{
    check_slice(body, m->result_at, m->result_len, json_object_get(tree, "result"));
    check_slice(body, m->error_at, m->error_len, json_object_get(tree, "error"));
    check_id(m, json_object_get(tree, "id"));
}

static void check_tree(const char *body, const struct rf_split *s, const json_t *tree)
{
    if (json_is_object(tree)) {
        require(s->shape == RF_SHAPE_OBJECT && s->n == 1);
        check_member(body, &s->member[0], tree);
    } else if (json_is_array(tree)) {
        require(s->shape == RF_SHAPE_ARRAY);
        uint64_t objects = 0;
        for (size_t i = 0; i < json_array_size(tree); i++) {
            const json_t *element = json_array_get(tree, i);
            if (!json_is_object(element))
                continue;
            if (objects < MEMBERS_MAX)
                check_member(body, &s->member[objects], element);
            objects++;
        }
        require(s->n + s->overflow == objects && s->n <= MEMBERS_MAX);
        require(s->not_objects == json_array_size(tree) - objects);
    } else {
        require(s->shape == RF_SHAPE_OTHER && s->n == 0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct rf_split whole = {0}, grown = {0};
    char *body = copy(data, size);
    rf_split_init(&whole, MEMBERS_MAX);
    rf_split_feed(&whole, body, size);
    rf_split_finish(&whole, body);
    split_growing(&grown, data, size, 1);
    require_same(&whole, &grown);
    split_growing(&grown, data, size, 1 + size / 4);
    require_same(&whole, &grown);
    size_t bom = size >= 3 && memcmp(body, "\xef\xbb\xbf", 3) == 0 ? 3 : 0;
    json_t *tree = NULL;
    enum verdict theirs = oracle_judge(body + bom, size - bom, &tree);
    if (theirs == VERDICT_NO)
        require(whole.shape == RF_SHAPE_BAD || whole.shape == RF_SHAPE_NONE);
    if (whole.shape == RF_SHAPE_NONE)
        require(theirs == VERDICT_NO);
    /* Nesting is limited tighter here than in jansson, so that a refusal is no contradiction. */
    if (tree != NULL && whole.shape != RF_SHAPE_BAD)
        check_tree(body, &whole, tree);
    if (whole.shape == RF_SHAPE_BAD && theirs == VERDICT_YES)
        require(strstr(rf_scan_error(&whole.scan), "deeply") != NULL);
    json_decref(tree);
    rf_split_fini(&whole);
    rf_split_fini(&grown);
    free(body);
    return 0;
}
