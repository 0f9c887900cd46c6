/* node_refuse.c - saying no as real providers do: rate limits, concurrency, and each known shape of
 * a batch refusal. Called by node_rpc.c. Works on the request in `node->work`. */
#include <string.h>
#include <time.h>

#include "sim/node_int.h"
#include "sim/node_limit.h"

/* How a refusal of a batch is wrapped. */
enum wrap {
    WRAP_OBJECT,  /* one error object, id null */
    WRAP_FIRST,   /* an array of one error, with the first call's id */
    WRAP_NULL_ID, /* an array of one error, with id null */
    WRAP_TEXT,    /* the message as plain text */
    WRAP_EMPTY    /* nothing */
};

const char *const rf_node_batch_shapes[] = {"geth",    "erigon", "base",       "proxyd",  "drpc",
                                            "ronin",   "ankr",   "infura",     "alchemy", "object",
                                            "http400", "empty",  "null-array", NULL};

/* In the order of the names above. A `@` in a message is the cap, a `#` the size that was asked. */
static const struct {
    unsigned status;
    enum wrap wrap;
    int64_t code;
    const char *message;
} shapes[] = {
    {200, WRAP_FIRST, -32600, "batch too large"},
    {200, WRAP_OBJECT, -32600,
     "batch limit @ exceeded (can increase by --rpc.batch.limit). Requested batch of size: #"},
    {200, WRAP_OBJECT, -32014, "maximum @ calls in 1 batch"},
    {413, WRAP_OBJECT, -32014, "too many RPC calls in batch request"},
    {500, WRAP_OBJECT, 31,
     "Batch of more than @ requests are not allowed on free tier, to use "
     "bigger batch consider upgrading to paid tier"},
    {400, WRAP_TEXT, 0, "too many requests"},
    {200, WRAP_OBJECT, -32600, "Too many [\"%\"] methods in the batch"},
    {200, WRAP_OBJECT, -32600, "batch item count exceeded"},
    {200, WRAP_OBJECT, -32600, "Batch size too large: # requests, the maximum is @"},
    {200, WRAP_OBJECT, -32600, "Invalid request"},
    {400, WRAP_TEXT, 0, "batch requests are not supported"},
    {200, WRAP_EMPTY, 0, ""},
    {200, WRAP_NULL_ID, -32600, "Invalid request"},
};

bool rf_node_matches(const char *pattern, struct rpcfan_slice method)
{
    return pattern == NULL || rf_pattern_match(pattern, method.data, method.len);
}

unsigned rf_node_members_of(const struct rf_node_work *w, const char *method)
{
    unsigned n = method == NULL ? w->n : 0;
    for (unsigned i = 0; method != NULL && i < w->n; i++)
        n += rf_node_matches(method, w->member[i].method);
    return n;
}

static struct rpcfan_slice first_id(const struct rf_node_work *w)
{
    static const struct rpcfan_slice null = {"null", 4};
    for (unsigned i = 0; i < w->n; i++)
        if (w->member[i].id.len > 0)
            return w->member[i].id;
    return null;
}

static void error_response(struct rf_buf *out, struct rpcfan_slice id, int64_t code,
                           const char *message, const char *data)
{
    rf_buf_str(out, "{\"jsonrpc\":\"2.0\",\"id\":");
    rf_buf_add(out, id.data, id.len);
    rf_buf_str(out, ",\"error\":");
    rf_node_error(out, code, message, data);
    rf_buf_char(out, '}');
}

/* The message with its numbers put in; NUL-terminated. */
static const char *fill_in(struct rf_buf *text, const char *message,
                           const struct rf_node_batch *rule, unsigned n)
{
    rf_buf_reset(text, RF_NODE_KEEP);
    for (const char *p = message; *p != '\0'; p++) {
        if (*p == '@' || *p == '#')
            rf_buf_u64(text, *p == '@' ? rule->max : n);
        else if (*p == '%')
            rf_buf_str(text, rule->method != NULL ? rule->method : "eth_getLogs");
        else
            rf_buf_char(text, *p);
    }
    rf_buf_char(text, '\0');
    return text->failed ? message : text->data;
}

bool rf_node_refuse_batch(struct rf_node *node, unsigned *status)
{
    static const struct rpcfan_slice null = {"null", 4};
    struct rf_node_work *w = &node->work;
    const struct rf_node_conf *conf = node->conf;
    for (unsigned i = 0; w->batch && i < conf->n_batch; i++) {
        const struct rf_node_batch *rule = &conf->batch[i];
        unsigned n = rf_node_members_of(w, rule->method), s = rule->shape;
        if (n <= rule->max && rule->max > 0)
            continue;
        const char *text = fill_in(&w->result, shapes[s].message, rule, n);
        bool array = shapes[s].wrap == WRAP_FIRST || shapes[s].wrap == WRAP_NULL_ID;
        if (array)
            rf_buf_char(&w->body, '[');
        if (shapes[s].wrap == WRAP_TEXT)
            rf_buf_str(&w->body, text);
        else if (shapes[s].wrap != WRAP_EMPTY)
            error_response(&w->body, shapes[s].wrap == WRAP_FIRST ? first_id(w) : null,
                           shapes[s].code, text, NULL);
        if (array)
            rf_buf_char(&w->body, ']');
        if (shapes[s].wrap == WRAP_TEXT)
            w->type = "text/plain";
        *status = shapes[s].status;
        return true;
    }
    return false;
}

static void add_retry_after(struct rf_node *node, const struct rf_node_refusal *r, uint64_t wait_ns)
{
    struct rf_buf *fields = &node->work.fields;
    uint64_t wait_s = r->retry_s;
    if (wait_s == UINT64_MAX)
        wait_s = wait_ns == RF_NEVER ? 3600 : (wait_ns + RF_SEC - 1) / RF_SEC;
    if (r->retry == RF_RETRY_SECONDS) {
        rf_buf_str(fields, "Retry-After: ");
        rf_buf_u64(fields, wait_s);
        rf_buf_str(fields, "\r\n");
    } else if (r->retry == RF_RETRY_DATE) {
        char text[64];
        struct tm tm;
        time_t now = time(NULL), then = now + (time_t)wait_s;
        strftime(text, sizeof text, "%a, %d %b %Y %H:%M:%S GMT", gmtime_r(&now, &tm));
        rf_buf_printf(fields, "Date: %s\r\n", text);
        strftime(text, sizeof text, "%a, %d %b %Y %H:%M:%S GMT", gmtime_r(&then, &tm));
        rf_buf_printf(fields, "Retry-After: %s\r\n", text);
    }
}

unsigned rf_node_refuse_say(struct rf_node *node, const struct rf_node_refusal *r, uint64_t wait_ns)
{
    static const struct rpcfan_slice null = {"null", 4};
    struct rf_node_work *w = &node->work;
    unsigned status = r->how == RF_REFUSE_HTTP ? r->status : 200;
    add_retry_after(node, r, wait_ns);
    switch (r->body) {
    case RF_BODY_JSON:
        error_response(&w->body, w->batch ? null : first_id(w), r->code, r->message, r->data);
        break;
    case RF_BODY_TEXT:
        w->type = "text/plain; charset=utf-8";
        rf_buf_str(&w->body, r->message);
        break;
    case RF_BODY_HTML:
        w->type = "text/html; charset=utf-8";
        rf_buf_printf(&w->body,
                      "<!DOCTYPE html>\n<html><head><title>%u %s</title></head>"
                      "<body><h1>%s</h1></body></html>\n",
                      status, rf_node_http_reason(status), r->message);
        break;
    case RF_BODY_EMPTY:
        break;
    }
    return status;
}

bool rf_node_refuse_concurrency(struct rf_node *node, unsigned *status)
{
    const struct rf_node_conf *conf = node->conf;
    if (conf->concurrency == 0 || node->stats.active.v <= conf->concurrency)
        return false;
    *status = rf_node_refuse_say(node, &conf->concurrency_refusal, RF_SEC);
    return true;
}

/* What the request costs under a limit. */
static uint64_t request_cost(const struct rf_node_work *w, const struct rf_node_limit *l)
{
    uint64_t n = rf_node_matches(l->path, w->path) ? rf_node_members_of(w, l->method) : 0;
    if (n == 0)
        return 0;
    return (l->by_request ? 1 : n) + (w->batch ? l->plus : 0);
}

/* Whether a limit refuses now. One that does not still counts: where a limit takes the place of
 * another, its window holds what was admitted before. */
static bool in_force(const struct rf_node *node, const struct rf_node_limit *l)
{
    uint64_t age_ns = rf_time_sub(node->work.now_ns, node->conf->began_ns);
    return age_ns >= l->from_ns && age_ns < l->to_ns && l->matched >= l->first &&
           l->matched <= l->last;
}

static bool takes_in(const struct rf_node_work *w, const struct rf_node_limit *l, unsigned member)
{
    return rf_node_matches(l->path, w->path) &&
           rf_node_matches(l->method, w->member[member].method);
}

/* Charge call by call and mark those that do not fit. */
static void charge_members(struct rf_node *node)
{
    struct rf_node_work *w = &node->work;
    struct rf_node_conf *conf = node->conf;
    for (unsigned m = 0; m < w->n; m++) {
        for (unsigned i = 0; i < conf->n_limit && !w->member[m].refused; i++)
            w->member[m].refused = takes_in(w, &conf->limit[i], m) &&
                                   in_force(node, &conf->limit[i]) &&
                                   rf_node_limit_room(&conf->limit[i], w->now_ns) == 0;
        for (unsigned i = 0; i < conf->n_limit && !w->member[m].refused; i++)
            if (takes_in(w, &conf->limit[i], m))
                rf_node_limit_take(&conf->limit[i], 1, w->now_ns);
        rf_node_bump(&node->stats.refused_members, w->member[m].refused);
    }
}

/* The state of the first limit in force that tells it, in the words that it tells it in. */
static void add_limit_fields(struct rf_node *node)
{
    struct rf_node_work *w = &node->work;
    struct rf_node_limit *l = NULL;
    for (unsigned i = 0; i < node->conf->n_limit && l == NULL; i++) {
        struct rf_node_limit *at = &node->conf->limit[i];
        if (at->refusal.headers != RF_HEADERS_NONE && in_force(node, at) &&
            rf_node_matches(at->path, w->path))
            l = at;
    }
    if (l == NULL)
        return;
    unsigned long long count = l->count, room = rf_node_limit_room(l, w->now_ns);
    unsigned long long window_s = (l->window_ns + RF_SEC - 1) / RF_SEC;
    unsigned long long reset_s = (rf_node_limit_wait(l, l->count, w->now_ns) + RF_SEC - 1) / RF_SEC;
    switch (l->refusal.headers) {
    case RF_HEADERS_NONE:
        break;
    case RF_HEADERS_X_EPOCH:
        reset_s += (unsigned long long)time(NULL);
        /* fall through */
    case RF_HEADERS_X:
        rf_buf_printf(&w->fields,
                      "x-ratelimit-limit: %llu\r\nx-ratelimit-remaining: %llu\r\n"
                      "x-ratelimit-reset: %llu\r\n",
                      count, room, reset_s);
        break;
    case RF_HEADERS_FIELDS:
        rf_buf_printf(&w->fields,
                      "RateLimit-Limit: %llu\r\nRateLimit-Remaining: %llu\r\n"
                      "RateLimit-Reset: %llu\r\n",
                      count, room, reset_s);
        break;
    case RF_HEADERS_LIST:
        rf_buf_printf(&w->fields,
                      "RateLimit-Policy: \"default\";q=%llu;w=%llu\r\n"
                      "RateLimit: \"default\";r=%llu;t=%llu\r\n",
                      count, window_s, room, reset_s);
        break;
    }
}

bool rf_node_refuse_rate(struct rf_node *node, unsigned *status)
{
    struct rf_node_work *w = &node->work;
    struct rf_node_conf *conf = node->conf;
    const struct rf_node_limit *over = NULL;
    uint64_t wait_ns = 0;
    if (conf->n_limit == 0)
        return false;
    for (unsigned i = 0; i < conf->n_limit; i++) {
        struct rf_node_limit *l = &conf->limit[i];
        uint64_t cost = request_cost(w, l);
        l->matched += cost > 0;
        uint64_t wait = in_force(node, l) ? rf_node_limit_wait(l, cost, w->now_ns) : 0;
        if (wait > 0 && (over == NULL || wait > wait_ns)) {
            over = l;
            wait_ns = wait;
        }
    }
    if (over != NULL && over->refusal.how == RF_REFUSE_MEMBERS) {
        charge_members(node);
        over = NULL;
    } else {
        for (unsigned i = 0; i < conf->n_limit; i++)
            if (over == NULL || conf->limit[i].charge_refused)
                rf_node_limit_take(&conf->limit[i], request_cost(w, &conf->limit[i]), w->now_ns);
    }
    add_limit_fields(node);
    if (over == NULL)
        return false;
    *status = rf_node_refuse_say(node, &over->refusal, wait_ns);
    return true;
}

void rf_node_refuse_member(struct rf_node *node, struct rf_buf *out)
{
    for (unsigned i = 0; i < node->conf->n_limit; i++) {
        const struct rf_node_refusal *r = &node->conf->limit[i].refusal;
        if (r->how != RF_REFUSE_MEMBERS || !in_force(node, &node->conf->limit[i]))
            continue;
        rf_node_error(out, r->code, r->message, r->data);
        return;
    }
}

void rf_node_refuse_body(struct rf_node *node, uint64_t length)
{
    static const struct rpcfan_slice null = {"null", 4};
    struct rf_node_work *w = &node->work;
    if (node->conf->body_shape == 1) {
        error_response(&w->body, null, -32021, "request body too large", NULL);
        return;
    }
    w->type = "text/plain; charset=utf-8";
    if (length > 0)
        rf_buf_printf(&w->body, "content length too large (%llu>%llu)\n",
                      (unsigned long long)length, (unsigned long long)node->conf->body_max);
    else
        rf_buf_str(&w->body, "http: request body too large\n");
}
