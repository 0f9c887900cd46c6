/* batch_resume.c - takes up an output file where an earlier run left it.
 *
 * Happy path, in order: 1. count the whole lines of FILE; 2. cut off a torn last line; 3. skip as
 * many lines of the input. Unordered: 1. read the journal; 2. cut FILE off behind the last record's
 * answer;
 * 3. skip the lines that the journal names.
 *
 * Failure modes: FILE is not ours, or not made from this input (the id of its last answer differs
 * from the input line's): refused, nothing is changed in it that was whole. The journal ends in a
 * torn record, or says more than FILE holds: what both agree on counts. No journal beside a whole
 * unordered FILE: it was removed because the run was complete, so FILE must answer the whole input.
 */
#include "cli/batch_resume.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "cli/batch_answer.h"
#include "cli/batch_input.h"

/* So much of an answer is looked at: the ids that callers use are far shorter. */
#define HEAD_MAX (64u * 1024)

static enum rpcfan_err fail_io(const char *path, struct rpcfan_error *err)
{
    return rf_fail(err, RPCFAN_EIO, "%.200s: %s", path, strerror(errno));
}

/* Read the whole answers among the first `limit` bytes of FILE. @param whole out: where they end.
 */
static enum rpcfan_err read_answers(struct rf_resume *r, const struct rf_output *out,
                                    uint64_t limit, uint64_t *whole, struct rpcfan_error *err)
{
    struct rf_input in;
    struct rf_line line;
    enum rpcfan_err rc = RPCFAN_OK;
    ssize_t n = 1;
    rf_input_init(&in, out->fd, HEAD_MAX);
    *whole = 0;
    while (rc == RPCFAN_OK && n > 0 && *whole < limit) {
        n = rf_input_fill(&in);
        if (n < 0 && errno == EINTR)
            n = 1;
        else if (n < 0)
            rc = fail_io(out->name, err);
        while (rc == RPCFAN_OK && rf_input_peek(&in, &line) && !line.cut && line.end <= limit) {
            enum rf_answer_kind kind = rf_answer_read(line.data, line.len, NULL);
            if (kind == RF_ANSWER_FOREIGN && !line.too_long)
                rc = rf_fail(err, RPCFAN_EINVAL,
                             "%.200s: line %llu was not written by 'rpcfan batch'; name another "
                             "file with -o",
                             out->name, (unsigned long long)line.number);
            r->lines++;
            r->errors += kind == RF_ANSWER_ERROR;
            *whole = line.end;
            rf_buf_reset(&r->last, SIZE_MAX);
            rf_buf_add(&r->last, line.data, line.len);
            rf_input_next(&in);
        }
        if (in.found) /* a line that ends beyond the limit */
            break;
    }
    rf_input_fini(&in);
    if (rc == RPCFAN_OK && r->last.failed)
        rc = rf_fail(err, RPCFAN_ENOMEM, "out of memory");
    return rc;
}

static enum rpcfan_err cut(struct rf_output *out, uint64_t size, struct rpcfan_error *err)
{
    if (ftruncate(out->fd, (off_t)size) != 0 || lseek(out->fd, (off_t)size, SEEK_SET) < 0)
        return fail_io(out->name, err);
    out->offset = size;
    return RPCFAN_OK;
}

static enum rpcfan_err take_up_ordered(struct rf_resume *r, struct rf_output *out, uint64_t size,
                                       struct rpcfan_error *err)
{
    uint64_t whole;
    enum rpcfan_err rc = read_answers(r, out, size, &whole, err);
    if (rc == RPCFAN_OK)
        rc = cut(out, whole, err);
    r->done.low = r->done.high = r->lines;
    r->check_line = r->lines;
    return rc;
}

struct reading {
    struct rf_lines *done;
    uint64_t size; /* of FILE */
    uint64_t end, line;
};

/* A record counts while FILE holds its answer and it goes on where the one before ended. */
static bool take_record(const struct rf_journal_record *rec, void *arg)
{
    struct reading *rd = arg;
    if (rec->end > rd->size || rec->end <= rd->end || !rf_lines_add(rd->done, rec->line))
        return false;
    rd->end = rec->end;
    rd->line = rec->line;
    return true;
}

static enum rpcfan_err fail_journal(const struct rf_resume *r, const char *why,
                                    struct rpcfan_error *err)
{
    return rf_fail(err, RPCFAN_EINVAL,
                   "%.200s %s; name another file with -o, or remove both to begin again",
                   r->journal_path, why);
}

/* FILE without a journal: a complete run removed it. */
static enum rpcfan_err take_up_finished(struct rf_resume *r, struct rf_output *out, uint64_t size,
                                        struct rpcfan_error *err)
{
    uint64_t whole;
    enum rpcfan_err rc = read_answers(r, out, size, &whole, err);
    r->finished = true;
    if (rc == RPCFAN_OK && whole != size)
        rc = rf_fail(err, RPCFAN_EINVAL,
                     "%.200s: it ends in half a line and %.200s is not there; was it written "
                     "without --unordered? then resume it so",
                     out->name, r->journal_path);
    out->offset = size;
    return rc;
}

static enum rpcfan_err take_up_unordered(struct rf_resume *r, struct rf_output *out, uint64_t size,
                                         struct rpcfan_error *err)
{
    struct reading rd = {.done = &r->done, .size = size};
    enum rpcfan_err rc = RPCFAN_OK;
    uint64_t whole = 0;
    int fd = open(r->journal_path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT && size > 0)
        return take_up_finished(r, out, size, err);
    if (fd < 0 && errno != ENOENT)
        return fail_io(r->journal_path, err);
    int64_t n = fd >= 0 ? rf_journal_read(fd, take_record, &rd) : 0;
    if (fd >= 0)
        close(fd);
    if (n < 0)
        return fail_journal(r, "is not a journal of 'rpcfan batch'", err);
    if (n > 0)
        rc = read_answers(r, out, rd.end, &whole, err);
    if (rc == RPCFAN_OK && (whole != rd.end || r->lines != (uint64_t)n))
        rc = fail_journal(r, "does not belong to the output file", err);
    if (rc == RPCFAN_OK)
        rc = cut(out, rd.end, err);
    r->check_line = rd.line;
    if (rc != RPCFAN_OK)
        return rc;
    if (n > 0)
        return rf_journal_reopen(&out->journal, r->journal_path, (uint64_t)n, err);
    return rf_journal_create(&out->journal, r->journal_path, err);
}

/* A file that is there may only be gone on with, and only in the manner in which it was begun. */
static enum rpcfan_err refuse(const struct rf_resume *r, const char *path, uint64_t size,
                              bool resume, bool ordered, struct rpcfan_error *err)
{
    if (!resume && size > 0)
        return rf_fail(err, RPCFAN_EINVAL,
                       "%.200s exists and is not empty; go on with it by --resume, or remove it",
                       path);
    if (resume && ordered && size > 0 && access(r->journal_path, F_OK) == 0)
        return rf_fail(err, RPCFAN_EINVAL,
                       "%.200s was written with --unordered (%.200s is there); resume it with "
                       "--unordered too",
                       path, r->journal_path);
    return RPCFAN_OK;
}

static enum rpcfan_err open_regular(struct rf_resume *r, struct rf_output *out, uint64_t size,
                                    bool resume, bool ordered, struct rpcfan_error *err)
{
    enum rpcfan_err rc = refuse(r, out->name, size, resume, ordered, err);
    if (rc != RPCFAN_OK)
        return rc;
    if (!rf_journal_is_ours(r->journal_path))
        return fail_journal(r, "is there, and is not a journal of 'rpcfan batch'", err);
    if (ordered && size == 0)
        unlink(r->journal_path); /* of an unordered run whose FILE was removed */
    if (ordered)
        return resume ? take_up_ordered(r, out, size, err) : RPCFAN_OK;
    if (!rf_lines_init(&r->done, RF_LINES_SPAN))
        return rf_fail(err, RPCFAN_ENOMEM, "out of memory");
    if (resume)
        return take_up_unordered(r, out, size, err);
    return rf_journal_create(&out->journal, r->journal_path, err);
}

enum rpcfan_err rf_resume_open(struct rf_resume *r, struct rf_output *out, const char *path,
                               bool resume, bool ordered, struct rpcfan_error *err)
{
    struct stat st;
    size_t n = strlen(path) + sizeof ".journal";
    int fd = open(path, (resume ? O_RDWR : O_WRONLY) | O_CREAT | O_CLOEXEC, 0666);
    if (fd < 0)
        return fail_io(path, err);
    rf_output_init(out, fd, path, true);
    r->journal_path = rf_alloc(n);
    if (r->journal_path == NULL)
        return rf_fail(err, RPCFAN_ENOMEM, "out of memory");
    snprintf(r->journal_path, n, "%s.journal", path);
    if (fstat(fd, &st) != 0)
        return fail_io(path, err);
    if (out->regular)
        return open_regular(r, out, (uint64_t)st.st_size, resume, ordered, err);
    if (resume)
        return rf_fail(err, RPCFAN_EINVAL, "%.200s is no regular file: --resume needs one", path);
    return RPCFAN_OK;
}

bool rf_resume_has(const struct rf_resume *r, uint64_t line)
{
    if (r->finished)
        return line <= r->lines;
    return r->done.bits != NULL ? rf_lines_has(&r->done, line) : line <= r->done.low;
}

bool rf_resume_matches(const struct rf_resume *r, const char *id, size_t len)
{
    struct rpcfan_slice last = {NULL, 0};
    enum rf_answer_kind kind = rf_answer_read(r->last.data, r->last.len, &last);
    if (kind == RF_ANSWER_FOREIGN && last.len < len) /* an id longer than what was looked at */
        return last.len > 0 && memcmp(last.data, id, last.len) == 0;
    return last.len == len && memcmp(last.data, id, len) == 0;
}

void rf_resume_fini(struct rf_resume *r)
{
    rf_lines_fini(&r->done);
    rf_buf_fini(&r->last);
    rf_free(r->journal_path);
    *r = (struct rf_resume){0};
}
