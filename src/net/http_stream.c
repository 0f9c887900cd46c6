/* http_stream.c - answers that are handed out element by element while they arrive. Called by
 * http.c, by libcurl's write callback, and by the client to go on.
 *
 * Happy path: begin -> libcurl has the transfer -> each piece of the body goes through
 * json/elements, and each element in it to the element callback -> at the end what surrounds the
 * elements becomes the reply's body, and is split like any other.
 *
 * Failure modes:
 *   the consumer asks to stop   the write callback pauses: libcurl stops reading the socket, keeps
 *                               what it has read (and decoded) of 64 KiB, and gives the whole chunk
 *                               again when it goes on: the part that was used is skipped then
 *   nothing comes for the attempt's timeout   the transfer ends as timed out; libcurl's own limit
 *                               on the whole is off, and a pause does not count
 *   going on fails              curl_easy_pause() gives the kept bytes to the write callback itself
 *                               and returns what that said, but ends nothing: it is ended here
 *   HTTP/2                      a paused stream would hold up the others of its connection, so that
 *                               these go over a connection of their own, in HTTP/1.1 */
#include <string.h>

#include "base/mem.h"
#include "json/elements.h"
#include "net/http_int.h"

/** Of a transfer whose exchange is streamed. */
struct rf_stream {
    struct rf_link link; /* rf_http.streams, while libcurl has the transfer */
    struct rf_xfer *xf;
    struct rf_elements elements;
    uint64_t heard_ns; /* when something came last, or it went on */
    size_t skip;       /* bytes that libcurl will give again, and that were used */
    bool stopped;      /* by the consumer: libcurl does not read */
};

bool rf_stream_begin(struct rf_xfer *xf)
{
    struct rf_stream *s = rf_alloc(sizeof *s);
    if (s == NULL)
        return false;
    s->xf = xf;
    rf_elements_init(&s->elements, (size_t)rf_min_u64(xf->ep->o->response_bytes, SIZE_MAX));
    xf->stream = s;
    return true;
}

void rf_stream_end(struct rf_xfer *xf)
{
    struct rf_stream *s = xf->stream;
    if (s == NULL)
        return;
    rf_list_remove(&s->link);
    rf_elements_fini(&s->elements);
    rf_free(s);
    xf->stream = NULL;
    if (rf_list_empty(&xf->h->streams))
        uv_timer_stop(&xf->h->silence);
}

/* End a transfer for a reason that libcurl has not told itself. */
static void end_now(struct rf_xfer *xf, CURLcode code)
{
    rf_xfer_end(xf, code);
    rf_multi_soon(xf->h);
}

static uint64_t silent_at(const struct rf_stream *s)
{
    return rf_time_add(s->heard_ns, s->xf->ex->timeout_ns);
}

static void watch_silence(struct rf_http *h);

static void end_silent(uv_timer_t *timer)
{
    struct rf_http *h = timer->data;
    uint64_t now_ns = uv_hrtime();
    for (struct rf_link *l = h->streams.next, *next; l != &h->streams; l = next) {
        struct rf_stream *s = RF_CONTAINER(l, struct rf_stream, link);
        next = l->next;
        if (!s->stopped && silent_at(s) <= now_ns)
            end_now(s->xf, CURLE_OPERATION_TIMEDOUT);
    }
    watch_silence(h);
}

/* Wake when the first could be silent for too long. What comes meanwhile only moves `heard_ns`: the
 * timer then fires in vain and is set again, so that a piece costs no timer. */
static void watch_silence(struct rf_http *h)
{
    uint64_t at_ns = RF_NEVER;
    for (struct rf_link *l = h->streams.next; l != &h->streams; l = l->next) {
        const struct rf_stream *s = RF_CONTAINER(l, struct rf_stream, link);
        if (!s->stopped)
            at_ns = rf_min_u64(at_ns, silent_at(s));
    }
    if (at_ns == RF_NEVER) {
        uv_timer_stop(&h->silence);
        return;
    }
    uv_update_time(h->o.loop);
    uv_timer_start(&h->silence, end_silent, rf_time_sub(at_ns, uv_hrtime()) / RF_MS + 1, 0);
}

void rf_stream_start(struct rf_xfer *xf)
{
    struct rf_stream *s = xf->stream;
    s->heard_ns = uv_hrtime();
    rf_list_push(&xf->h->streams, &s->link);
    watch_silence(xf->h);
}

void rf_stream_heard(struct rf_xfer *xf)
{
    xf->stream->heard_ns = uv_hrtime();
}

static bool hand_out(void *arg, struct rpcfan_slice json)
{
    struct rf_stream *s = arg;
    const struct rf_http_options *o = &s->xf->h->o;
    struct rpcfan_element e = {
        .json = json, .context_slot = s->elements.context_slot, .first = s->elements.n == 1};
    s->stopped = o->element != NULL && !o->element(s->xf->ex, &e, o->arg);
    return !s->stopped;
}

size_t rf_stream_write(struct rf_xfer *xf, const char *data, size_t n)
{
    struct rf_stream *s = xf->stream;
    size_t skipped = s->skip < n ? s->skip : n;
    rf_stream_heard(xf);
    size_t used =
        skipped + rf_elements_feed(&s->elements, data + skipped, n - skipped, hand_out, s);
    xf->no_memory = s->elements.no_memory;
    xf->capped = s->elements.too_big;
    if (xf->no_memory || xf->capped)
        return 0;
    s->skip = s->stopped ? used : s->skip - skipped;
    return s->stopped ? CURL_WRITEFUNC_PAUSE : n;
}

enum rpcfan_err rf_stream_finish(struct rf_xfer *xf, bool *bad)
{
    struct rf_elements *e = &xf->stream->elements;
    struct rf_reply *r = &xf->ex->reply;
    *bad = e->bad;
    rf_elements_finish(e);
    if (e->rest.len == 0)
        return RPCFAN_OK;
    r->blob = rf_blob_new(e->rest.len);
    if (r->blob == NULL || !rf_blob_add(r->blob, e->rest.data, e->rest.len))
        return RPCFAN_ENOMEM;
    rf_split_feed(&r->split, r->blob->data, r->blob->len);
    return RPCFAN_OK;
}

void rf_http_resume(struct rf_http *h, struct rf_exchange *ex)
{
    struct rf_xfer *xf = rf_http_xfer(h, ex);
    if (xf == NULL || xf->state != RF_XFER_RUNNING || xf->stream == NULL || !xf->stream->stopped)
        return;
    xf->stream->stopped = false;
    rf_stream_heard(xf);
    CURLcode code = curl_easy_pause(xf->easy, CURLPAUSE_CONT);
    if (code != CURLE_OK)
        end_now(xf, code);
    watch_silence(h);
}
