/* node_conf_fault.c - the `fault` directive: the table of faults and the words each one takes, and
 * the words that say how to refuse. Called by node_conf.c. Pure. */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "sim/node.h"
#include "sim/node_conf.h"

#define ALWAYS (UINT64_C(1) << 53) /* a chance of 1 */

/* Which words a fault takes besides `when`. */
enum {
    W_AFTER = 1,
    W_BYTES = 2,
    W_N = 4,
    W_SAY = 8,
    W_IDS = 16,
    W_EVERY = 32,
    W_STATUS = 64,
    W_FORCE = 128,
    W_WS = 256 /* those of rf_node_conf_ws_fault() */
};

static const struct {
    const char *name;
    enum rf_node_layer layer;
    unsigned words;
    uint64_t bytes; /* the default of bytes= */
    int only;       /* kinds that make no sense for both; an RF_ONLY_ value */
} table[RF_FAULT_KINDS] = {
    [RF_FAULT_REFUSE] = {"refuse", RF_LAYER_LISTEN, 0, 0, 0},
    [RF_FAULT_ACCEPT_RESET] = {"accept-reset", RF_LAYER_ACCEPT, 0, 0, 0},
    [RF_FAULT_HTTP_ERROR] = {"http-error", RF_LAYER_ANSWER, W_SAY | W_STATUS, 0, 0},
    [RF_FAULT_HTML] = {"html", RF_LAYER_ANSWER, W_STATUS, 0, 0},
    [RF_FAULT_RPC_ERROR] = {"rpc-error", RF_LAYER_ANSWER, W_SAY, 0, 0},
    [RF_FAULT_NULL] = {"null", RF_LAYER_ANSWER, 0, 0, 0},
    [RF_FAULT_IDS] = {"ids", RF_LAYER_SHAPE, W_IDS, 0, 0},
    [RF_FAULT_SHUFFLE] = {"shuffle", RF_LAYER_SHAPE, 0, 0, RF_ONLY_BATCH},
    [RF_FAULT_MISSING] = {"missing", RF_LAYER_SHAPE, W_N, 0, RF_ONLY_BATCH},
    [RF_FAULT_DUPLICATE] = {"duplicate", RF_LAYER_SHAPE, W_N, 0, RF_ONLY_BATCH},
    [RF_FAULT_EXTRA] = {"extra", RF_LAYER_SHAPE, W_N, 0, RF_ONLY_BATCH},
    [RF_FAULT_OBJECT] = {"object", RF_LAYER_SHAPE, 0, 0, RF_ONLY_BATCH},
    [RF_FAULT_ARRAY] = {"array", RF_LAYER_SHAPE, 0, 0, RF_ONLY_SINGLE},
    [RF_FAULT_EMPTY_ARRAY] = {"empty-array", RF_LAYER_SHAPE, 0, 0, 0},
    [RF_FAULT_INVALID_JSON] = {"invalid-json", RF_LAYER_FORM, 0, 0, 0},
    [RF_FAULT_INVALID_UTF8] = {"invalid-utf8", RF_LAYER_FORM, 0, 0, 0},
    [RF_FAULT_BOM] = {"bom", RF_LAYER_FORM, 0, 0, 0},
    [RF_FAULT_PRETTY] = {"pretty", RF_LAYER_FORM, 0, 0, 0},
    [RF_FAULT_EMPTY] = {"empty", RF_LAYER_FORM, 0, 0, 0},
    [RF_FAULT_GZIP] = {"gzip", RF_LAYER_CODING, W_FORCE, 0, 0},
    [RF_FAULT_DEFLATE] = {"deflate", RF_LAYER_CODING, W_FORCE, 0, 0},
    [RF_FAULT_CHUNKED] = {"chunked", RF_LAYER_FRAME, W_BYTES, 1, 0},
    [RF_FAULT_UNTIL_CLOSE] = {"until-close", RF_LAYER_FRAME, 0, 0, 0},
    [RF_FAULT_EARLY] = {"early", RF_LAYER_HEAD, W_N | W_STATUS, 0, 0},
    [RF_FAULT_HUGE_HEADERS] = {"huge-headers", RF_LAYER_HEAD, W_BYTES, 65536, 0},
    [RF_FAULT_RESET] = {"reset", RF_LAYER_WIRE, W_AFTER, 0, 0},
    [RF_FAULT_CLOSE] = {"close", RF_LAYER_WIRE, W_AFTER, 0, 0},
    [RF_FAULT_TRUNCATE] = {"truncate", RF_LAYER_WIRE, W_BYTES, UINT64_MAX, 0},
    [RF_FAULT_HANG] = {"hang", RF_LAYER_WIRE, W_AFTER, 0, 0},
    [RF_FAULT_DRIP] = {"drip", RF_LAYER_WIRE, W_BYTES | W_EVERY, 16, 0},
    [RF_FAULT_ENDLESS] = {"endless", RF_LAYER_WIRE, W_BYTES, UINT64_MAX, 0},
    [RF_FAULT_WS_REFUSE] = {"ws-refuse", RF_LAYER_WS_OPEN, W_SAY | W_STATUS | W_WS, 0, 0},
    [RF_FAULT_WS_HANG] = {"ws-hang", RF_LAYER_WS_OPEN, W_WS, 0, 0},
    [RF_FAULT_WS_BAD_ACCEPT] = {"ws-bad-accept", RF_LAYER_WS_OPEN, W_WS, 0, 0},
    [RF_FAULT_WS_CLOSE] = {"ws-close", RF_LAYER_WS_LIFE, W_WS, 0, 0},
    [RF_FAULT_WS_STALL] = {"ws-stall", RF_LAYER_WS_LIFE, W_WS, 0, 0},
    [RF_FAULT_WS_IDLE] = {"ws-idle", RF_LAYER_WS_LIFE, W_WS, 0, 0},
    [RF_FAULT_WS_DRIP] = {"ws-drip", RF_LAYER_WS_LIFE, W_BYTES | W_EVERY | W_WS, 16, 0},
    [RF_FAULT_WS_DROP] = {"ws-drop", RF_LAYER_WS_MESSAGE, W_WS, 0, 0},
    [RF_FAULT_WS_DUPLICATE] = {"ws-duplicate", RF_LAYER_WS_MESSAGE, W_N | W_WS, 0, 0},
    [RF_FAULT_WS_REORDER] = {"ws-reorder", RF_LAYER_WS_MESSAGE, W_N | W_EVERY | W_WS, 0, 0},
    [RF_FAULT_WS_LATE_REPLY] = {"ws-late-reply", RF_LAYER_WS_MESSAGE, W_N | W_EVERY | W_WS, 0, 0},
    [RF_FAULT_WS_FRAGMENT] = {"ws-fragment", RF_LAYER_WS_MESSAGE, W_BYTES | W_WS, 1, 0},
    [RF_FAULT_WS_CUT] = {"ws-cut", RF_LAYER_WS_MESSAGE, W_WS, 0, 0},
    [RF_FAULT_WS_BAD_FRAME] = {"ws-bad-frame", RF_LAYER_WS_MESSAGE, W_WS, 0, 0},
    [RF_FAULT_WS_BAD_JSON] = {"ws-bad-json", RF_LAYER_WS_MESSAGE, W_WS, 0, 0},
};

_Static_assert(RF_FAULT_KINDS <= RF_NODE_FAULTS_MAX, "the counters have room for each kind");

enum rf_node_layer rf_node_fault_layer(enum rf_node_fault_kind kind)
{
    return table[kind].layer;
}

const char *rf_node_fault_name(unsigned kind)
{
    return kind < RF_FAULT_KINDS ? table[kind].name : NULL;
}

unsigned rf_node_fault_kind(const char *name)
{
    for (unsigned i = 0; i < RF_FAULT_KINDS; i++)
        if (strcmp(table[i].name, name) == 0)
            return i;
    return RF_NODE_FAULTS_MAX;
}

void rf_node_refusal_fini(struct rf_node_refusal *r)
{
    rf_free(r->message);
    rf_free(r->data);
    *r = (struct rf_node_refusal){0};
}

static unsigned read_status(struct rf_node_words *w, unsigned def, unsigned least)
{
    uint64_t status = rf_node_words_u64(w, "status", def);
    if (status < least || status > 599 || (least < 200 && status >= 200))
        rf_node_words_fail(w, "status=%llu is not possible here", (unsigned long long)status);
    return (unsigned)(status % 1000);
}

/* none, seconds, date, or a number of seconds that is told whatever the truth. */
static void read_retry(struct rf_node_words *w, struct rf_node_refusal *out)
{
    const char *text = rf_node_words_text(w, "retry-after");
    out->retry_s = UINT64_MAX;
    if (text == NULL || strcmp(text, "none") == 0)
        out->retry = RF_RETRY_NONE;
    else if (strcmp(text, "date") == 0)
        out->retry = RF_RETRY_DATE;
    else if (strcmp(text, "seconds") == 0 || rf_node_text_u64(text, &out->retry_s))
        out->retry = RF_RETRY_SECONDS;
    else
        rf_node_words_fail(w, "retry-after=%s: want none, seconds, date or a number", text);
}

static void read_say(struct rf_node_words *w, struct rf_node_refusal *out, int64_t code,
                     const char *message)
{
    static const char *const bodies[] = {"json", "text", "html", "empty", NULL};
    out->body = (enum rf_node_body)rf_node_words_choice(w, "body", bodies, RF_BODY_JSON);
    out->code = rf_node_words_i64(w, "code", code);
    out->message = rf_node_conf_copy(w, "message");
    if (out->message == NULL) {
        out->message = rf_strdup(message);
        if (out->message == NULL)
            rf_node_words_fail(w, "out of memory");
    }
    out->data = rf_node_conf_json(w, "data");
    read_retry(w, out);
}

void rf_node_conf_refusal(struct rf_node_words *w, struct rf_node_refusal *out, const char *message)
{
    static const char *const hows[] = {"http429", "http200", "members", NULL};
    static const char *const headers[] = {"no", "yes", "epoch", "fields", "list", NULL};
    unsigned how = rf_node_words_choice(w, "refuse", hows, 0);
    out->how = how == 0 ? RF_REFUSE_HTTP : how == 1 ? RF_REFUSE_OK : RF_REFUSE_MEMBERS;
    out->status = read_status(w, 429, 400);
    out->headers = (enum rf_node_headers)rf_node_words_choice(w, "headers", headers, 0);
    read_say(w, out, -32005, message);
}

void rf_node_conf_range(struct rf_node_words *w, uint64_t *first, uint64_t *last)
{
    char *text = rf_node_words_text(w, "requests");
    *first = 1;
    *last = UINT64_MAX;
    if (text == NULL)
        return;
    char *dots = strstr(text, "..");
    if (dots != NULL)
        *dots = '\0';
    bool good = rf_node_text_u64(text, first) && *first > 0;
    if (dots == NULL)
        *last = *first;
    else if (dots[2] != '\0')
        good = good && rf_node_text_u64(dots + 2, last) && *last >= *first;
    if (!good)
        rf_node_words_fail(w, "requests=: want A..B, A.. or A, from 1");
}

uint64_t rf_node_conf_chance(struct rf_node_words *w)
{
    const char *p = rf_node_words_text(w, "p");
    char *end;
    if (p == NULL)
        return ALWAYS;
    double chance = strtod(p, &end);
    if (*p != '\0' && *end == '\0' && chance >= 0 && chance <= 1)
        return (uint64_t)(chance * (double)ALWAYS);
    rf_node_words_fail(w, "p=%s: want a probability from 0 to 1", p);
    return ALWAYS;
}

static void read_when(struct rf_node_words *w, struct rf_node_fault *f)
{
    static const char *const onlys[] = {"any", "single", "batch", NULL};
    f->chance = rf_node_conf_chance(w);
    f->every = rf_node_words_u64(w, "every", 0);
    f->times = rf_node_words_u64(w, "times", UINT64_MAX);
    f->from_ns = rf_node_words_time(w, "from", 0);
    f->to_ns = rf_node_words_time(w, "to", RF_NEVER);
    rf_node_conf_range(w, &f->first, &f->last);
    f->method = rf_node_conf_copy(w, "method");
    f->path = rf_node_conf_copy(w, "path");
    unsigned only = rf_node_words_choice(w, "only", onlys, (unsigned)table[f->kind].only);
    f->only = only == 0 ? RF_ONLY_ANY : only == 1 ? RF_ONLY_SINGLE : RF_ONLY_BATCH;
    if (table[f->kind].only != 0 && (int)only != table[f->kind].only)
        rf_node_words_fail(w, "%s is possible only with only=%s", table[f->kind].name,
                           onlys[table[f->kind].only]);
}

/* A listener has no requests to count: time alone opens and closes it. */
static void check_refuse(struct rf_node_words *w, const struct rf_node_fault *f)
{
    if (f->chance != ALWAYS || f->every != 0 || f->times != UINT64_MAX || f->first != 1 ||
        f->last != UINT64_MAX || f->method != NULL || f->path != NULL)
        rf_node_words_fail(w, "refuse takes only from= and to=");
}

void rf_node_conf_fault(struct rf_node_words *w, struct rf_node_fault *out)
{
    static const char *const ids[] = {"wrong", "string", "null", "float", "none", NULL};
    const char *name = rf_node_words_need(w, "the kind of fault");
    unsigned kind = rf_node_fault_kind(name);
    if (w->failed || kind >= RF_FAULT_KINDS) {
        rf_node_words_fail(w, "'%s' is no kind of fault", name);
        return;
    }
    unsigned words = table[kind].words;
    out->kind = (enum rf_node_fault_kind)kind;
    out->bytes = table[kind].bytes;
    out->n = 1;
    if (kind == RF_FAULT_IDS)
        out->ids = (enum rf_node_ids)rf_node_words_choice(w, "value", ids, RF_IDS_WRONG);
    if (words & W_AFTER)
        out->after = rf_node_words_bytes(w, "after", 0);
    if (words & W_BYTES)
        out->bytes = rf_node_words_bytes(w, "bytes", table[kind].bytes);
    if ((words & W_BYTES) && out->bytes == 0 && kind != RF_FAULT_TRUNCATE)
        rf_node_words_fail(w, "bytes=0 is not possible here");
    if (words & W_N)
        out->n = rf_node_words_u64(w, "n", 1);
    if (words & W_EVERY)
        out->every_ns = rf_node_words_time(
            w, "per",
            kind == RF_FAULT_WS_REORDER || kind == RF_FAULT_WS_LATE_REPLY ? RF_SEC : 10 * RF_MS);
    if (words & W_FORCE)
        out->force = rf_node_words_flag(w, "force", false);
    if (kind == RF_FAULT_EARLY)
        out->status = read_status(w, 103, 102);
    else if (words & W_STATUS)
        out->status = read_status(w,
                                  kind == RF_FAULT_HTML        ? 200
                                  : kind == RF_FAULT_WS_REFUSE ? 429
                                                               : 503,
                                  200);
    if (words & W_SAY)
        read_say(w, &out->say, kind == RF_FAULT_HTTP_ERROR ? -32603 : -32000,
                 kind == RF_FAULT_HTTP_ERROR ? "internal error" : "server error");
    if (words & W_WS)
        rf_node_conf_ws_fault(w, out);
    read_when(w, out);
    if (kind == RF_FAULT_REFUSE)
        check_refuse(w, out);
}
