/* status.c - what the core knows, as one JSON object: every figure a user needs to see why calls
 * wait or fail, and the reason in words. No URL is in it. */
#include "core/core.h"

#include "core/endpoint.h"
#include "core/state.h"
#include "json/rpc.h"

#include <string.h>

static unsigned long long ull(uint64_t v)
{
    return (unsigned long long)v;
}

static void add_text(struct rf_buf *b, const char *key, const char *text)
{
    rf_buf_printf(b, "\"%s\":", key);
    rf_json_quote(b, text, strlen(text));
}

static const char *state_name(const struct rf_endpoint *ep, uint64_t now_ns)
{
    if (now_ns < ep->bench_until_ns)
        return "benched";
    if (ep->breaker.state != RF_BREAKER_CLOSED)
        return rf_breaker_state_name(ep->breaker.state);
    if (now_ns < rf_endpoint_paused_until(ep))
        return "paused";
    return ep->fail_streak > 0 ? "suspect" : "ok";
}

static void add_counts(struct rf_buf *b, const struct rf_counts *n)
{
    rf_buf_printf(b,
                  "\"requests\":%llu,\"batches\":%llu,\"calls\":%llu,\"ok\":%llu,"
                  "\"errors\":{\"rpc\":%llu,\"throttled\":%llu,\"server\":%llu,\"network\":%llu,"
                  "\"malformed\":%llu},",
                  ull(n->requests), ull(n->batches), ull(n->calls), ull(n->ok), ull(n->rpc),
                  ull(n->throttled), ull(n->server), ull(n->network), ull(n->malformed));
    rf_buf_printf(b, "\"unmatched\":%llu,\"resent\":%llu,\"bytes_out\":%llu,\"bytes_in\":%llu,",
                  ull(n->unmatched), ull(n->resent), ull(n->bytes_out), ull(n->bytes_in));
}

/* Not with %f: its decimal point is the locale's. */
static void add_ms(struct rf_buf *b, const char *key, uint64_t ns)
{
    rf_buf_printf(b, ",\"%s\":%llu.%03llu", key, ull(ns / RF_MS), ull(ns % RF_MS / RF_US));
}

static void add_latency(struct rf_buf *b, const struct rf_hist *h)
{
    rf_buf_printf(b, "\"latency_ms\":{\"n\":%llu", ull(h->n));
    add_ms(b, "p50", rf_hist_quantile(h, 500));
    add_ms(b, "p90", rf_hist_quantile(h, 900));
    add_ms(b, "p99", rf_hist_quantile(h, 990));
    rf_buf_str(b, "},");
}

static void add_breaker(struct rf_buf *b, const struct rf_breaker *k, uint64_t now_ns)
{
    uint64_t again = k->state == RF_BREAKER_OPEN ? rf_time_sub(k->open_until_ns, now_ns) : 0;
    rf_buf_printf(b, "\"breaker\":{\"state\":\"%s\",\"trips\":%llu,\"opens_again_ms\":%llu,",
                  rf_breaker_state_name(k->state), ull(k->trips), ull(again / RF_MS));
    add_text(b, "why", rf_breaker_why_text(k->why));
    rf_buf_str(b, "},");
}

static void add_windows(struct rf_buf *b, const struct rf_limiter *lim)
{
    rf_buf_str(b, "\"limits\":[");
    for (unsigned i = 0; i < lim->n; i++) {
        const struct rf_window *w = &lim->w[i];
        rf_buf_printf(b, "%s{\"count\":%llu,\"window_ms\":%llu,\"unit\":\"%s\",\"used\":%llu}",
                      i > 0 ? "," : "", ull(w->count), ull(w->window_ns / RF_MS),
                      w->unit == RPCFAN_WEIGHT ? "weight" : "requests",
                      ull(w->logged + w->in_flight));
    }
    rf_buf_str(b, "],");
}

/* Not with %f: its decimal point is the locale's. Rates have a use to the thousandth. */
static void add_rate(struct rf_buf *b, const char *key, double per_s)
{
    uint64_t milli = (uint64_t)(per_s * 1000.0 + 0.5);
    rf_buf_printf(b, "\"%s\":%llu.%03llu", key, ull(milli / 1000), ull(milli % 1000));
}

static void add_gate(struct rf_buf *b, const struct rf_gate *g, uint64_t now_ns)
{
    rf_buf_printf(b, "\"paused_ms\":%llu,\"pauses\":%llu,\"refused\":%llu,",
                  ull(rf_time_sub(g->throttle.paused_until_ns, now_ns) / RF_MS),
                  ull(g->throttle.epochs), ull(g->throttle.refused));
    add_windows(b, &g->limiter);
    rf_buf_str(b, "\"rate\":{");
    add_text(b, "phase", g->learns ? rf_rate_phase_name(&g->rate) : "off");
    rf_buf_char(b, ',');
    add_rate(b, "per_s", rf_gate_per_s(g));
    rf_buf_str(b, "},");
}

static void add_ranges(struct rf_buf *b, const struct rf_network *net, const struct rf_endpoint *ep)
{
    rf_buf_str(b, "\"ranges\":{");
    bool any = false;
    for (uint32_t i = 0; i < ep->n_ranges; i++) {
        uint64_t cap = ep->range[i].cap.cap;
        uint32_t at = ep->range[i].method_ix;
        if (cap == 0 || at == RF_METHOD_NONE)
            continue;
        rf_buf_str(b, any ? "," : "");
        rf_json_quote(b, net->method[at].name, net->method[at].len);
        rf_buf_printf(b, ":%llu", ull(cap));
        any = true;
    }
    rf_buf_str(b, "},");
}

/* Methods that it lacks, each with the milliseconds until it is asked again. */
static void add_absent(struct rf_buf *b, const struct rf_network *net, const struct rf_endpoint *ep,
                       uint64_t now_ns)
{
    rf_buf_str(b, "\"unsupported\":{");
    bool any = false;
    for (uint32_t i = 0; i < RF_METHOD_SLOTS; i++) {
        const struct rf_method *m = &net->method[i];
        if (m->len == 0 || now_ns >= m->absent_until_ns || (m->absent >> ep->index & 1) == 0)
            continue;
        rf_buf_str(b, any ? "," : "");
        rf_json_quote(b, m->name, m->len);
        rf_buf_printf(b, ":%llu", ull((m->absent_until_ns - now_ns) / RF_MS));
        any = true;
    }
    rf_buf_str(b, "}");
}

/* What is worth keeping for the next client. */
static void add_learned(struct rf_buf *b, const struct rf_network *net,
                        const struct rf_endpoint *ep, uint64_t now_ns)
{
    bool count = ep->batch.limit < ep->batch.max,
         bytes = ep->batch.limit_bytes < ep->batch.max_bytes;
    rf_buf_printf(b, "\"batch\":%u,\"batch_bytes\":%llu,\"inputs\":%u,",
                  count ? ep->batch.limit : 0, ull(bytes ? ep->batch.limit_bytes : 0),
                  ep->inputs_max);
    add_ranges(b, net, ep);
    add_absent(b, net, ep, now_ns);
}

static void add_head(struct rf_buf *b, const struct rf_network *net, const struct rf_endpoint *ep)
{
    if (rf_fresh_head(&net->fresh, ep->index) > 0)
        rf_buf_printf(b, "\"head\":%llu,\"lag\":%llu,", ull(rf_fresh_head(&net->fresh, ep->index)),
                      ull(rf_fresh_lag(&net->fresh, ep->index)));
}

static void add_endpoint(struct rf_buf *b, const struct rf_network *net,
                         const struct rf_endpoint *ep, uint64_t now_ns)
{
    char why[224];
    rf_endpoint_why(ep, now_ns, why, sizeof why);
    rf_buf_char(b, '{');
    add_text(b, "name", ep->name);
    rf_buf_char(b, ',');
    add_text(b, "state", state_name(ep, now_ns));
    rf_buf_char(b, ',');
    add_text(b, "why", why);
    rf_buf_printf(b, ",\"priority\":%u,\"in_flight\":%u,\"in_flight_max\":%u,", ep->priority,
                  ep->in_flight, ep->in_flight_max);
    add_counts(b, &ep->count);
    add_gate(b, &ep->gate, now_ns);
    if (ep->account != NULL) {
        add_text(b, "account", ep->account->name);
        rf_buf_char(b, ',');
    }
    rf_buf_printf(b, "\"batch\":{\"limit\":%u,\"proven\":%u,\"max\":%u,\"refusals\":%llu},",
                  ep->batch.limit, ep->batch.proven, ep->batch.max, ull(ep->batch.refusals));
    add_head(b, net, ep);
    rf_buf_str(b, "\"learned\":{");
    add_learned(b, net, ep, now_ns);
    rf_buf_str(b, "},");
    add_latency(b, &ep->latency);
    add_breaker(b, &ep->breaker, now_ns);
    add_text(b, "last_failure", ep->last_failure);
    rf_buf_char(b, '}');
}

static void add_network(struct rf_buf *b, const struct rf_network *net, uint64_t now_ns)
{
    rf_buf_char(b, '{');
    add_text(b, "name", net->name);
    rf_buf_printf(b,
                  ",\"submitted\":%llu,\"answered\":%llu,\"queued\":%llu,\"delayed\":%llu,"
                  "\"in_flight\":%llu,\"retries\":%llu,\"retry_budget\":%u.%u,\"joined\":%llu,"
                  "\"gathered\":%llu,\"hedges\":%llu,\"hedges_won\":%llu,\"legs\":%llu,"
                  "\"endpoints\":[",
                  ull(net->submitted), ull(net->answered), ull(net->queued), ull(net->delayed),
                  ull(net->in_flight), ull(net->retried), net->budget.tenths / 10,
                  net->budget.tenths % 10, ull(net->joined), ull(net->gathered), ull(net->hedged),
                  ull(net->hedges_won), ull(net->legs));
    for (uint32_t i = 0; i < net->n_ep; i++) {
        if (i > 0)
            rf_buf_char(b, ',');
        add_endpoint(b, net, &net->ep[i], now_ns);
    }
    rf_buf_str(b, "]}");
}

static void add_accounts(struct rf_buf *b, const struct rf_core *core, uint64_t now_ns)
{
    rf_buf_str(b, "\"accounts\":[");
    for (uint32_t i = 0; i < core->n_accounts; i++) {
        const struct rf_account *a = &core->account[i];
        rf_buf_str(b, i > 0 ? ",{" : "{");
        add_gate(b, &a->gate, now_ns);
        add_text(b, "name", a->name);
        rf_buf_char(b, '}');
    }
    rf_buf_str(b, "],");
}

void rf_core_status(const struct rf_core *core, uint64_t now_ns, struct rf_buf *b)
{
    static const char *const phases[] = {"open", "draining", "ending"};
    rf_buf_printf(b, "{\"phase\":\"%s\",\"live\":%llu,\"in_flight\":%u,", phases[core->phase],
                  ull(core->live), core->in_flight);
    add_accounts(b, core, now_ns);
    rf_buf_str(b, "\"networks\":[");
    for (uint32_t i = 0; i < core->n_net; i++) {
        if (i > 0)
            rf_buf_char(b, ',');
        add_network(b, &core->net[i], now_ns);
    }
    rf_buf_str(b, "]}");
}

void rf_core_learned(const struct rf_core *core, uint64_t now_ns, struct rf_buf *b)
{
    rf_buf_str(b, "{\"networks\":[");
    for (uint32_t i = 0; i < core->n_net; i++) {
        const struct rf_network *net = &core->net[i];
        rf_buf_str(b, i > 0 ? ",{" : "{");
        add_text(b, "name", net->name);
        rf_buf_str(b, ",\"endpoints\":[");
        for (uint32_t e = 0; e < net->n_ep; e++) {
            rf_buf_str(b, e > 0 ? ",{" : "{");
            add_text(b, "name", net->ep[e].name);
            rf_buf_char(b, ',');
            add_learned(b, net, &net->ep[e], now_ns);
            rf_buf_char(b, '}');
        }
        rf_buf_str(b, "]}");
    }
    rf_buf_str(b, "]}");
}
