/* node_conf.c - script lines into rules: one small reader for each directive. Called with the text
 * of options, of a script file, or of a test. Pure.
 *
 * Failure modes: a word that no reader used, a value of the wrong type, an unknown directive: each
 * is an error with the line's number; nothing is guessed and nothing ignored. */
#include "sim/node_conf.h"

#include <string.h>

#include "base/mem.h"

#define BODY_MAX (UINT64_C(5) << 20) /* geth's default */
#define SLIDING_MAX 10000000         /* a sliding window keeps a time for each unit */
#define WORKERS_MAX 4096
#define RULES_MAX 256 /* lines of one kind */
#define SLOT_NS (400 * RF_MS)
#define WS_QUEUE_MAX (UINT64_C(256) << 20) /* agave's */

/** Takes the words of its directive into `conf`. */
typedef void reader(struct rf_node_conf *conf, struct rf_node_words *w);

char *rf_node_conf_copy(struct rf_node_words *w, const char *key)
{
    const char *text = rf_node_words_text(w, key);
    char *copy = rf_strdup(text);
    if (text != NULL && copy == NULL)
        rf_node_words_fail(w, "out of memory");
    return copy;
}

char *rf_node_conf_json(struct rf_node_words *w, const char *key)
{
    char *text = rf_node_conf_copy(w, key);
    if (text != NULL && rf_json_check(text, strlen(text), RF_SCAN_DEPTH, NULL) != RPCFAN_OK)
        rf_node_words_fail(w, "%s=%s: want JSON (quote it with '...')", key, text);
    return text;
}

/* One more zeroed element. @return it, or NULL with the words failed. */
static void *add_rule(struct rf_node_words *w, void **array, unsigned *n, size_t size)
{
    if (*n == RULES_MAX) {
        rf_node_words_fail(w, "more than %d lines of this kind", RULES_MAX);
        return NULL;
    }
    char *grown = rf_realloc(*array, (*n + 1) * size);
    if (grown == NULL) {
        rf_node_words_fail(w, "out of memory");
        return NULL;
    }
    *array = grown;
    memset(grown + *n * size, 0, size);
    return grown + (*n)++ * size;
}

static uint64_t need_u64(struct rf_node_words *w, const char *what)
{
    uint64_t v = 0;
    const char *text = rf_node_words_need(w, what);
    if (!w->failed && !rf_node_text_u64(text, &v))
        rf_node_words_fail(w, "'%s': want %s", text, what);
    return v;
}

static uint64_t need_time(struct rf_node_words *w, const char *what)
{
    uint64_t v = 0;
    const char *text = rf_node_words_need(w, what);
    if (!w->failed && rf_parse_duration(text, &v) != RPCFAN_OK)
        rf_node_words_fail(w, "'%s': want %s with its unit, as 50ms", text, what);
    return v;
}

static uint64_t need_bytes(struct rf_node_words *w)
{
    uint64_t v = 0;
    const char *text = rf_node_words_need(w, "a number of bytes");
    if (!w->failed && rf_parse_bytes(text, &v) != RPCFAN_OK)
        rf_node_words_fail(w, "'%s': want bytes, as 512 or 50KiB", text);
    return v;
}

static unsigned need_choice(struct rf_node_words *w, const char *what, const char *const *names)
{
    const char *text = rf_node_words_need(w, what);
    for (unsigned i = 0; names[i] != NULL; i++)
        if (strcmp(text, names[i]) == 0)
            return i;
    rf_node_words_fail(w, "'%s' is no %s", text, what);
    return 0;
}

static void read_family(struct rf_node_conf *conf, struct rf_node_words *w)
{
    static const char *const names[] = {"evm", "solana", "both", NULL};
    conf->chain.family = (enum rf_node_family)(need_choice(w, "family", names) + RF_NODE_EVM);
}

static void read_chain_id(struct rf_node_conf *conf, struct rf_node_words *w)
{
    conf->chain.chain_id = need_u64(w, "a chain id");
}

static void read_head(struct rf_node_conf *conf, struct rf_node_words *w)
{
    conf->chain.head = need_u64(w, "a block number or slot");
}

static void read_churn(struct rf_node_conf *conf, struct rf_node_words *w)
{
    conf->chain.churn = need_u64(w, "a number of blocks");
}

static void read_block_time(struct rf_node_conf *conf, struct rf_node_words *w)
{
    conf->block_ns = need_time(w, "a duration");
}

static void read_seed(struct rf_node_conf *conf, struct rf_node_words *w)
{
    conf->seed = need_u64(w, "a seed");
}

/* A kind of distribution and its durations. */
static void need_delay(struct rf_node_words *w, struct rf_node_latency *l)
{
    static const char *const names[] = {"fixed", "uniform", "exp", NULL};
    unsigned kind = need_choice(w, "kind of latency (fixed, uniform, exp)", names);
    l->kind = kind == 0 ? RF_LATENCY_FIXED : kind == 1 ? RF_LATENCY_UNIFORM : RF_LATENCY_EXP;
    l->a_ns = need_time(w, "a duration");
    l->b_ns = kind == 1 ? need_time(w, "a second duration") : 0;
    if (kind == 1 && l->b_ns < l->a_ns)
        rf_node_words_fail(w, "uniform: the second duration is the shorter one");
    l->chance = rf_node_conf_chance(w);
}

static void read_latency(struct rf_node_conf *conf, struct rf_node_words *w)
{
    struct rf_node_latency *l =
        add_rule(w, (void **)&conf->latency, &conf->n_latency, sizeof *conf->latency);
    if (l == NULL)
        return;
    need_delay(w, l);
    l->each_ns = rf_node_words_time(w, "each", 0);
    l->method = rf_node_conf_copy(w, "method");
    l->path = rf_node_conf_copy(w, "path");
}

static void read_transit(struct rf_node_conf *conf, struct rf_node_words *w)
{
    struct rf_node_latency *l =
        add_rule(w, (void **)&conf->transit, &conf->n_transit, sizeof *conf->transit);
    if (l != NULL)
        need_delay(w, l);
}

static void read_workers(struct rf_node_conf *conf, struct rf_node_words *w)
{
    struct rf_node_pool *p = add_rule(w, (void **)&conf->pool, &conf->n_pool, sizeof *conf->pool);
    uint64_t n = need_u64(w, "a number of workers");
    if (p == NULL || w->failed)
        return;
    p->method = rf_node_conf_copy(w, "method");
    if (n == 0 || n > WORKERS_MAX) {
        rf_node_words_fail(w, "'%llu': want 1 to %d workers", (unsigned long long)n, WORKERS_MAX);
        return;
    }
    p->n = (unsigned)n;
    p->free_ns = rf_alloc(p->n * sizeof *p->free_ns);
    if (p->free_ns == NULL)
        rf_node_words_fail(w, "out of memory");
}

/* N/W, as 100/10s or 5/s. */
static void parse_rate(struct rf_node_words *w, const char *text, struct rf_node_limit *l)
{
    const char *slash = strchr(text, '/');
    char count[24] = "", window[32] = "1";
    if (slash != NULL && slash - text < (ptrdiff_t)sizeof count && strlen(slash) < 24) {
        memcpy(count, text, (size_t)(slash - text));
        bool bare = slash[1] < '0' || slash[1] > '9';
        strcpy(window + (bare ? 1 : 0), slash + 1);
    }
    if (!rf_node_text_u64(count, &l->count) || l->count == 0 ||
        rf_parse_duration(window, &l->window_ns) != RPCFAN_OK || l->window_ns == 0)
        rf_node_words_fail(w, "'%s': want a rate as 100/10s", text);
}

static void read_rate(struct rf_node_conf *conf, struct rf_node_words *w)
{
    static const char *const kinds[] = {"fixed", "sliding", "bucket", NULL};
    static const char *const units[] = {"calls", "requests", NULL};
    struct rf_node_limit *l =
        add_rule(w, (void **)&conf->limit, &conf->n_limit, sizeof *conf->limit);
    if (l == NULL)
        return;
    parse_rate(w, rf_node_words_need(w, "a rate"), l);
    unsigned kind = rf_node_words_choice(w, "kind", kinds, 0);
    l->kind = kind == 0 ? RF_LIMIT_FIXED : kind == 1 ? RF_LIMIT_SLIDING : RF_LIMIT_BUCKET;
    l->by_request = rf_node_words_choice(w, "unit", units, 0) == 1;
    l->plus = rf_node_words_u64(w, "plus", 0);
    l->charge_refused = rf_node_words_flag(w, "charge-refused", false);
    l->method = rf_node_conf_copy(w, "method");
    l->path = rf_node_conf_copy(w, "path");
    l->from_ns = rf_node_words_time(w, "from", 0);
    l->to_ns = rf_node_words_time(w, "to", RF_NEVER);
    rf_node_conf_range(w, &l->first, &l->last);
    l->tokens = (double)l->count;
    rf_node_conf_refusal(w, &l->refusal, "rate limit exceeded");
    if (w->failed || l->kind != RF_LIMIT_SLIDING)
        return;
    if (l->count <= SLIDING_MAX)
        l->stamp = rf_alloc(l->count * sizeof *l->stamp);
    if (l->stamp == NULL)
        rf_node_words_fail(w, "kind=sliding: no room for %llu units", (unsigned long long)l->count);
}

static void read_concurrency(struct rf_node_conf *conf, struct rf_node_words *w)
{
    conf->concurrency = need_u64(w, "a number of requests");
    rf_node_refusal_fini(&conf->concurrency_refusal);
    rf_node_conf_refusal(w, &conf->concurrency_refusal, "too many concurrent requests");
}

static void read_batch(struct rf_node_conf *conf, struct rf_node_words *w)
{
    struct rf_node_batch *b =
        add_rule(w, (void **)&conf->batch, &conf->n_batch, sizeof *conf->batch);
    if (b == NULL)
        return;
    b->max = need_u64(w, "a number of calls (0 refuses every batch)");
    b->shape = rf_node_words_choice(w, "shape", rf_node_batch_shapes, 0);
    b->method = rf_node_conf_copy(w, "method");
}

static void read_body_max(struct rf_node_conf *conf, struct rf_node_words *w)
{
    static const char *const shapes[] = {"geth", "proxyd", NULL};
    conf->body_max = need_bytes(w);
    conf->body_shape = rf_node_words_choice(w, "shape", shapes, 0);
}

static void read_response_max(struct rf_node_conf *conf, struct rf_node_words *w)
{
    conf->response_max = need_bytes(w);
}

static void read_inputs_max(struct rf_node_conf *conf, struct rf_node_words *w)
{
    conf->chain.inputs_max = need_u64(w, "a number of addresses");
    if (!w->failed && conf->chain.inputs_max == 0)
        rf_node_words_fail(w, "'0': want 1 or more addresses");
}

static void read_range_max(struct rf_node_conf *conf, struct rf_node_words *w)
{
    conf->chain.range_max = need_u64(w, "a number of blocks");
    if (!w->failed && conf->chain.range_max == 0)
        rf_node_words_fail(w, "'0': want 1 or more blocks");
    conf->chain.range_code = rf_node_words_i64(w, "code", -32602);
    rf_free(conf->range_message);
    conf->range_message = rf_node_conf_copy(w, "message");
    conf->chain.range_message =
        conf->range_message != NULL ? conf->range_message : "block range is too large, max {max}";
}

static void read_keepalive(struct rf_node_conf *conf, struct rf_node_words *w)
{
    conf->keepalive_requests = rf_node_words_u64(w, "requests", 0);
    conf->keepalive_idle_ns = rf_node_words_time(w, "idle", 0);
    conf->keepalive_announce = rf_node_words_flag(w, "announce", false);
}

static void read_answer(struct rf_node_conf *conf, struct rf_node_words *w)
{
    struct rf_node_canned *c =
        add_rule(w, (void **)&conf->canned, &conf->n_canned, sizeof *conf->canned);
    if (c == NULL)
        return;
    c->method = rf_strdup(rf_node_words_need(w, "a method"));
    c->result = rf_strdup(rf_node_words_need(w, "a JSON result"));
    if (c->method == NULL || c->result == NULL)
        rf_node_words_fail(w, "out of memory");
    else if (!w->failed &&
             rf_json_check(c->result, strlen(c->result), RF_SCAN_DEPTH, NULL) != RPCFAN_OK)
        rf_node_words_fail(w, "%s: want JSON (quote it with '...')", c->result);
}

static void read_track(struct rf_node_conf *conf, struct rf_node_words *w)
{
    char **t = add_rule(w, (void **)&conf->track, &conf->n_track, sizeof *conf->track);
    if (t == NULL)
        return;
    *t = rf_strdup(rf_node_words_need(w, "a method"));
    if (*t == NULL)
        rf_node_words_fail(w, "out of memory");
}

static void read_fault(struct rf_node_conf *conf, struct rf_node_words *w)
{
    struct rf_node_fault *f =
        add_rule(w, (void **)&conf->fault, &conf->n_fault, sizeof *conf->fault);
    if (f == NULL)
        return;
    rf_node_conf_fault(w, f);
    conf->layers |= UINT32_C(1) << rf_node_fault_layer(f->kind);
}

static const struct {
    const char *name;
    reader *read;
} directives[] = {
    {"family", read_family},
    {"chain-id", read_chain_id},
    {"head", read_head},
    {"churn", read_churn},
    {"block-time", read_block_time},
    {"seed", read_seed},
    {"latency", read_latency},
    {"transit", read_transit},
    {"workers", read_workers},
    {"rate", read_rate},
    {"concurrency", read_concurrency},
    {"batch-max", read_batch},
    {"body-max", read_body_max},
    {"response-max", read_response_max},
    {"range-max", read_range_max},
    {"inputs-max", read_inputs_max},
    {"keepalive", read_keepalive},
    {"answer", read_answer},
    {"track", read_track},
    {"fault", read_fault},
    {"ws", rf_node_conf_ws},
    {"program", rf_node_conf_program},
    {"reorg", rf_node_conf_reorg},
    {"logs", rf_node_conf_logs},
    {"solana", rf_node_conf_solana},
    {"knobs", rf_node_conf_knobs},
};

struct rf_node_conf *rf_node_conf_new(void)
{
    struct rf_node_conf *conf = rf_alloc(sizeof *conf);
    if (conf == NULL)
        return NULL;
    conf->chain = (struct rf_node_chain){.family = RF_NODE_BOTH, .chain_id = 1, .head = 1000000};
    conf->seed = 1;
    conf->body_max = BODY_MAX;
    conf->ws.queue_max = WS_QUEUE_MAX;
    return conf;
}

void rf_node_conf_free(struct rf_node_conf *conf)
{
    if (conf == NULL)
        return;
    for (unsigned i = 0; i < conf->n_latency; i++) {
        rf_free(conf->latency[i].method);
        rf_free(conf->latency[i].path);
    }
    for (unsigned i = 0; i < conf->n_pool; i++) {
        rf_free(conf->pool[i].method);
        rf_free(conf->pool[i].free_ns);
    }
    for (unsigned i = 0; i < conf->n_limit; i++) {
        rf_free(conf->limit[i].method);
        rf_free(conf->limit[i].path);
        rf_free(conf->limit[i].stamp);
        rf_node_refusal_fini(&conf->limit[i].refusal);
    }
    for (unsigned i = 0; i < conf->n_batch; i++)
        rf_free(conf->batch[i].method);
    for (unsigned i = 0; i < conf->n_fault; i++) {
        rf_free(conf->fault[i].method);
        rf_free(conf->fault[i].path);
        rf_node_refusal_fini(&conf->fault[i].say);
    }
    for (unsigned i = 0; i < conf->n_canned; i++) {
        rf_free(conf->canned[i].method);
        rf_free(conf->canned[i].result);
    }
    for (unsigned i = 0; i < conf->n_track; i++)
        rf_free(conf->track[i]);
    rf_node_refusal_fini(&conf->concurrency_refusal);
    rf_node_refusal_fini(&conf->ws.refusal);
    rf_free(conf->knobs);
    rf_free(conf->range_message);
    rf_free(conf->latency);
    rf_free(conf->transit);
    rf_free(conf->pool);
    rf_free(conf->limit);
    rf_free(conf->batch);
    rf_free(conf->fault);
    rf_free(conf->canned);
    rf_free(conf->track);
    rf_free(conf);
}

static void read_directive(struct rf_node_conf *conf, struct rf_node_words *w)
{
    const char *name = rf_node_words_next(w);
    for (size_t i = 0; name != NULL && i < RF_COUNT(directives); i++) {
        if (strcmp(directives[i].name, name) == 0) {
            directives[i].read(conf, w);
            return;
        }
    }
    rf_node_words_fail(w, "unknown directive '%s'", w->word[0]);
}

enum rpcfan_err rf_node_conf_line(struct rf_node_conf *conf, const char *line,
                                  struct rpcfan_error *err)
{
    struct rf_node_words w;
    char *copy = rf_strdup(line);
    if (copy == NULL)
        return rf_fail(err, RPCFAN_ENOMEM, "out of memory");
    enum rpcfan_err rc = rf_node_words_split(&w, copy, err);
    if (rc == RPCFAN_OK && w.n > 0) {
        read_directive(conf, &w);
        rc = rf_node_words_done(&w);
    }
    rf_free(copy);
    return rc;
}

enum rpcfan_err rf_node_conf_text(struct rf_node_conf *conf, const char *text,
                                  struct rpcfan_error *err)
{
    enum rpcfan_err rc = RPCFAN_OK;
    for (unsigned number = 1; text != NULL && *text != '\0' && rc == RPCFAN_OK; number++) {
        const char *end = strchr(text, '\n');
        size_t len = end == NULL ? strlen(text) : (size_t)(end - text);
        char *line = rf_memdup(text, len);
        rc = line == NULL ? rf_fail(err, RPCFAN_ENOMEM, "out of memory")
                          : rf_node_conf_line(conf, line, err);
        if (rc != RPCFAN_OK)
            rf_fail_prefix(err, "line %u: ", number);
        rf_free(line);
        text += len + (end != NULL);
    }
    return rc;
}

void rf_node_conf_finish(struct rf_node_conf *conf)
{
    rf_rng_init(&conf->rng, conf->seed);
    if (conf->program.n > 0 && conf->block_ns == 0)
        conf->block_ns = SLOT_NS;
    /* A generator a line: a line more or less does not change when the others fire. */
    for (unsigned i = 0; i < conf->n_fault; i++)
        rf_rng_init(&conf->fault[i].rng, rf_node_mix(conf->seed, i + 1));
}
