/* progress.c - draws the progress line. */
#include "app/progress.h"

#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define WIDTH_DEFAULT 80

void rf_progress_number(struct rf_buf *b, uint64_t v)
{
    char digits[20];
    size_t n = rf_u64_text(v, digits);
    for (size_t i = 0; i < n; i++) {
        if (i > 0 && (n - i) % 3 == 0)
            rf_buf_char(b, ',');
        rf_buf_char(b, digits[i]);
    }
}

static void add_time(struct rf_buf *b, uint64_t seconds)
{
    rf_buf_printf(b, "%llu:%02u:%02u", (unsigned long long)(seconds / 3600),
                  (unsigned)(seconds / 60 % 60), (unsigned)(seconds % 60));
}

static void add_endpoint(struct rf_buf *b, const struct rf_status_endpoint *ep)
{
    rf_buf_printf(b, "%s %s", ep->name, ep->state);
    if (ep->paused_ms > 0)
        rf_buf_printf(b, " %llu.%llus", (unsigned long long)(ep->paused_ms / 1000),
                      (unsigned long long)(ep->paused_ms / 100 % 10));
    if (strcmp(ep->state, "ok") != 0 && ep->why[0] != '\0')
        rf_buf_printf(b, " (%s)", ep->why);
}

void rf_progress_text(struct rf_buf *b, const struct rf_progress_facts *facts,
                      const struct rf_status_view *view, uint64_t rate, uint64_t eta_s,
                      unsigned width)
{
    size_t from = b->len;
    rf_progress_number(b, facts->done);
    rf_buf_str(b, " done  ");
    rf_progress_number(b, rate);
    rf_buf_str(b, "/s  ");
    if (facts->errors > 0) {
        rf_progress_number(b, facts->errors);
        rf_buf_str(b, " errors  ");
    }
    rf_progress_number(b, facts->in_flight);
    rf_buf_str(b, " in flight");
    if (eta_s != UINT64_MAX) {
        rf_buf_str(b, "  ETA ");
        add_time(b, eta_s);
    }
    for (size_t i = 0; i < view->n; i++) {
        rf_buf_str(b, i == 0 ? "  [" : ", ");
        add_endpoint(b, &view->endpoint[i]);
    }
    if (view->n > 0)
        rf_buf_char(b, ']');
    if (b->len - from > width)
        b->len = from + width;
}

void rf_progress_init(struct rf_progress *p, bool wanted, struct rf_stderr_log *log,
                      uint64_t now_ns)
{
    *p = (struct rf_progress){.on = wanted && isatty(STDERR_FILENO) == 1,
                              .log = log,
                              .began_ns = now_ns,
                              .mark_ns = now_ns};
}

static void ask_status(struct rf_progress *p, rpcfan_client_t *client, const char *network)
{
    char *json = NULL;
    if (client != NULL && rpcfan_status(client, &json) == RPCFAN_OK)
        rf_status_view_read(&p->view, json, network);
    rpcfan_free(json);
}

/* The rate over the time measured so far; once that is long enough its older half is forgotten. */
void rf_progress_measure(struct rf_progress *p, uint64_t done, uint64_t now_ns)
{
    uint64_t ms = rf_time_sub(now_ns, p->mark_ns) / RF_MS;
    if (ms == 0)
        return;
    p->rate = (done - p->mark_done) * 1000 / ms;
    if (ms * RF_MS >= RF_PROGRESS_RATE_NS) {
        p->mark_ns += (now_ns - p->mark_ns) / 2;
        p->mark_done += (done - p->mark_done) / 2;
    }
}

static uint64_t left_s(const struct rf_progress *p, const struct rf_progress_facts *facts,
                       uint64_t now_ns)
{
    uint64_t ms = rf_time_sub(now_ns, p->began_ns) / RF_MS;
    if (facts->bytes_all == 0 || facts->bytes_done == 0 || ms < 1000)
        return UINT64_MAX;
    if (facts->bytes_done >= facts->bytes_all)
        return 0;
    uint64_t per_s = facts->bytes_done * 1000 / ms;
    return per_s == 0 ? UINT64_MAX : (facts->bytes_all - facts->bytes_done) / per_s;
}

static unsigned columns(void)
{
    struct winsize size;
    bool known = ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 1;
    return (known ? size.ws_col : WIDTH_DEFAULT) - 1u;
}

bool rf_progress_due(const struct rf_progress *p, uint64_t now_ns)
{
    return p->on && rf_time_sub(now_ns, p->drawn_ns) >= RF_PROGRESS_DRAW_NS;
}

void rf_progress_draw(struct rf_progress *p, const char *text, size_t len, uint64_t now_ns)
{
    struct rf_buf b = {0};
    rf_buf_str(&b, "\r\033[K");
    rf_buf_add(&b, text, rf_min_u64(len, columns()));
    rf_stderr_write(b.data, b.len);
    atomic_store(&p->log->progress, true);
    p->drawn_ns = now_ns;
    rf_buf_fini(&b);
}

void rf_progress_tick(struct rf_progress *p, const struct rf_progress_facts *facts,
                      rpcfan_client_t *client, const char *network, uint64_t now_ns)
{
    struct rf_buf b = {0};
    if (!rf_progress_due(p, now_ns))
        return;
    if (rf_time_sub(now_ns, p->status_ns) >= RF_PROGRESS_STATUS_NS) {
        ask_status(p, client, network);
        p->status_ns = now_ns;
    }
    rf_progress_measure(p, facts->done, now_ns);
    rf_progress_text(&b, facts, &p->view, p->rate, left_s(p, facts, now_ns), columns());
    rf_progress_draw(p, b.data, b.len, now_ns);
    rf_buf_fini(&b);
}

void rf_progress_clear(struct rf_progress *p)
{
    if (p->on && atomic_exchange(&p->log->progress, false))
        rf_stderr_write("\r\033[K", 4);
}

void rf_progress_fini(struct rf_progress *p)
{
    rf_progress_clear(p);
    p->on = false;
    rf_status_view_fini(&p->view);
}
