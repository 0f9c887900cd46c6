/* batch_run.c - the loop of `rpcfan batch`.
 *
 * A turn: 1. take answers from the completion queue; 2. put what may be written into the output
 * buffer; 3. make calls of the lines that are there, while the window allows; 4. poll() for
 * whatever can go on: an answer, more input (only when its lines can be submitted), a writable
 * output, a signal.
 *
 * Happy path: input ends, the window empties, the output is flushed.
 * Failure modes: the output is closed or full: everything is canceled, status 3. An interrupt:
 * reading stops, calls on the wire end, what is whole in order is written, status 130; calls that
 * were canceled leave no line, so that --resume makes them. The reader of stdout is slow: the
 * buffer fills, then the window, then reading stops. The client is full: as if the window were. */
#include "cli/batch_run.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/batch_answer.h"
#include "cli/options.h"
#include "cli/state.h"

#define POLL_ANSWERS 256
#define FEED_PER_TURN 4096 /* lines submitted before answers are looked at again */

/* Give up: nothing more is read or submitted, everything under way is canceled. */
static void give_up(struct rf_batch *b, int status)
{
    if (b->failed)
        return;
    b->failed = true;
    b->stopping = true;
    b->exit_status = status;
    rf_batch_status(b);
    rpcfan_client_close(b->client, RPCFAN_CLOSE_NOW, NULL, NULL);
}

static void fail_memory(struct rf_batch *b)
{
    if (!b->failed)
        rf_cli_say("out of memory at input line %llu; a smaller --window needs less",
                   (unsigned long long)b->in.lines + 1);
    give_up(b, RF_EXIT_IO);
}

static void fail_output(struct rf_batch *b, int code)
{
    if (!b->failed && b->to_file)
        rf_cli_say("writing %s: %s; what is whole in it stays: make room, then give the same "
                   "command with --resume",
                   b->out.name, strerror(code));
    else if (!b->failed && code == EPIPE)
        rf_cli_say("writing stdout: its reader is gone; with -o FILE a run can be gone on with by "
                   "--resume");
    else if (!b->failed)
        rf_cli_say("writing stdout: %s; with -o FILE a run can be gone on with by --resume",
                   strerror(code));
    give_up(b, RF_EXIT_IO);
}

static void fail_differs(struct rf_batch *b, const char *what, uint64_t line)
{
    if (!b->failed)
        rf_cli_say("%s was made from another input: %s (input line %llu); give the same input, or "
                   "another -o FILE",
                   b->out.name, what, (unsigned long long)line);
    give_up(b, RF_EXIT_USAGE);
}

void rf_batch_status(struct rf_batch *b)
{
    char *json = NULL;
    struct rf_status_view view = {0};
    if (rpcfan_status(b->client, &json) == RPCFAN_OK &&
        rf_status_view_read(&view, json, b->cli->network) == RPCFAN_OK) {
        rf_status_view_fini(&b->status);
        b->status = view;
    }
    rpcfan_free(json);
    rf_cli_learned(b->cli, b->client, &b->learned);
}

static void take_answer(struct rf_batch *b, rpcfan_result_t *res)
{
    struct rf_slot *s = rpcfan_result_arg(res);
    enum rpcfan_err err = rpcfan_result_err(res);
    if (b->stopping && (err == RPCFAN_ECANCELED || err == RPCFAN_ECLOSED)) {
        rpcfan_result_unref(res);
        rf_ring_drop(&b->ring, s);
        return;
    }
    size_t bytes = rpcfan_result_json(res).len + rpcfan_result_error_json(res).len;
    rf_pace_answered(&b->pace, rpcfan_result_latency_ns(res), bytes, err == RPCFAN_EDEADLINE);
    s->res = res;
    rf_ring_cost(&b->ring, s, bytes);
    rf_ring_finish(&b->ring, s);
    b->busy_until_ns = 0;
}

static void collect(struct rf_batch *b)
{
    rpcfan_result_t *res[POLL_ANSWERS];
    size_t n;
    do {
        n = rpcfan_cq_poll(b->cq, res, POLL_ANSWERS);
        for (size_t i = 0; i < n; i++)
            take_answer(b, res[i]);
    } while (n == POLL_ANSWERS);
}

/* Put what may be written into the output buffer, until that is full. */
static void emit(struct rf_batch *b)
{
    struct rf_slot *s;
    while (rf_output_pending(&b->out) < RF_OUTPUT_HIGH && (s = rf_ring_next(&b->ring)) != NULL) {
        if (s->res != NULL) {
            rf_answer_result(&b->out.buf, rf_slot_id(s), s->id_len, s->res);
            rf_tally_call(&b->tally, rpcfan_result_err(s->res), rpcfan_result_latency_ns(s->res));
        } else {
            rf_buf_add(&b->out.buf, s->text, s->text_len);
            rf_buf_char(&b->out.buf, '\n');
            rf_tally_refuse(&b->tally);
        }
        rf_output_line(&b->out, s->line);
        if (b->resume.done.bits != NULL)
            rf_lines_add(&b->resume.done, s->line);
        rf_ring_release(&b->ring, s);
    }
    if (b->out.buf.failed)
        fail_memory(b);
}

/* The line makes no call: its answer is ready. */
static enum rpcfan_err refuse(struct rf_batch *b, struct rf_slot *s, const struct rf_made *made,
                              enum rpcfan_err code)
{
    struct rf_buf text = {0};
    rf_answer_refusal(&text, made->id.data, made->id.len, code, made->problem, s->line);
    if (text.failed)
        return RPCFAN_ENOMEM;
    s->text = text.data;
    s->text_len = text.len;
    rf_ring_cost(&b->ring, s, text.cap);
    rf_ring_finish(&b->ring, s);
    return RPCFAN_OK;
}

static enum rpcfan_err call(struct rf_batch *b, struct rf_slot *s, struct rf_made *made)
{
    struct rpcfan_error err = {0};
    struct rpcfan_request req = {.size = sizeof req,
                                 .network = b->cli->network,
                                 .method = made->method,
                                 .params = made->params.len > 0 ? made->params.data : NULL,
                                 .params_len = made->params.len,
                                 .timeout_ms = b->cli->deadline_ms,
                                 .policy = b->cli->policy,
                                 .quorum = b->cli->quorum,
                                 .split = b->cli->split,
                                 .arg = s,
                                 .cq = b->cq};
    if (!rf_slot_set_id(s, made->id.data, made->id.len))
        return RPCFAN_ENOMEM;
    rf_ring_cost(&b->ring, s, made->id.len + made->params.len);
    enum rpcfan_err rc = rpcfan_call(b->client, &req, NULL, &err);
    if (rc == RPCFAN_OK || rc == RPCFAN_ENOMEM || rc == RPCFAN_ECLOSED)
        return rc;
    if (rc == RPCFAN_EBUSY) {
        uint64_t wait_ms = err.retry_in_ms > 0 ? err.retry_in_ms : 1;
        b->busy_until_ns = rf_time_add(rpcfan_now_ns(), wait_ms * RF_MS);
        return rc;
    }
    rf_maker_explain(&b->maker, made, err.text[0] != '\0' ? err.text : rpcfan_err_text(rc));
    return refuse(b, s, made, rc);
}

/* Submit one line. @return false where it must be tried again later, or the run is over. */
static bool submit(struct rf_batch *b, const struct rf_line *line)
{
    struct rf_made made;
    struct rf_slot *s = rf_ring_take(&b->ring, line->number);
    enum rpcfan_err rc = rf_maker_make(&b->maker, line, &made);
    if (rc == RPCFAN_OK)
        rc = call(b, s, &made);
    else if (rc != RPCFAN_ENOMEM)
        rc = refuse(b, s, &made, rc);
    if (rc == RPCFAN_OK)
        return true;
    rf_ring_untake(&b->ring, s);
    if (rc == RPCFAN_ENOMEM)
        fail_memory(b);
    else if (rc == RPCFAN_ECLOSED)
        give_up(b, RF_EXIT_IO);
    return false;
}

/* A line that an earlier run answered: the last of them must be the one that FILE says. */
static void skip(struct rf_batch *b, const struct rf_line *line)
{
    struct rf_made made;
    if (line->number == b->resume.check_line) {
        rf_maker_make(&b->maker, line, &made);
        if (!rf_resume_matches(&b->resume, made.id.data, made.id.len))
            fail_differs(b, "the id of its last answer is not that of the line", line->number);
    }
    b->skipped_bytes = line->end;
}

/* Whether the window has room for `line`. */
static bool may_submit(const struct rf_batch *b, uint64_t line)
{
    const struct rf_ring *r = &b->ring;
    if (b->stopping || r->used == r->size || b->busy_until_ns != 0)
        return false;
    if (b->resume.done.bits != NULL && !rf_lines_fits(&b->resume.done, line))
        return false;
    return rf_pace_allows(&b->pace, r->waiting, r->held, RF_BATCH_HELD_MAX);
}

/* Submit the lines that are there. @return whether more could be submitted right now. */
static bool feed(struct rf_batch *b)
{
    struct rf_line line;
    for (int i = 0; i < FEED_PER_TURN; i++) {
        if (b->stopping || !rf_input_peek(&b->in, &line))
            return false;
        if (rf_resume_has(&b->resume, line.number)) {
            skip(b, &line);
        } else if (b->resume.finished) {
            fail_differs(b, "it is complete, and the input goes on", line.number);
            return false;
        } else if (!may_submit(b, line.number) || !submit(b, &line)) {
            return false;
        }
        rf_input_next(&b->in);
    }
    return true;
}

static void read_input(struct rf_batch *b)
{
    ssize_t n = rf_input_fill(&b->in);
    if (n >= 0 || errno == EAGAIN || errno == EINTR)
        return;
    rf_cli_say("reading %s: %s", b->input_name, strerror(errno));
    give_up(b, RF_EXIT_IO);
}

static void write_output(struct rf_batch *b)
{
    int code = rf_output_write(&b->out);
    if (code != 0)
        fail_output(b, code);
}

static void interrupt(struct rf_batch *b)
{
    char byte[8];
    if (read(b->signal_fd, byte, sizeof byte) <= 0 || b->stopping)
        return;
    b->stopping = true;
    b->tally.interrupted = true;
    rf_cli_say("interrupted: calls on the wire may end; interrupt again to stop at once");
    rf_batch_status(b);
    rpcfan_client_close(b->client, RPCFAN_CLOSE_SENT, NULL, NULL);
}

/* Whether nothing is left to do. */
static bool finished(struct rf_batch *b)
{
    if (b->failed)
        return b->ring.waiting == 0;
    if (b->ring.waiting > 0 || rf_ring_next(&b->ring) != NULL || rf_output_pending(&b->out) > 0)
        return false;
    struct rf_line line;
    b->complete = !b->ring.dropped && b->in.eof && !rf_input_peek(&b->in, &line);
    return b->complete || b->stopping;
}

enum { ON_SIGNAL, ON_ANSWER, ON_INPUT, ON_OUTPUT, POLLS };

static int timeout_ms(const struct rf_batch *b, bool more)
{
    if (more)
        return 0;
    uint64_t wait = RF_NEVER;
    if (b->busy_until_ns != 0)
        wait = rf_time_sub(b->busy_until_ns, rpcfan_now_ns());
    if (b->progress.on)
        wait = rf_min_u64(wait, RF_PROGRESS_DRAW_NS);
    return wait > 3600 * RF_SEC ? -1 : (int)(wait / RF_MS) + 1;
}

/* Wait for whatever can go on, and do its input and output. */
static void wait_and_move(struct rf_batch *b, bool more)
{
    struct rf_line line;
    struct pollfd p[POLLS] = {{.fd = b->signal_fd, .events = POLLIN},
                              {.fd = rpcfan_cq_fd(b->cq), .events = POLLIN},
                              {.fd = -1, .events = POLLIN},
                              {.fd = -1, .events = POLLOUT}};
    if (!b->stopping && !b->in.eof && !rf_input_peek(&b->in, &line))
        p[ON_INPUT].fd = b->in.fd;
    size_t pending = rf_output_pending(&b->out);
    if (pending > 0 && !b->failed)
        p[ON_OUTPUT].fd = b->out.fd;
    if (poll(p, POLLS, timeout_ms(b, more)) < 0)
        return; /* EINTR: the signal is seen in the next turn */
    if (p[ON_SIGNAL].revents != 0)
        interrupt(b);
    /* A small buffer waits while there is other work: writing it costs as much as a big one. */
    bool idle = !more && p[ON_ANSWER].revents == 0 && p[ON_INPUT].revents == 0;
    if (p[ON_OUTPUT].revents != 0 && (idle || pending >= RF_OUTPUT_HIGH / 4))
        write_output(b);
    if (p[ON_INPUT].revents != 0 && !b->stopping)
        read_input(b);
    if (b->busy_until_ns != 0 && rpcfan_now_ns() >= b->busy_until_ns)
        b->busy_until_ns = 0;
}

static void show_progress(struct rf_batch *b)
{
    if (!b->progress.on)
        return;
    struct rf_progress_facts facts = {.done = b->tally.answers,
                                      .errors = rf_tally_errors(&b->tally),
                                      .in_flight = b->ring.waiting,
                                      .bytes_done = rf_time_sub(b->in.offset, b->skipped_bytes),
                                      .bytes_all = rf_time_sub(b->input_size, b->skipped_bytes)};
    rf_progress_tick(&b->progress, &facts, b->stopping ? NULL : b->client, b->cli->network,
                     rpcfan_now_ns());
}

/* The whole input was read: an earlier run cannot have answered more lines than it has. */
static void check_end(struct rf_batch *b)
{
    uint64_t high = b->resume.finished ? b->resume.lines : b->resume.done.high;
    if (b->in.lines < high)
        fail_differs(b, "the input ends before the lines that it answers", b->in.lines);
}

int rf_batch_run(struct rf_batch *b)
{
    do {
        collect(b);
        emit(b);
        bool more = feed(b);
        if (finished(b))
            break;
        wait_and_move(b, more);
        show_progress(b);
    } while (true);
    if (b->complete) {
        b->tally.interrupted = false; /* it came too late to matter */
        check_end(b);
    }
    rf_progress_clear(&b->progress);
    if (!b->stopping)
        rf_batch_status(b);
    if (b->failed)
        return b->exit_status;
    if (!b->complete)
        return RF_EXIT_INTERRUPT;
    return rf_tally_errors(&b->tally) + b->tally.before_errors > 0 ? RF_EXIT_CALLS : RF_EXIT_OK;
}
