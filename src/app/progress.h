/* progress.h - the progress line on a terminal: what is done, how fast, what holds it back, how
 * long it will take. Used by long commands; writes to stderr. */
#ifndef RF_APP_PROGRESS_H
#define RF_APP_PROGRESS_H

#include "app/log_stderr.h"
#include "app/status_view.h"

#define RF_PROGRESS_DRAW_NS (RF_SEC / 5)
#define RF_PROGRESS_STATUS_NS RF_SEC
#define RF_PROGRESS_RATE_NS (5 * RF_SEC) /* the rate shown is over about so long */

/** What the command knows. */
struct rf_progress_facts {
    uint64_t done, errors, in_flight;
    uint64_t bytes_done, bytes_all; /* of the input since the start; bytes_all 0: unknown */
};

/** The line. Zero-initialised is one that is never drawn. */
struct rf_progress {
    bool on;
    struct rf_stderr_log *log; /* told while the line stands there */
    uint64_t began_ns, drawn_ns, status_ns;
    uint64_t mark_ns, mark_done; /* where the measured time began */
    uint64_t rate;               /* calls/s */
    struct rf_status_view view;
};

/**
 * Begin.
 * @param wanted  false: --no-progress. The line is drawn only where stderr is a terminal.
 * @param log     borrowed.
 */
void rf_progress_init(struct rf_progress *p, bool wanted, struct rf_stderr_log *log,
                      uint64_t now_ns);

/**
 * Draw, where it is time to: at most 5 times a second, with a status of the client once a second.
 * @param client   asked for its status; NULL: not asked.
 * @param network  whose endpoints are shown; NULL: the first.
 */
void rf_progress_tick(struct rf_progress *p, const struct rf_progress_facts *facts,
                      rpcfan_client_t *client, const char *network, uint64_t now_ns);

/**
 * Append the text of the line.
 * @param rate    calls/s.
 * @param width   columns of the terminal; longer text is cut.
 * @param eta_s   seconds left, or UINT64_MAX where that is not known.
 */
void rf_progress_text(struct rf_buf *b, const struct rf_progress_facts *facts,
                      const struct rf_status_view *view, uint64_t rate, uint64_t eta_s,
                      unsigned width);

/** Whether a line may be drawn now: it is on, and the last one stands long enough. */
bool rf_progress_due(const struct rf_progress *p, uint64_t now_ns);

/** Measure the rate: `p->rate` is what `done` rises by in a second, of late. */
void rf_progress_measure(struct rf_progress *p, uint64_t done, uint64_t now_ns);

/** Draw this text as the line, cut at the width of the terminal. */
void rf_progress_draw(struct rf_progress *p, const char *text, size_t len, uint64_t now_ns);

/** Append 1234567 as 1,234,567. */
void rf_progress_number(struct rf_buf *b, uint64_t v);

/** Take the line away. */
void rf_progress_clear(struct rf_progress *p);

/** Take the line away and free. */
void rf_progress_fini(struct rf_progress *p);

#endif
