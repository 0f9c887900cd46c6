/* batch_run.h - the loop of `rpcfan batch`: one thread that reads lines, submits calls, takes
 * answers and writes them, and waits in one poll(). Called by cmd_batch.c. */
#ifndef RF_CLI_BATCH_RUN_H
#define RF_CLI_BATCH_RUN_H

#include "app/progress.h"
#include "app/summary.h"
#include "cli/batch_pace.h"
#include "cli/batch_request.h"
#include "cli/batch_resume.h"
#include "cli/batch_ring.h"
#include "cli/cli.h"

/* Requests and answers held at once, in bytes, beyond the line that is being read. */
#define RF_BATCH_HELD_MAX (UINT64_C(16) * 1024 * 1024)
/* An input line's length. */
#define RF_BATCH_LINE_MAX ((size_t)8 * 1024 * 1024)

/** A run. Zero it, set the first part, and initialise the parts that have an _init. */
struct rf_batch {
    const struct rf_cli *cli;
    rpcfan_client_t *client;
    rpcfan_cq_t *cq;
    int signal_fd; /* readable once interrupted; -1: none */
    const char *input_name;
    uint64_t input_size; /* 0: unknown */
    bool to_file;        /* -o was given */
    struct rf_input in;
    struct rf_maker maker;
    struct rf_resume resume;
    struct rf_ring ring;
    struct rf_pace pace;
    struct rf_output out;
    struct rf_tally tally;
    struct rf_progress progress;
    struct rf_status_view status; /* the last one before the client closed */
    char *learned;                /* likewise, for --state; rpcfan_free() it */

    uint64_t skipped_bytes; /* of the input, answered by earlier runs */
    uint64_t busy_until_ns; /* the client is full: do not submit before, unless an answer comes */
    bool stopping;          /* interrupted: nothing is read any more */
    bool complete;          /* every line is answered and written */
    bool failed;            /* given up, with `status_code` and a message told */
    int exit_status;
};

/**
 * Run to the end of the input, to an interrupt, or to a failure; messages go to stderr.
 * @return an exit status. No call is pending afterwards.
 * Thread: main. Blocks.
 */
int rf_batch_run(struct rf_batch *b);

/** Read the client's status into `b->status`, and what it has learned; keeps the old ones where
 * there are none. */
void rf_batch_status(struct rf_batch *b);

#endif
