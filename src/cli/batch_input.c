/* batch_input.c - the line reader: one buffer, no copy of a line, overlong lines skipped in place.
 */
#include "cli/batch_input.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"

void rf_input_init(struct rf_input *in, int fd, size_t max_line)
{
    *in = (struct rf_input){.fd = fd, .max_line = max_line};
}

/* Room for another read: what is left of a line moves to the front before the buffer grows. */
static bool make_room(struct rf_input *in)
{
    if (in->start > 0 && in->cap - in->end < RF_INPUT_CHUNK / 2) {
        memmove(in->buf, in->buf + in->start, in->end - in->start);
        in->end -= in->start;
        in->scan -= in->start;
        in->start = 0;
    }
    if (in->cap - in->end >= RF_INPUT_CHUNK / 2)
        return true;
    size_t cap = in->cap < RF_INPUT_CHUNK ? RF_INPUT_CHUNK : in->cap * 2;
    if (cap > in->max_line + RF_INPUT_CHUNK)
        cap = in->max_line + RF_INPUT_CHUNK;
    char *buf = rf_realloc(in->buf, cap);
    if (buf == NULL)
        return false;
    in->buf = buf;
    in->cap = cap;
    return true;
}

ssize_t rf_input_fill(struct rf_input *in)
{
    if (in->eof)
        return 0;
    if (!make_room(in)) {
        errno = ENOMEM;
        return -1;
    }
    ssize_t n = read(in->fd, in->buf + in->end, in->cap - in->end);
    if (n == 0)
        in->eof = true;
    if (n > 0)
        in->end += (size_t)n;
    return n;
}

/* Find the end of the current line; of a line that is too long only the head is kept. */
static bool find_end(struct rf_input *in)
{
    char *nl = in->end > in->scan ? memchr(in->buf + in->scan, '\n', in->end - in->scan) : NULL;
    if (nl != NULL) {
        in->stop = (size_t)(nl - in->buf);
        in->ended = true;
        return true;
    }
    if (in->end - in->start > in->max_line) {
        size_t keep = in->start + in->max_line;
        in->dropped += in->end - keep;
        in->end = keep;
    }
    in->scan = in->end;
    in->stop = in->end;
    in->ended = false;
    return in->eof && in->end > in->start;
}

bool rf_input_peek(struct rf_input *in, struct rf_line *line)
{
    if (!in->found)
        in->found = find_end(in);
    if (!in->found)
        return false;
    size_t len = in->stop - in->start;
    line->data = in->buf + in->start;
    line->number = in->lines + 1;
    line->end = in->offset + len + in->dropped + (in->ended ? 1 : 0);
    line->cut = !in->ended;
    line->too_long = in->dropped > 0 || len > in->max_line;
    if (len > in->max_line)
        len = in->max_line;
    else if (len > 0 && line->data[len - 1] == '\r' && !line->too_long)
        len--;
    line->len = len;
    return true;
}

void rf_input_next(struct rf_input *in)
{
    in->offset += in->stop - in->start + in->dropped + (in->ended ? 1 : 0);
    in->start = in->stop + (in->ended ? 1 : 0);
    in->scan = in->start;
    in->dropped = 0;
    in->found = false;
    in->lines++;
    if (in->start == in->end) {
        in->start = in->end = in->scan = 0;
    }
}

void rf_input_fini(struct rf_input *in)
{
    rf_free(in->buf);
    *in = (struct rf_input){.fd = -1};
}
