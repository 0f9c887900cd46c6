/* summary.c - counts a run and tells what it came to. */
#include "app/summary.h"

#include <string.h>

#include "json/rpc.h"

static unsigned long long ull(uint64_t v)
{
    return (unsigned long long)v;
}

static double ms(uint64_t ns)
{
    return (double)ns / (double)RF_MS;
}

void rf_tally_call(struct rf_tally *t, enum rpcfan_err err, uint64_t latency_ns)
{
    t->answers++;
    t->by_err[(unsigned)err < RPCFAN_ERR_COUNT ? (unsigned)err : RPCFAN_EINVAL]++;
    rf_hist_add(&t->latency, latency_ns);
}

void rf_tally_refuse(struct rf_tally *t)
{
    t->answers++;
    t->refused++;
}

uint64_t rf_tally_errors(const struct rf_tally *t)
{
    return t->answers - t->by_err[RPCFAN_OK];
}

/* The counts of one class: the errors that bear its name, at the first of them. 0: told already. */
static uint64_t class_count(const struct rf_tally *t, unsigned err)
{
    const char *class = rpcfan_err_class((enum rpcfan_err)err);
    uint64_t n = 0;
    for (unsigned i = 1; i < RPCFAN_ERR_COUNT; i++) {
        if (strcmp(rpcfan_err_class((enum rpcfan_err)i), class) != 0)
            continue;
        if (i < err)
            return 0;
        n += t->by_err[i];
    }
    return n;
}

static uint64_t per_second(const struct rf_tally *t)
{
    return (uint64_t)((double)t->answers * (double)RF_SEC / (double)rf_max_u64(t->wall_ns, 1));
}

static struct rf_status_endpoint sum(const struct rf_status_view *view)
{
    struct rf_status_endpoint all = {0};
    for (size_t i = 0; i < view->n; i++) {
        const struct rf_status_endpoint *ep = &view->endpoint[i];
        all.requests += ep->requests;
        all.batches += ep->batches;
        all.calls += ep->calls;
        all.throttled += ep->throttled;
        all.bytes_out += ep->bytes_out;
        all.bytes_in += ep->bytes_in;
    }
    return all;
}

static void add_errors(struct rf_buf *b, const struct rf_tally *t)
{
    const char *before = " (";
    rf_buf_printf(b, "errors:    %llu", ull(rf_tally_errors(t)));
    for (unsigned i = 1; i < RPCFAN_ERR_COUNT; i++) {
        uint64_t n = class_count(t, i);
        if (n == 0)
            continue;
        rf_buf_printf(b, "%s%s %llu", before, rpcfan_err_class((enum rpcfan_err)i), ull(n));
        before = ", ";
    }
    if (t->refused > 0) {
        rf_buf_printf(b, "%sbad lines %llu", before, ull(t->refused));
        before = ", ";
    }
    rf_buf_str(b, before[0] == ',' ? ")\n" : "\n");
}

static void add_endpoint(struct rf_buf *b, const struct rf_status_endpoint *ep)
{
    rf_buf_printf(b,
                  "endpoint:  %s: %s%s%s; %llu requests, %llu batches, %llu calls, "
                  "%llu throttled, %llu server, %llu network, %llu malformed; "
                  "p50 %.1f ms, p99 %.1f ms\n",
                  ep->name, ep->state, strcmp(ep->why, ep->state) != 0 ? ", " : "",
                  strcmp(ep->why, ep->state) != 0 ? ep->why : "", ull(ep->requests),
                  ull(ep->batches), ull(ep->calls), ull(ep->throttled), ull(ep->server),
                  ull(ep->network), ull(ep->malformed), ep->p50_ms, ep->p99_ms);
}

void rf_summary_text(struct rf_buf *b, const struct rf_tally *t, const struct rf_status_view *view)
{
    struct rf_status_endpoint all = sum(view);
    rf_buf_printf(b, "answers:   %llu%s", ull(t->answers), t->interrupted ? ", interrupted" : "");
    if (t->before > 0)
        rf_buf_printf(b, ", and %llu of earlier runs (%llu errors)", ull(t->before),
                      ull(t->before_errors));
    rf_buf_char(b, '\n');
    add_errors(b, t);
    rf_buf_printf(b, "time:      %.3f s, %llu calls/s\n", ms(t->wall_ns) / 1000,
                  ull(per_second(t)));
    rf_buf_printf(b, "latency:   p50 %.1f ms, p99 %.1f ms, longest %.1f ms\n",
                  ms(rf_hist_quantile(&t->latency, 500)), ms(rf_hist_quantile(&t->latency, 990)),
                  ms(t->latency.max_ns));
    rf_buf_printf(b, "requests:  %llu, of them %llu batches; %llu retries, %llu throttled (429)\n",
                  ull(all.requests), ull(all.batches), ull(view->retries), ull(all.throttled));
    rf_buf_printf(b, "bytes:     %llu sent, %llu received\n", ull(all.bytes_out),
                  ull(all.bytes_in));
    for (size_t i = 0; i < view->n; i++)
        add_endpoint(b, &view->endpoint[i]);
}

static void add_string(struct rf_buf *b, const char *key, const char *text)
{
    rf_buf_printf(b, "\"%s\":", key);
    rf_json_quote(b, text, strlen(text));
    rf_buf_char(b, ',');
}

static void add_endpoint_json(struct rf_buf *b, const struct rf_status_endpoint *ep)
{
    rf_buf_char(b, '{');
    add_string(b, "name", ep->name);
    add_string(b, "state", ep->state);
    add_string(b, "why", ep->why);
    rf_buf_printf(b,
                  "\"requests\":%llu,\"batches\":%llu,\"calls\":%llu,\"throttled\":%llu,"
                  "\"server\":%llu,\"network\":%llu,\"malformed\":%llu,"
                  "\"latency_ms\":{\"p50\":%.3f,\"p99\":%.3f}}",
                  ull(ep->requests), ull(ep->batches), ull(ep->calls), ull(ep->throttled),
                  ull(ep->server), ull(ep->network), ull(ep->malformed), ep->p50_ms, ep->p99_ms);
}

void rf_summary_json(struct rf_buf *b, const struct rf_tally *t, const struct rf_status_view *view)
{
    struct rf_status_endpoint all = sum(view);
    bool any = false;
    rf_buf_printf(b,
                  "{\"answers\":%llu,\"results\":%llu,\"errors\":%llu,\"bad_lines\":%llu,"
                  "\"interrupted\":%s,\"earlier\":{\"answers\":%llu,\"errors\":%llu},"
                  "\"errors_by_class\":{",
                  ull(t->answers), ull(t->by_err[RPCFAN_OK]), ull(rf_tally_errors(t)),
                  ull(t->refused), t->interrupted ? "true" : "false", ull(t->before),
                  ull(t->before_errors));
    for (unsigned i = 1; i < RPCFAN_ERR_COUNT; i++) {
        uint64_t n = class_count(t, i);
        if (n > 0)
            rf_buf_printf(b, "%s\"%s\":%llu", any ? "," : "", rpcfan_err_class((enum rpcfan_err)i),
                          ull(n));
        any = any || n > 0;
    }
    rf_buf_printf(b,
                  "},\"wall_s\":%.3f,\"calls_per_s\":%llu,\"latency_ms\":{\"p50\":%.3f,"
                  "\"p99\":%.3f,\"max\":%.3f},",
                  ms(t->wall_ns) / 1000, ull(per_second(t)), ms(rf_hist_quantile(&t->latency, 500)),
                  ms(rf_hist_quantile(&t->latency, 990)), ms(t->latency.max_ns));
    rf_buf_printf(b,
                  "\"requests\":%llu,\"batches\":%llu,\"retries\":%llu,\"throttled\":%llu,"
                  "\"bytes_sent\":%llu,\"bytes_received\":%llu,\"endpoints\":[",
                  ull(all.requests), ull(all.batches), ull(view->retries), ull(all.throttled),
                  ull(all.bytes_out), ull(all.bytes_in));
    for (size_t i = 0; i < view->n; i++) {
        if (i > 0)
            rf_buf_char(b, ',');
        add_endpoint_json(b, &view->endpoint[i]);
    }
    rf_buf_str(b, "]}\n");
}
