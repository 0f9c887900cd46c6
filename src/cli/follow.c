/* follow.c - starts, waits for and ends commands that follow something.
 *
 * Happy path: start, turns of work and rf_follow_wait(), flush, end.
 * Failure modes: stdout closed or full: told once, status 3. A slow reader: the buffer fills, and
 * rf_follow_room() says no more, so that the queue's policy decides what becomes of news. An
 * interrupt: what is in the buffer is still written; the second one ends the process. */
#include "cli/follow.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "cli/args.h"
#include "cli/options.h"
#include "cli/signals.h"
#include "cli/state.h"

static const char *const overflows[] = {"latest", "block", "drop-oldest", "drop-newest", NULL};

const char *rf_follow_queue_take(struct rf_follow_queue *q, const char *name, const char *value)
{
    if (strcmp(name, "queue") == 0)
        return rf_args_number(value, 1, UINT32_MAX, &q->items)
                   ? NULL
                   : "--queue: give a whole number from 1 to 4294967295";
    if (strcmp(name, "queue-bytes") == 0)
        return rf_parse_bytes(value, &q->bytes) == RPCFAN_OK && q->bytes > 0
                   ? NULL
                   : "--queue-bytes: give a size such as 64MiB";
    int i = rf_args_word(value, overflows);
    q->has_overflow = i >= 0;
    q->overflow = i >= 0 ? (enum rpcfan_overflow)i : RPCFAN_LATEST;
    return i >= 0 ? NULL : "--overflow: it is one of latest, block, drop-oldest, drop-newest";
}

const char *rf_follow_for_take(const char *value, uint64_t *ns)
{
    return rf_parse_duration(value, ns) == RPCFAN_OK && *ns > 0
               ? NULL
               : "--for: give a number with a unit, such as 30s, 5m or 1h";
}

void rf_follow_fail(struct rf_follow *f, int status, const char *fmt, ...)
{
    char text[600];
    va_list ap;
    if (f->failed != 0)
        return;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    rf_cli_say("%s: %s", f->name, text);
    f->failed = status;
}

void rf_follow_fail_with(struct rf_follow *f, enum rpcfan_err code, const struct rpcfan_error *err)
{
    int status = code == RPCFAN_EINVAL || code == RPCFAN_ECONFIG ? RF_EXIT_USAGE
                 : code == RPCFAN_EIO || code == RPCFAN_ENOMEM   ? RF_EXIT_IO
                                                                 : RF_EXIT_CALLS;
    rf_follow_fail(f, status, "%s",
                   err != NULL && err->text[0] != '\0' ? err->text : rpcfan_err_text(code));
}

static enum rpcfan_err make_client(struct rf_follow *f, enum rpcfan_family family,
                                   struct rpcfan_error *err)
{
    struct rpcfan_options opts = *f->cli->options;
    struct rpcfan_network_options *networks = rf_alloc(opts.n_networks * sizeof *networks);
    if (networks == NULL)
        return rf_fail(err, RPCFAN_ENOMEM, "out of memory");
    for (size_t i = 0; i < opts.n_networks; i++) {
        networks[i] = opts.networks[i];
        if (networks[i].family == RPCFAN_GENERIC)
            networks[i].family = family;
    }
    opts.networks = networks;
    enum rpcfan_err rc = rpcfan_client_new(&opts, &f->client, err);
    rf_free(networks);
    return rc;
}

int rf_follow_start(struct rf_follow *f, const struct rf_cli *cli, enum rpcfan_family family,
                    uint64_t for_ns)
{
    struct rpcfan_error err = {0};
    f->cli = cli;
    f->until_ns = for_ns == 0 ? RF_NEVER : rf_time_add(rpcfan_now_ns(), for_ns);
    rf_output_init(&f->out, STDOUT_FILENO, "stdout", false);
    rf_signals_block();
    enum rpcfan_err rc = make_client(f, family, &err);
    f->signal_fd = rf_signals_take();
    if (rc == RPCFAN_OK)
        rc = rf_cli_learn(cli, f->client, &err);
    if (rc != RPCFAN_OK)
        rf_follow_fail_with(f, rc, &err);
    return f->failed;
}

bool rf_follow_over(const struct rf_follow *f)
{
    return f->interrupted || f->failed != 0 || rpcfan_now_ns() >= f->until_ns;
}

bool rf_follow_room(const struct rf_follow *f)
{
    return rf_output_pending(&f->out) < RF_OUTPUT_HIGH;
}

static void write_out(struct rf_follow *f)
{
    if (f->out.buf.failed) {
        rf_follow_fail(f, RF_EXIT_IO, "out of memory");
        return;
    }
    int code = rf_output_write(&f->out);
    if (code == EPIPE)
        rf_follow_fail(f, RF_EXIT_IO, "writing stdout: its reader is gone");
    else if (code != 0)
        rf_follow_fail(f, RF_EXIT_IO, "writing stdout: %s", strerror(code));
}

static void interrupt(struct rf_follow *f)
{
    char byte[8];
    if (read(f->signal_fd, byte, sizeof byte) > 0)
        f->interrupted = true;
}

enum { ON_SIGNAL, ON_FD, ON_OUTPUT, POLLS };

void rf_follow_wait(struct rf_follow *f, int fd, uint64_t timeout_ns)
{
    bool pending = rf_output_pending(&f->out) > 0 && f->failed == 0;
    struct pollfd p[POLLS] = {{.fd = f->signal_fd, .events = POLLIN},
                              {.fd = fd, .events = POLLIN},
                              {.fd = pending ? f->out.fd : -1, .events = POLLOUT}};
    if (!f->interrupted)
        timeout_ns = rf_min_u64(timeout_ns, rf_time_sub(f->until_ns, rpcfan_now_ns()));
    int ms = timeout_ns > 3600 * RF_SEC ? -1 : (int)((timeout_ns + RF_MS - 1) / RF_MS);
    if (poll(p, POLLS, ms) < 0)
        return; /* EINTR: the signal is seen in the next turn */
    if (p[ON_SIGNAL].revents != 0)
        interrupt(f);
    if (p[ON_OUTPUT].revents != 0)
        write_out(f);
}

void rf_follow_doze(struct rf_follow *f, uint64_t timeout_ns)
{
    struct pollfd p = {.fd = f->signal_fd, .events = POLLIN};
    if (poll(&p, 1, (int)(timeout_ns / RF_MS)) > 0)
        interrupt(f);
}

void rf_follow_flush(struct rf_follow *f)
{
    if (f->out.buf.failed)
        write_out(f);
    while (f->failed == 0 && rf_output_pending(&f->out) > 0) {
        struct pollfd p = {.fd = f->out.fd, .events = POLLOUT};
        if (poll(&p, 1, -1) > 0)
            write_out(f);
    }
}

rpcfan_result_t *rf_follow_call(struct rf_follow *f, const char *method, const char *params)
{
    rpcfan_cq_t *cq = NULL;
    rpcfan_result_t *res = NULL;
    rpcfan_call_id id = 0;
    struct rpcfan_error err = {0};
    struct rpcfan_request req = {.size = sizeof req,
                                 .network = f->cli->network,
                                 .method = method,
                                 .params = params,
                                 .timeout_ms = f->cli->deadline_ms};
    enum rpcfan_err rc = rpcfan_cq_new(f->client, &cq);
    req.cq = cq;
    if (rc == RPCFAN_OK)
        rc = rpcfan_call(f->client, &req, &id, &err);
    if (rc != RPCFAN_OK)
        rf_follow_fail_with(f, rc, &err);
    while (id != 0 && rpcfan_cq_poll(cq, &res, 1) == 0) {
        rf_follow_wait(f, rpcfan_cq_fd(cq), RF_NEVER);
        if (rf_follow_over(f))
            rpcfan_cancel(f->client, id);
    }
    rpcfan_cq_free(cq);
    return res;
}

int rf_follow_end(struct rf_follow *f, int status)
{
    if (f->client != NULL)
        rf_cli_learned(f->cli, f->client, &f->learned);
    rpcfan_client_free(f->client);
    if (f->failed != 0)
        status = f->failed;
    else if (f->interrupted)
        status = RF_EXIT_INTERRUPT;
    if (f->cli != NULL)
        status = rf_cli_save(f->cli, f->learned, status);
    rpcfan_free(f->learned);
    rf_output_fini(&f->out);
    *f = (struct rf_follow){.signal_fd = -1};
    return status;
}
