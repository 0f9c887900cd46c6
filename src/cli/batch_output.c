/* batch_output.c - the output buffer and its writes. */
#include "cli/batch_output.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

/* An answer of many MB must not keep its buffer for the rest of the run. */
#define BUFFER_KEEP (4u * 1024 * 1024)

void rf_output_init(struct rf_output *o, int fd, const char *name, bool owned)
{
    struct stat st;
    *o = (struct rf_output){.fd = fd, .name = name, .owned = owned, .journal = {.fd = -1}};
    o->regular = fstat(fd, &st) == 0 && S_ISREG(st.st_mode);
}

size_t rf_output_pending(const struct rf_output *o)
{
    return o->buf.len - o->sent;
}

void rf_output_line(struct rf_output *o, uint64_t line)
{
    o->lines++;
    if (o->journal.fd >= 0)
        rf_journal_note(&o->journal, line, o->offset + o->buf.len);
}

static bool writable(int fd)
{
    struct pollfd p = {.fd = fd, .events = POLLOUT};
    return poll(&p, 1, 0) > 0;
}

int rf_output_write(struct rf_output *o)
{
    while (rf_output_pending(o) > 0) {
        size_t n = rf_output_pending(o);
        if (!o->regular && n > PIPE_BUF)
            n = PIPE_BUF;
        if (!o->regular && !writable(o->fd))
            return 0;
        ssize_t done = write(o->fd, o->buf.data + o->sent, n);
        if (done < 0 && (errno == EAGAIN || errno == EINTR)) {
            if (!o->regular)
                return 0;
            continue;
        }
        if (done < 0)
            return errno;
        o->sent += (size_t)done;
    }
    o->offset += o->buf.len;
    o->sent = 0;
    rf_buf_reset(&o->buf, BUFFER_KEEP);
    return o->journal.fd >= 0 ? rf_journal_flush(&o->journal) : 0;
}

int rf_output_fini(struct rf_output *o)
{
    int code = 0;
    if (o->owned && o->fd >= 0 && close(o->fd) != 0)
        code = errno;
    rf_journal_fini(&o->journal);
    rf_buf_fini(&o->buf);
    o->fd = -1;
    return code;
}
