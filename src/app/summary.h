/* summary.h - what a run came to: counted while it runs, told at its end. Used by long commands;
 * touches nothing. */
#ifndef RF_APP_SUMMARY_H
#define RF_APP_SUMMARY_H

#include "app/status_view.h"
#include "base/buf.h"
#include "policy/latency.h"

/** The counts of a run. Zero-initialised is a run that has done nothing. */
struct rf_tally {
    uint64_t answers;                  /* output lines of this run */
    uint64_t by_err[RPCFAN_ERR_COUNT]; /* calls by outcome; [0]: results */
    uint64_t refused;                  /* input lines that made no call */
    uint64_t before, before_errors;    /* answers of earlier runs, with --resume */
    uint64_t wall_ns;
    bool interrupted;
    struct rf_hist latency; /* of calls, from acceptance to completion */
};

/** Count a call. */
void rf_tally_call(struct rf_tally *t, enum rpcfan_err err, uint64_t latency_ns);
/** Count an input line that made no call. */
void rf_tally_refuse(struct rf_tally *t);
/** Answers that are errors, of this run. */
uint64_t rf_tally_errors(const struct rf_tally *t);

/** Append the summary for people: a line a subject, and one for each endpoint. */
void rf_summary_text(struct rf_buf *b, const struct rf_tally *t, const struct rf_status_view *view);
/** Append the summary as one JSON object and a line end. */
void rf_summary_json(struct rf_buf *b, const struct rf_tally *t, const struct rf_status_view *view);

#endif
