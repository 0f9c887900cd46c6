/* batch_input.h - lines from a descriptor, read in big chunks and handed out in place. Called by
 * the batch's loop and by its resume; reads from one descriptor and nothing else. */
#ifndef RF_CLI_BATCH_INPUT_H
#define RF_CLI_BATCH_INPUT_H

#include <sys/types.h>

#include "base/base.h"

#define RF_INPUT_CHUNK (256u * 1024)

/** A line. `data` is valid until the next rf_input_fill() or rf_input_next(). */
struct rf_line {
    const char *data; /* without its line end; the first bytes of it where it is too long */
    size_t len;
    uint64_t number; /* 1-based */
    uint64_t end;    /* offset in the stream behind its line end */
    bool too_long;
    bool cut; /* the stream ended without a line end */
};

/** A reader. Zero-initialise through rf_input_init(). */
struct rf_input {
    int fd;
    bool eof;
    size_t max_line; /* longer lines are reported with too_long */
    uint64_t lines;  /* lines consumed */
    uint64_t offset; /* bytes consumed */
    char *buf;       /* private from here on */
    size_t cap, start, end, scan, stop;
    uint64_t dropped; /* bytes of the current line that are not kept */
    bool found, ended;
};

/** Set up. @param fd borrowed. Allocates nothing yet. */
void rf_input_init(struct rf_input *in, int fd, size_t max_line);

/**
 * Read once. Blocks where the descriptor does.
 * @return bytes read, 0 at the end (`eof` is set), or -1 with errno (EAGAIN, EINTR: try later;
 *         ENOMEM).
 */
ssize_t rf_input_fill(struct rf_input *in);

/** The next line, without consuming it. @return false where more must be read first, or at the end.
 */
bool rf_input_peek(struct rf_input *in, struct rf_line *line);

/** Consume the line that rf_input_peek() showed. */
void rf_input_next(struct rf_input *in);

/** Free the buffer; the descriptor stays open. */
void rf_input_fini(struct rf_input *in);

#endif
