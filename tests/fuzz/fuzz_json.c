/* fuzz_json.c - libFuzzer: any bytes through the scanner, against jansson and against itself in
 * chunks whose sizes come from the input; then through the readers and writers of JSON-RPC texts.
 * Build: clang -fsanitize=fuzzer,address,undefined with src/json, src/base and -ljansson. */
#include "../unit/json/oracle.h"
#include "../unit/json/scan_trace.h"
#include "base/rng.h"
#include "json/rpc.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CUTS_MAX 32
/* Below jansson's own limit, and its refusals on depth are told from ours by this one. */
#define DEPTH 1024

static void require(bool ok)
{
    if (!ok)
        abort();
}

static uint64_t hash(const uint8_t *data, size_t size)
{
    uint64_t h = UINT64_C(0xcbf29ce484222325);
    for (size_t i = 0; i < size; i++)
        h = (h ^ data[i]) * UINT64_C(0x100000001b3);
    return h;
}

/** Whole and in chunks: the same. @return what the scanner says; `deep`: it says too deep. */
static bool scan_all_ways(const char *text, size_t len, bool *deep)
{
    struct trace whole = {0}, other = {0};
    struct rf_rng r;
    size_t cut[CUTS_MAX], n = 0, at = 0;
    struct trace_plan plan = {DEPTH, DEPTH, NULL, 0};
    trace_text(&whole, text, len, &plan);
    rf_rng_init(&r, hash((const uint8_t *)text, len));
    size_t step = 1 + (size_t)rf_rng_below(&r, 1 + len / 4);
    while (n < CUTS_MAX && (at += (size_t)rf_rng_below(&r, step + 1)) <= len)
        cut[n++] = at;
    plan.cut = cut;
    plan.n_cut = n;
    trace_text(&other, text, len, &plan);
    require(trace_same(&whole, &other));
    bool ok = whole.err == RPCFAN_OK;
    *deep = strstr(whole.why, "deeply") != NULL;
    trace_fini(&whole);
    trace_fini(&other);
    return ok;
}

static void check_compact(const char *text, size_t len, const json_t *tree)
{
    char *out = malloc(len);
    require(out != NULL);
    size_t n = rpcfan_json_compact(text, len, out);
    require(n <= len && rf_json_check(out, n, DEPTH, NULL) == RPCFAN_OK);
    if (tree != NULL) {
        json_t *again = NULL;
        require(oracle_judge(out, n, &again) == VERDICT_YES && json_equal(tree, again));
        json_decref(again);
    }
    free(out);
}

/** What was quoted is JSON, and unescaping and quoting it again changes nothing more. */
static void check_quote(const char *text, size_t len)
{
    struct rf_buf once = {0}, plain = {0}, twice = {0};
    rf_json_quote(&once, text, len);
    require(rf_json_check(once.data, once.len, 1, NULL) == RPCFAN_OK);
    rf_json_unescape(&plain, once.data + 1, once.len - 2);
    rf_json_quote(&twice, plain.data, plain.len);
    require(once.len == twice.len && memcmp(once.data, twice.data, once.len) == 0);
    rf_buf_fini(&once);
    rf_buf_fini(&plain);
    rf_buf_fini(&twice);
}

static bool inside(struct rpcfan_slice s, const char *text, size_t len)
{
    return s.len == 0 || (s.data >= text && s.data + s.len <= text + len);
}

static void check_readers(const char *text, size_t len, bool valid)
{
    struct rf_request_text request;
    struct rf_error_text error;
    struct rpcfan_error err;
    enum rpcfan_err rc = rf_request_read(text, len, &request, &err);
    require(rc == RPCFAN_OK || (err.code == rc && strncmp(err.text, "column ", 7) == 0));
    require(rc != RPCFAN_OK || (valid && request.method.len > 0));
    require(inside(request.id, text, len) && inside(request.method, text, len) &&
            inside(request.params, text, len));
    require(request.id.len == 0 || !valid ||
            rf_json_check(request.id.data, request.id.len, 1, NULL) == RPCFAN_OK);
    require(!rf_error_read(text, len, &error) || valid);
    require(inside(error.message, text, len) && inside(error.data, text, len));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    bool deep = false;
    json_t *tree = NULL;
    char *text = malloc(size > 0 ? size : 1);
    require(text != NULL);
    if (size > 0)
        memcpy(text, data, size);
    bool ours = scan_all_ways(text, size, &deep);
    enum verdict theirs = oracle_judge(text, size, &tree);
    if (theirs != VERDICT_NONE && !deep)
        require(ours == (theirs == VERDICT_YES));
    if (ours)
        check_compact(text, size, tree);
    check_quote(text, size);
    check_readers(text, size, ours);
    json_decref(tree);
    free(text);
    return 0;
}
