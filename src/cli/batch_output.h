/* batch_output.h - where the answers go: one big buffer in front of a descriptor, and for unordered
 * files the journal behind it. Called by the batch's loop; writes to its descriptors alone.
 *
 * A regular file takes everything at once. Anything else (a pipe, a terminal) takes at most
 * PIPE_BUF bytes after poll() said it is writable, which never blocks: so the loop stays awake for
 * signals while a reader is slow. */
#ifndef RF_CLI_BATCH_OUTPUT_H
#define RF_CLI_BATCH_OUTPUT_H

#include "cli/batch_journal.h"

/* Above this, no more answers are put into the buffer until some are written. */
#define RF_OUTPUT_HIGH (256u * 1024)

struct rf_output {
    int fd;
    const char *name; /* what errors call it */
    bool regular;
    bool owned;                /* close fd */
    struct rf_buf buf;         /* lines are appended here */
    size_t sent;               /* of buf */
    uint64_t offset;           /* of buf's first byte in a regular file */
    uint64_t lines;            /* whole lines appended */
    struct rf_journal journal; /* fd -1: none */
};

/** Set up on a descriptor. @param name borrowed. @param owned whether _fini closes it. */
void rf_output_init(struct rf_output *o, int fd, const char *name, bool owned);

/** Bytes not yet written. */
size_t rf_output_pending(const struct rf_output *o);

/** A line was appended to `buf`: count it, and note it in the journal where there is one. */
void rf_output_line(struct rf_output *o, uint64_t line);

/**
 * Write what the descriptor takes without blocking (a regular file: all of it) and the journal.
 * @return 0 or an errno value. What was written is no longer pending also on failure.
 */
int rf_output_write(struct rf_output *o);

/** Close what is owned and free. @return 0 or the errno value of close(). */
int rf_output_fini(struct rf_output *o);

#endif
