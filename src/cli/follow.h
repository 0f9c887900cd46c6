/* follow.h - what commands share that follow something until they are stopped: how they start and
 * end, lines on stdout, the options of a bounded queue. Called by cmd_subscribe and index_*; reads
 * signals, writes stdout. One thread: main. */
#ifndef RF_CLI_FOLLOW_H
#define RF_CLI_FOLLOW_H

#include "cli/batch_output.h"
#include "cli/cli.h"

/** A command under way. Zero-initialised is none. */
struct rf_follow {
    const char *name; /* of the command, for messages */
    const struct rf_cli *cli;
    rpcfan_client_t *client;
    int signal_fd;     /* readable once interrupted; -1: none */
    uint64_t until_ns; /* --for; RF_NEVER: none */
    struct rf_output out;
    bool interrupted;
    int failed;    /* an exit status once something failed and was told; 0: nothing did */
    char *learned; /* for --state */
};

/** The options of a queue. */
struct rf_follow_queue {
    uint64_t items, bytes; /* 0: not given */
    bool has_overflow;
    enum rpcfan_overflow overflow;
};

/** Read --queue, --queue-bytes or --overflow. @param name the option's, without dashes.
 * @return NULL, or what is wrong. */
const char *rf_follow_queue_take(struct rf_follow_queue *q, const char *name, const char *value);

/** Read --for. @return NULL, or what is wrong. */
const char *rf_follow_for_take(const char *value, uint64_t *ns);

/**
 * Make the client, take over the signals, set up stdout.
 * @param family  of networks that are of no family yet.
 * @param for_ns  how long it may run; 0: until it is stopped.
 * @return an exit status: RF_EXIT_OK, or what it was told about. rf_follow_end() in any case.
 */
int rf_follow_start(struct rf_follow *f, const struct rf_cli *cli, enum rpcfan_family family,
                    uint64_t for_ns);

/** Whether it must stop: interrupted, failed, or its time is over. */
bool rf_follow_over(const struct rf_follow *f);

/** Whether more lines may be put into f->out.buf. */
bool rf_follow_room(const struct rf_follow *f);

/**
 * Wait for a descriptor, a signal, room on stdout, or the time, and write what stdout takes.
 * @param fd          -1: none.
 * @param timeout_ns  at most; RF_NEVER: no limit.
 */
void rf_follow_wait(struct rf_follow *f, int fd, uint64_t timeout_ns);

/** Wait for a signal, at most so long. */
void rf_follow_doze(struct rf_follow *f, uint64_t timeout_ns);

/** Write all lines that are left; a slow reader is waited for. */
void rf_follow_flush(struct rf_follow *f);

/**
 * Make one call and wait for it, interruptible.
 * @param params  raw JSON; NULL: none.
 * @return the result, owned; NULL where it was interrupted or failed without one (then it was told
 * and f->failed is set).
 */
rpcfan_result_t *rf_follow_call(struct rf_follow *f, const char *method, const char *params);

/** Say why nothing goes on, and with which status to exit; the first one counts. */
void rf_follow_fail(struct rf_follow *f, int status, const char *fmt, ...) RF_PRINTF(3, 4);

/** The same with an error of the library: RPCFAN_EINVAL and _ECONFIG are usage, _EIO is input and
 * output, the others are calls that failed. */
void rf_follow_fail_with(struct rf_follow *f, enum rpcfan_err code, const struct rpcfan_error *err);

/** Take down. Subscriptions and feeds must be freed. @return the exit status: a failure's, else
 * RF_EXIT_INTERRUPT where it was interrupted, else `status`. */
int rf_follow_end(struct rf_follow *f, int status);

#endif
