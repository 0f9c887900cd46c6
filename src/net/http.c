/* http.c - a transfer's way from send to done, and the life of the handle. Called by client.
 *
 * Happy path: send -> addresses are known -> the easy handle joins the multi handle -> kick lets
 * libcurl write -> the body arrives in rf_xfer_write() and is split on the way -> collect fills in
 * the reply -> done().
 *
 * Failure modes:
 *   no memory, no easy handle     the reply says so on the next turn
 *   the name is not known yet     the transfer waits on the loop; the wait counts in its timeout
 *   the answer is over the cap    the write callback ends the transfer
 *   libcurl replays on a new connection   counted as `resent`
 *   done() sends, aborts, kicks or closes   safe: nothing of libcurl's is on the stack then
 *   close while busy              everything is aborted and handed back before anything is freed */
#include "net/http.h"

#include <limits.h>
#include <string.h>
#include <time.h>

#include "base/mem.h"
#include "net/curl_class.h"
#include "net/http_int.h"
#include "policy/hints.h"

#define CURL_SMALL_BODY (64 * 1024) /* sent by libcurl in one piece with the head */
#define SPLIT_SPARE 16 /* members stored beyond those asked for: what a node answers too much */

static void push_ready(struct rf_xfer *xf)
{
    rf_stream_end(xf);
    rf_list_remove(&xf->link);
    xf->state = RF_XFER_READY;
    rf_list_push(&xf->h->ready, &xf->link);
}

/* End a transfer that libcurl does not hold (any more) without a response. */
static void fail_xfer(struct rf_xfer *xf, enum rf_transport class, const char *reason)
{
    struct rf_reply *r = &xf->ex->reply;
    rf_blob_unref(r->blob);
    r->blob = NULL;
    r->transport = class;
    r->reason = reason;
    push_ready(xf);
    rf_multi_soon(xf->h);
}

static void reset_reply(struct rf_exchange *ex)
{
    struct rf_reply *r = &ex->reply;
    rf_blob_unref(r->blob);
    r->blob = NULL;
    r->transport = RF_T_OK;
    r->status = 0;
    r->reason = NULL;
    r->retry_after_ns = RF_NEVER;
    rf_rate_hint_init(&r->rate);
    r->resent = 0;
    r->bytes_out = r->bytes_in = 0;
    rf_split_init(&r->split, ex->n + SPLIT_SPARE);
}

static size_t first_size(const struct rf_xfer *xf, size_t n)
{
    curl_off_t length = -1;
    curl_easy_getinfo(xf->easy, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &length);
    uint64_t want = length > 0 ? (uint64_t)length : 512;
    want = rf_min_u64(want, rf_min_u64(xf->ep->o->response_bytes, RF_HTTP_FIRST_ALLOC));
    return rf_max_u64(want, n);
}

size_t rf_xfer_write(char *data, size_t size, size_t n, void *arg)
{
    (void)size; /* always 1 */
    struct rf_xfer *xf = arg;
    if (xf->stream != NULL)
        return rf_stream_write(xf, data, n);
    struct rf_reply *r = &xf->ex->reply;
    size_t have = r->blob != NULL ? r->blob->len : 0;
    if (n > xf->ep->o->response_bytes || have > xf->ep->o->response_bytes - n) {
        xf->capped = true;
        return 0;
    }
    if (n == 0)
        return 0;
    if (r->blob == NULL)
        r->blob = rf_blob_new(first_size(xf, n));
    if (r->blob == NULL || !rf_blob_add(r->blob, data, n)) {
        xf->no_memory = true;
        return 0;
    }
    rf_split_feed(&r->split, r->blob->data, r->blob->len);
    return n;
}

size_t rf_xfer_header(char *line, size_t size, size_t n, void *arg)
{
    (void)size; /* always 1 */
    struct rf_xfer *xf = arg;
    if (xf->stream != NULL)
        rf_stream_heard(xf);
    xf->hinted = xf->hinted || rf_rate_header(line, n);
    return n;
}

static const char *header_value(CURL *easy, const char *name)
{
    struct curl_header *header;
    if (curl_easy_header(easy, name, 0, CURLH_HEADER, -1, &header) != CURLHE_OK)
        return NULL;
    return header->value;
}

/* A body that nothing delimits but the connection's end looks whole to libcurl where it was cut. */
static bool was_cut(const struct rf_xfer *xf, bool bad_before)
{
    const struct rf_reply *r = &xf->ex->reply;
    curl_off_t length = -1;
    if (r->split.shape != RF_SHAPE_BAD || bad_before || r->split.no_memory)
        return false;
    curl_easy_getinfo(xf->easy, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &length);
    return length < 0 && header_value(xf->easy, "Transfer-Encoding") == NULL;
}

static void finish_body(struct rf_xfer *xf)
{
    struct rf_reply *r = &xf->ex->reply;
    bool bad = r->split.shape == RF_SHAPE_BAD;
    if (xf->stream != NULL && rf_stream_finish(xf, &bad) != RPCFAN_OK) {
        r->transport = RF_T_RESET;
        r->reason = "out of memory";
        return;
    }
    rf_split_finish(&r->split, r->blob != NULL ? r->blob->data : "");
    if (was_cut(xf, bad)) {
        r->transport = RF_T_RESET;
        r->reason = "the body ended early";
    } else if (r->blob != NULL) {
        rf_blob_trim(r->blob);
    }
}

static enum rf_transport class_result(const struct rf_xfer *xf, CURLcode code, const char **reason)
{
    struct rf_curl_facts f = {.sends = xf->sends,
                              .os_errno = xf->socket_errno,
                              .https = xf->ep->https,
                              .capped = xf->capped,
                              .no_memory = xf->no_memory};
    if (code != CURLE_OK) {
        long e = 0, local_port = 0;
        curl_easy_getinfo(xf->easy, CURLINFO_LOCAL_PORT, &local_port);
        curl_easy_getinfo(xf->easy, CURLINFO_HTTP_CONNECTCODE, &f.proxy_code);
        curl_easy_getinfo(xf->easy, CURLINFO_PROXY_ERROR, &f.proxy_error);
        curl_easy_getinfo(xf->easy, CURLINFO_OS_ERRNO, &e);
        f.connected = local_port > 0; /* CONNECT_TIME waits for the TLS handshake */
        if (f.os_errno == 0)
            f.os_errno = (int)e;
    }
    return rf_curl_class(code, &f, reason);
}

/* libcurl counts a small body with the request's head, and a large one apart. */
static void count_bytes(const struct rf_xfer *xf, struct rf_reply *r)
{
    long request = 0, header = 0;
    curl_off_t up = 0, down = 0;
    curl_easy_getinfo(xf->easy, CURLINFO_REQUEST_SIZE, &request);
    curl_easy_getinfo(xf->easy, CURLINFO_HEADER_SIZE, &header);
    curl_easy_getinfo(xf->easy, CURLINFO_SIZE_UPLOAD_T, &up);
    curl_easy_getinfo(xf->easy, CURLINFO_SIZE_DOWNLOAD_T, &down);
    r->bytes_out = (uint64_t)request + (xf->ex->body.len < CURL_SMALL_BODY ? 0 : (uint64_t)up);
    r->bytes_in = (uint64_t)header + (uint64_t)down;
}

/* The walk compares all names with each other, so it is for answers that have such a header. */
static void read_rate(const struct rf_xfer *xf, struct rf_rate_hint *out)
{
    struct rf_rate_reader reader;
    struct curl_header *header = NULL;
    int64_t wall_s;
    rf_rate_reader_init(&reader);
    while ((header = curl_easy_nextheader(xf->easy, CURLH_HEADER, -1, header)) != NULL)
        rf_rate_reader_take(&reader, header->name, header->value);
    const char *date = header_value(xf->easy, "Date");
    if (date == NULL || !rf_http_date(date, &wall_s))
        wall_s = (int64_t)time(NULL);
    rf_rate_reader_finish(&reader, wall_s, out);
}

/* libcurl is done with a transfer: everything is read while the easy handle is still in place. */
static void fill_reply(struct rf_xfer *xf, CURLcode code)
{
    struct rf_reply *r = &xf->ex->reply;
    long status = 0;
    curl_easy_getinfo(xf->easy, CURLINFO_RESPONSE_CODE, &status);
    r->status = (int)status;
    r->transport = class_result(xf, code, &r->reason);
    r->resent = xf->sends > 1 ? xf->sends - 1 : 0;
    count_bytes(xf, r);
    if (status >= 300)
        r->retry_after_ns = rf_retry_after(header_value(xf->easy, "Retry-After"),
                                           header_value(xf->easy, "Date"), (int64_t)time(NULL));
    if (xf->hinted)
        read_rate(xf, &r->rate);
    if (r->transport == RF_T_OK)
        finish_body(xf);
    if (r->transport != RF_T_OK) {
        rf_blob_unref(r->blob);
        r->blob = NULL;
    }
    if (r->transport == RF_T_CONNECT && xf->ep->dns != NULL)
        rf_dns_suspect(xf->ep->dns);
}

void rf_xfer_end(struct rf_xfer *xf, CURLcode code)
{
    fill_reply(xf, code);
    curl_multi_remove_handle(xf->h->multi, xf->easy);
    push_ready(xf);
}

static void hand_back(struct rf_http *h, struct rf_link *l)
{
    struct rf_xfer *xf = RF_CONTAINER(l, struct rf_xfer, link);
    struct rf_exchange *ex = xf->ex;
    ex->net = NULL;
    rf_ep_give(xf);
    h->o.done(ex, h->o.arg);
}

static void check_closing(struct rf_http *h);

/* Hand back what is ready now; what becomes ready meanwhile has its turn later. */
static void deliver(struct rf_http *h)
{
    struct rf_link now;
    rf_list_init(&now);
    rf_list_splice(&now, &h->ready);
    size_t n = 0;
    for (const struct rf_exchange *ex = h->stillborn; ex != NULL; ex = ex->net)
        n++;
    for (struct rf_link *l; (l = rf_list_shift(&now)) != NULL;)
        hand_back(h, l);
    for (; n > 0 && h->stillborn != NULL; n--) {
        struct rf_exchange *ex = h->stillborn;
        h->stillborn = ex->net;
        ex->net = NULL;
        h->o.done(ex, h->o.arg);
    }
}

void rf_http_collect(struct rf_http *h, bool deliver_now)
{
    CURLMsg *m;
    int left;
    while ((m = curl_multi_info_read(h->multi, &left)) != NULL) {
        if (m->msg != CURLMSG_DONE)
            continue;
        CURL *easy = m->easy_handle; /* the message goes with the handle: copied before */
        CURLcode code = m->data.result;
        char *private = NULL;
        curl_easy_getinfo(easy, CURLINFO_PRIVATE, &private);
        struct rf_xfer *xf = (struct rf_xfer *)(void *)private;
        rf_xfer_end(xf, code);
    }
    if (deliver_now)
        deliver(h);
    if (!rf_list_empty(&h->ready) || h->stillborn != NULL || h->run_now)
        rf_multi_soon(h);
}

void rf_http_turn(struct rf_http *h)
{
    if (h->run_now)
        rf_multi_run(h);
    rf_http_collect(h, true);
    if (rf_list_empty(&h->ready) && h->stillborn == NULL && !h->run_now)
        uv_idle_stop(&h->soon);
    if (h->closing)
        check_closing(h);
}

static long to_ms(uint64_t ns)
{
    if (ns >= (uint64_t)INT_MAX * RF_MS)
        return INT_MAX;
    return ns <= RF_MS ? 1 : (long)((ns + RF_MS - 1) / RF_MS); /* 0 would mean no limit */
}

/* The addresses are in the endpoint's list, or none are needed: let libcurl have it. */
static void start(struct rf_xfer *xf, uint64_t waited_ns)
{
    struct rf_exchange *ex = xf->ex;
    uint64_t connect_ns = rf_ms_ns(xf->ep->o->connect_timeout_ms);
    if (waited_ns > 0 && waited_ns >= ex->timeout_ns) {
        fail_xfer(xf, RF_T_CONNECT, "timed out before it was sent");
        return;
    }
    long timeout_ms = ex->stream ? 0 : to_ms(ex->timeout_ns - waited_ns);
    if (!rf_xfer_prepare(xf, timeout_ms, to_ms(rf_time_sub(connect_ns, waited_ns))) ||
        curl_multi_add_handle(xf->h->multi, xf->easy) != CURLM_OK) {
        fail_xfer(xf, RF_T_CONNECT, "out of memory");
        return;
    }
    rf_list_remove(&xf->link);
    xf->state = RF_XFER_RUNNING;
    rf_list_push(&xf->h->running, &xf->link);
    if (ex->stream)
        rf_stream_start(xf);
}

static void name_found(struct rf_dns_waiter *w, int status)
{
    struct rf_xfer *xf = RF_CONTAINER(w, struct rf_xfer, waiter);
    uint32_t generation;
    const char *addresses = rf_dns_addresses(xf->ep->dns, &generation);
    if (status == UV_ETIMEDOUT)
        fail_xfer(xf, RF_T_CONNECT, "name lookup timed out");
    else if (status == UV_ENOMEM)
        fail_xfer(xf, RF_T_CONNECT, "out of memory");
    else if (status != 0 || addresses == NULL)
        fail_xfer(xf, RF_T_CONNECT, "name not found");
    else if (!rf_ep_resolve(xf->ep, addresses, generation))
        fail_xfer(xf, RF_T_CONNECT, "out of memory");
    else
        start(xf, rf_time_sub(xf->h->dns.ops.now(), xf->begun_ns));
}

static void find_name(struct rf_xfer *xf)
{
    struct rf_http *h = xf->h;
    struct rf_http_ep *ep = xf->ep;
    uint32_t generation;
    const char *addresses = rf_dns_peek(ep->dns, &generation);
    if (addresses != NULL) {
        if (rf_ep_resolve(ep, addresses, generation))
            start(xf, 0);
        else
            fail_xfer(xf, RF_T_CONNECT, "out of memory");
        return;
    }
    xf->begun_ns = h->dns.ops.now();
    xf->waiter.cb = name_found;
    xf->state = RF_XFER_NAME;
    rf_list_push(&h->waiting, &xf->link);
    uint64_t limit = rf_min_u64(xf->ex->timeout_ns, rf_ms_ns(ep->o->connect_timeout_ms));
    if (!rf_dns_wait(ep->dns, &xf->waiter, rf_time_add(xf->begun_ns, limit)))
        fail_xfer(xf, RF_T_CONNECT, "out of memory");
}

void rf_http_send(struct rf_http *h, struct rf_exchange *ex)
{
    reset_reply(ex);
    struct rf_xfer *xf = h->closing ? NULL : rf_ep_take(h, &h->ep[ex->endpoint]);
    if (xf != NULL && ex->stream && !rf_stream_begin(xf)) {
        rf_ep_give(xf);
        xf = NULL;
    }
    if (xf == NULL) {
        ex->reply.transport = h->closing ? RF_T_ABORTED : RF_T_CONNECT;
        ex->reply.reason = h->closing ? "closing" : "out of memory";
        ex->net = h->stillborn;
        h->stillborn = ex;
        rf_multi_soon(h);
        return;
    }
    ex->net = xf;
    xf->ex = ex;
    xf->sends = 0;
    xf->socket_errno = 0;
    xf->capped = xf->no_memory = xf->hinted = false;
    if (xf->ep->dns != NULL)
        find_name(xf);
    else
        start(xf, 0);
}

static void abort_xfer(struct rf_xfer *xf)
{
    if (xf->state == RF_XFER_NAME)
        rf_dns_cancel(xf->ep->dns, &xf->waiter);
    else if (xf->state == RF_XFER_RUNNING)
        curl_multi_remove_handle(xf->h->multi, xf->easy);
    else
        return; /* its reply is on the way */
    xf->ex->reply.resent = xf->sends > 1 ? xf->sends - 1 : 0;
    fail_xfer(xf, RF_T_ABORTED, "aborted");
}

struct rf_xfer *rf_http_xfer(const struct rf_http *h, const struct rf_exchange *ex)
{
    for (const struct rf_exchange *s = h->stillborn; s != NULL; s = s->net) {
        if (s == ex)
            return NULL;
    }
    return ex->net;
}

void rf_http_abort(struct rf_http *h, struct rf_exchange *ex)
{
    struct rf_xfer *xf = rf_http_xfer(h, ex);
    if (xf != NULL)
        abort_xfer(xf);
}

void rf_http_kick(struct rf_http *h)
{
    if (!h->run_now || h->multi == NULL)
        return;
    rf_multi_run(h);
    rf_http_collect(h, false);
    if (rf_list_empty(&h->ready) && h->stillborn == NULL && !h->run_now && !h->closing)
        uv_idle_stop(&h->soon);
}

enum rpcfan_err rf_http_new(const struct rf_http_options *o, struct rf_http **out,
                            struct rpcfan_error *err)
{
    *out = NULL;
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
        return rf_fail(err, RPCFAN_EIO, "libcurl could not be set up");
    enum rpcfan_err e = RPCFAN_ENOMEM;
    struct rf_http *h = rf_alloc(sizeof *h);
    if (h == NULL)
        goto fail;
    h->o = *o;
    rf_list_init(&h->waiting);
    rf_list_init(&h->running);
    rf_list_init(&h->ready);
    rf_list_init(&h->streams);
    h->ep = rf_alloc(o->n_endpoints * sizeof *h->ep);
    rf_dns_init(&h->dns, o->loop);
    if (h->ep == NULL)
        goto fail;
    /* Endpoints may not work; loop handles close only on later turns. So handles come last. */
    for (uint32_t i = 0; i < o->n_endpoints; i++) {
        e = rf_ep_init(h, &h->ep[i], i, err);
        if (e != RPCFAN_OK)
            goto fail_named;
    }
    e = rf_multi_init(h);
    if (e != RPCFAN_OK)
        goto fail;
    rf_dns_open(&h->dns);
    *out = h;
    return RPCFAN_OK;
fail:
    rf_fail(err, e, "%s", rpcfan_err_text(e));
fail_named:
    rf_http_free(h);
    if (h == NULL)
        curl_global_cleanup();
    return e;
}

void rf_http_handle_closed(struct rf_http *h)
{
    h->handles--;
    check_closing(h);
}

static void note_dns_closed(void *arg)
{
    struct rf_http *h = arg;
    h->dns_closed = true;
    check_closing(h);
}

/* Two steps: when all is handed back, close the handles; when they are closed, say so. */
static void check_closing(struct rf_http *h)
{
    if (!h->closing)
        return;
    if (h->multi != NULL) {
        if (!rf_list_empty(&h->ready) || h->stillborn != NULL)
            return;
        for (uint32_t i = 0; i < h->o.n_endpoints; i++)
            rf_ep_fini(&h->ep[i]);
        rf_multi_close(h);
        rf_dns_close(&h->dns, note_dns_closed, h);
        return;
    }
    if (h->handles > 0 || !h->dns_closed || h->closed == NULL)
        return;
    void (*cb)(void *arg) = h->closed;
    h->closed = NULL;
    cb(h->closed_arg);
}

void rf_http_close(struct rf_http *h, void (*cb)(void *arg), void *arg)
{
    h->closing = true;
    h->closed = cb;
    h->closed_arg = arg;
    while (!rf_list_empty(&h->waiting))
        abort_xfer(RF_CONTAINER(h->waiting.next, struct rf_xfer, link));
    while (!rf_list_empty(&h->running))
        abort_xfer(RF_CONTAINER(h->running.next, struct rf_xfer, link));
    rf_multi_soon(h);
}

void rf_http_free(struct rf_http *h)
{
    if (h == NULL)
        return;
    for (uint32_t i = 0; h->ep != NULL && i < h->o.n_endpoints; i++)
        rf_ep_fini(&h->ep[i]);
    if (h->multi != NULL)
        curl_multi_cleanup(h->multi);
    rf_dns_fini(&h->dns);
    rf_free(h->ep);
    rf_free(h->sock);
    rf_free(h);
    curl_global_cleanup();
}
