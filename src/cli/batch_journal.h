/* batch_journal.h - FILE.journal: which line of the input each line of an unordered FILE answers.
 *
 * A header and records of 24 bytes: line number, end offset in FILE, checksum (over both and the
 * record's place). A block of records is appended after the block of FILE that it describes, so at
 * any instant FILE holds at least what the journal says. A torn or foreign record ends the journal.
 * Called by batch_output.c and batch_resume.c; touches the one file. */
#ifndef RF_CLI_BATCH_JOURNAL_H
#define RF_CLI_BATCH_JOURNAL_H

#include "base/buf.h"

#define RF_JOURNAL_RECORD 24

/** A record read back. */
struct rf_journal_record {
    uint64_t line; /* 1-based */
    uint64_t end;  /* offset in FILE behind that line's answer */
};

/** A journal being written. fd is -1 where there is none. */
struct rf_journal {
    int fd;
    uint64_t records; /* made so far, noted ones included */
    struct rf_buf pending;
};

/** Whether a file may be used as a journal: it is absent, or empty, or begins as one. */
bool rf_journal_is_ours(const char *path);

/** Create or empty the file and write its header. @return 0, RPCFAN_EIO or RPCFAN_ENOMEM. */
enum rpcfan_err rf_journal_create(struct rf_journal *j, const char *path, struct rpcfan_error *err);

/** Open one to go on behind its first `records` records; what follows is cut off. @return as above.
 */
enum rpcfan_err rf_journal_reopen(struct rf_journal *j, const char *path, uint64_t records,
                                  struct rpcfan_error *err);

/** Note a record; it is written by the next rf_journal_flush(). Out of memory is `pending.failed`.
 */
void rf_journal_note(struct rf_journal *j, uint64_t line, uint64_t end);

/** Append what was noted. @return 0 or an errno value. */
int rf_journal_flush(struct rf_journal *j);

/** Close and free. The file stays. */
void rf_journal_fini(struct rf_journal *j);

/**
 * Read the records of a file, up to the first that is torn or foreign.
 * @param fd    at its start; borrowed.
 * @param each  told each record in turn; false stops there, that record not counted.
 * @return how many records were good and taken, or -1 where the header is not a journal's; an empty
 *         file and a torn header are a journal of no records.
 */
int64_t rf_journal_read(int fd, bool (*each)(const struct rf_journal_record *rec, void *arg),
                        void *arg);

#endif
