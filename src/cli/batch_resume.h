/* batch_resume.h - opens `-o FILE`, new or with --resume: what is whole in FILE stays, the rest is
 * cut off, and the lines of the input that it answers are known afterwards. Called by cmd_batch.c;
 * touches FILE and FILE.journal. */
#ifndef RF_CLI_BATCH_RESUME_H
#define RF_CLI_BATCH_RESUME_H

#include "cli/batch_lines.h"
#include "cli/batch_output.h"

/** What an earlier run left behind. */
struct rf_resume {
    struct rf_lines done;   /* unordered: the answered lines; ordered: only `low` counts */
    uint64_t lines, errors; /* whole answers in FILE, and how many of them are errors */
    uint64_t check_line;    /* the input line that the last answer in FILE is for; 0: none */
    struct rf_buf last;     /* the beginning of that answer */
    bool finished;          /* unordered, without a journal: FILE must answer the whole input */
    char *journal_path;     /* NULL: no journal */
};

/**
 * Open FILE and, for unordered runs, its journal.
 * @param r    zeroed; rf_resume_fini() it also on failure.
 * @param out  set up here.
 * @param path FILE; borrowed for the life of `out`.
 * @return 0; RPCFAN_EINVAL where FILE cannot be used so, with the remedy; RPCFAN_EIO;
 * RPCFAN_ENOMEM.
 */
enum rpcfan_err rf_resume_open(struct rf_resume *r, struct rf_output *out, const char *path,
                               bool resume, bool ordered, struct rpcfan_error *err);

/** Whether an input line is answered already. */
bool rf_resume_has(const struct rf_resume *r, uint64_t line);

/** Whether the answer at `check_line` carries this id. */
bool rf_resume_matches(const struct rf_resume *r, const char *id, size_t len);

/** Free what it owns; FILE and journal stay. */
void rf_resume_fini(struct rf_resume *r);

#endif
