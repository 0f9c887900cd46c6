/* node_conf_ws.c - script lines of WebSocket connections and of what is announced on them: the
 * words of the ws-* faults, `ws`, `program`, `reorg`, `logs`, `solana` and `knobs`. Called by
 * node_conf.c and node_conf_fault.c. Pure. */
#include <string.h>

#include "base/mem.h"
#include "sim/node_conf.h"
#include "sim/node_ws_frame.h"

#define DATA_MAX (UINT64_C(10) << 20) /* the largest account on Solana */
#define WRITES_MAX 10000000
#define REORG_MAX 64
#define LOGS_MAX 1000

static uint64_t need_number(struct rf_node_words *w, const char *what, uint64_t least,
                            uint64_t most)
{
    uint64_t v = 0;
    const char *text = rf_node_words_need(w, what);
    if (!w->failed && (!rf_node_text_u64(text, &v) || v < least || v > most))
        rf_node_words_fail(w, "'%s': want %s from %llu to %llu", text, what,
                           (unsigned long long)least, (unsigned long long)most);
    return v;
}

/* key=A or key=A..B into two numbers. */
static void read_span(struct rf_node_words *w, const char *key, uint64_t span[2])
{
    char *text = rf_node_words_text(w, key);
    if (text == NULL)
        return;
    char *dots = strstr(text, "..");
    if (dots != NULL)
        *dots = '\0';
    bool good = rf_node_text_u64(text, &span[0]);
    span[1] = span[0];
    if (dots != NULL)
        good = good && rf_node_text_u64(dots + 2, &span[1]) && span[1] >= span[0];
    if (!good)
        rf_node_words_fail(w, "%s=: want a number, or A..B", key);
}

/* key=D or key=D..D into two durations. */
static void read_times(struct rf_node_words *w, const char *key, uint64_t span[2])
{
    char *text = rf_node_words_text(w, key);
    if (text == NULL)
        return;
    char *dots = strstr(text, "..");
    if (dots != NULL)
        *dots = '\0';
    bool good = rf_parse_duration(text, &span[0]) == RPCFAN_OK;
    span[1] = span[0];
    if (dots != NULL)
        good = good && rf_parse_duration(dots + 2, &span[1]) == RPCFAN_OK && span[1] >= span[0];
    if (!good)
        rf_node_words_fail(w, "%s=: want a duration with its unit, or D..D", key);
}

static void read_end(struct rf_node_words *w, struct rf_node_ws_words *out)
{
    static const char *const hows[] = {"frame", "fin", "reset", NULL};
    unsigned how = rf_node_words_choice(w, "how", hows, 0);
    uint64_t code = rf_node_words_u64(w, "code", RF_WS_AWAY);
    out->how = how == 0 ? RF_WS_END_FRAME : how == 1 ? RF_WS_END_FIN : RF_WS_END_RESET;
    if (code > 65535)
        rf_node_words_fail(w, "code=%llu: want a close code", (unsigned long long)code);
    out->code = (unsigned)(code & 65535);
}

/* Where in a connection's life it strikes: after so many messages, or at a time. */
static void read_point(struct rf_node_words *w, struct rf_node_ws_words *out)
{
    out->in_ns[0] = out->in_ns[1] = RF_NEVER;
    out->after[0] = out->after[1] = UINT64_MAX;
    read_times(w, "in", out->in_ns);
    read_span(w, "after", out->after);
    if (out->in_ns[0] == RF_NEVER && out->after[0] == UINT64_MAX)
        out->after[0] = out->after[1] = 0;
}

void rf_node_conf_ws_fault(struct rf_node_words *w, struct rf_node_fault *out)
{
    static const char *const bads[] = {"rsv",          "opcode",      "mask",    "length",
                                       "continuation", "interleaved", "control", NULL};
    struct rf_node_ws_words *ws = &out->ws;
    switch (out->kind) {
    case RF_FAULT_WS_CLOSE:
        read_point(w, ws);
        read_end(w, ws);
        break;
    case RF_FAULT_WS_STALL:
        read_point(w, ws);
        ws->for_ns = rf_node_words_time(w, "for", RF_NEVER);
        ws->pongs = rf_node_words_flag(w, "pongs", true);
        break;
    case RF_FAULT_WS_IDLE:
        ws->in_ns[0] = ws->in_ns[1] = 10 * 60 * RF_SEC;
        read_times(w, "in", ws->in_ns);
        read_end(w, ws);
        break;
    case RF_FAULT_WS_FRAGMENT:
        ws->pings = rf_node_words_flag(w, "pings", false);
        break;
    case RF_FAULT_WS_BAD_FRAME:
        ws->bad = rf_node_words_choice(w, "value", bads, RF_WS_BAD_RSV);
        break;
    case RF_FAULT_WS_CUT:
        ws->how = RF_WS_END_FIN;
        break;
    default:
        break;
    }
    if (rf_node_words_text(w, "only") != NULL)
        rf_node_words_fail(w, "only= is for requests over HTTP");
}

void rf_node_conf_ws(struct rf_node_conf *conf, struct rf_node_words *w)
{
    static const char *const ids[] = {"random", "small", NULL};
    struct rf_node_ws_limits *l = &conf->ws;
    l->inbound_max = rf_node_words_bytes(w, "inbound", l->inbound_max);
    l->queue_max = rf_node_words_bytes(w, "queue", l->queue_max);
    l->send_buffer = rf_node_words_bytes(w, "send-buffer", l->send_buffer);
    l->subscriptions = rf_node_words_u64(w, "subscriptions", l->subscriptions);
    l->connections = rf_node_words_u64(w, "connections", l->connections);
    l->ping_ns = rf_node_words_time(w, "ping", l->ping_ns);
    l->small_ids = rf_node_words_choice(w, "ids", ids, l->small_ids) == 1;
    if (l->send_buffer > INT32_MAX)
        rf_node_words_fail(w, "send-buffer=: want less than 2 GiB");
    rf_node_refusal_fini(&l->refusal);
    rf_node_conf_refusal(w, &l->refusal, "too many connections");
}

void rf_node_conf_program(struct rf_node_conf *conf, struct rf_node_words *w)
{
    struct rf_node_program_conf *p = &conf->program;
    p->n = need_number(w, "a number of accounts", 1, UINT32_MAX);
    p->bytes = rf_node_words_bytes(w, "bytes", 165);
    p->writes = rf_node_words_u64(w, "writes", 0);
    p->from_ns = rf_node_words_time(w, "from", 0);
    p->to_ns = rf_node_words_time(w, "to", RF_NEVER);
    const char *key = rf_node_words_text(w, "key");
    key = key == NULL ? "TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA" : key;
    if (strlen(key) < 32 || strlen(key) > 44)
        rf_node_words_fail(w, "key=%s: want an address", key);
    else
        strcpy(p->key, key);
    if (p->bytes < 16 || p->bytes > DATA_MAX)
        rf_node_words_fail(w, "bytes=: want 16 to 10 MiB");
    if (p->writes > WRITES_MAX)
        rf_node_words_fail(w, "writes=: want %d a second at most", WRITES_MAX);
    if (p->to_ns < p->from_ns)
        rf_node_words_fail(w, "to= is before from=");
}

void rf_node_conf_reorg(struct rf_node_conf *conf, struct rf_node_words *w)
{
    conf->chain.reorg_depth = need_number(w, "a number of blocks", 1, REORG_MAX);
    conf->chain.reorg_every = rf_node_words_u64(w, "every", 10);
    if (conf->chain.reorg_every == 0)
        rf_node_words_fail(w, "every=0: want blocks between two reorganisations");
}

void rf_node_conf_logs(struct rf_node_conf *conf, struct rf_node_words *w)
{
    uint64_t n = need_number(w, "a number of logs", 1, LOGS_MAX);
    uint64_t addresses = rf_node_words_u64(w, "addresses", 4);
    uint64_t topics = rf_node_words_u64(w, "topics", 4);
    if (addresses == 0 || topics == 0 || addresses > UINT32_MAX || topics > UINT32_MAX)
        rf_node_words_fail(w, "addresses= and topics=: want 1 to 4294967295");
    conf->chain.logs = (uint32_t)n;
    conf->chain.log_addresses = (uint32_t)addresses;
    conf->chain.log_topics = (uint32_t)topics;
}

void rf_node_conf_solana(struct rf_node_conf *conf, struct rf_node_words *w)
{
    (void)w;
    conf->solana = true;
}

void rf_node_conf_knobs(struct rf_node_conf *conf, struct rf_node_words *w)
{
    struct rf_buf text = {0};
    if (conf->knobs != NULL)
        rf_buf_str(&text, conf->knobs);
    for (unsigned i = 0; i < w->n; i++) {
        if (w->used[i])
            continue;
        w->used[i] = true;
        if (text.len > 0)
            rf_buf_char(&text, ' ');
        rf_buf_str(&text, w->word[i]);
    }
    rf_buf_char(&text, '\0');
    rf_free(conf->knobs);
    conf->knobs = NULL;
    if (text.failed) {
        rf_buf_fini(&text);
        rf_node_words_fail(w, "out of memory");
        return;
    }
    conf->knobs = text.data; /* a buffer's memory is rf_free()'s */
}
