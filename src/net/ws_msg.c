/* ws_msg.c - messages: putting parts together, the queue of texts to send, close codes. Called by
 * ws.c and, inside libwebsockets' callbacks, by ws_lws.c.
 *
 * Happy path: a message arrives in parts of at most RF_WS_BUFFER bytes, is copied once into a blob,
 * and the blob is handed on. A blob that the caller did not keep is used again.
 * Failure modes:
 *   longer than the cap, or no memory   told once; the rest of that message is skipped, the
 *                                       connection goes on
 *   the peer does not read              what waits is bounded; then the connection ends
 *   a close code that libwebsockets does not know   it is found in libwebsockets' read buffer */
#include "net/ws_int.h"

#include <string.h>

#include "base/mem.h"

#define DEFAULT_BYTES (64 * 1024 * 1024)
#define CODE_PROTOCOL 1002
#define CLOSE_FRAME 0x88 /* FIN and the opcode */

static uint64_t message_cap(const struct rf_ws_conn *c)
{
    return c->ep->o->ws_bytes != 0 ? c->ep->o->ws_bytes : DEFAULT_BYTES;
}

/* A blob for a message of which `whole` bytes are announced. */
static struct rf_blob *take_blob(struct rf_ws *w, size_t whole)
{
    struct rf_blob *b = w->spare;
    if (b != NULL && b->cap >= whole) {
        w->spare = NULL;
        b->len = 0;
        return b;
    }
    return rf_blob_new(rf_min_u64(whole, RF_WS_FIRST_ALLOC));
}

static void give_blob(struct rf_ws *w, struct rf_blob *b)
{
    bool ours = atomic_load_explicit(&b->refs, memory_order_acquire) == 1;
    if (!ours || b->cap > RF_WS_SPARE_MAX) {
        rf_blob_unref(b);
        return;
    }
    rf_blob_unref(w->spare);
    w->spare = b;
}

static void lose(struct rf_ws_conn *c, bool final, const char *why)
{
    rf_blob_unref(c->blob);
    c->blob = NULL;
    c->lost = !final;
    rf_ws_tell(c, RF_WS_LOST, NULL, why);
}

void rf_ws_part(struct rf_ws_conn *c, const void *data, size_t len)
{
    struct rf_ws *w = c->w;
    c->heard_ms = uv_now(w->o.loop);
    c->unanswered = 0;
    if (c->state != RF_WS_S_OPEN)
        return;
    bool final = lws_is_final_fragment(c->wsi) != 0;
    if (c->lost) {
        c->lost = !final;
        return;
    }
    uint64_t whole = len + lws_remaining_packet_payload(c->wsi); /* of this frame */
    uint64_t have = c->blob != NULL ? c->blob->len : 0;
    if (whole > message_cap(c) || have > message_cap(c) - whole) {
        lose(c, final, "message over the cap");
        return;
    }
    if (c->blob == NULL)
        c->blob = take_blob(w, whole);
    if (c->blob == NULL || !rf_blob_add(c->blob, data, len)) {
        lose(c, final, "out of memory");
        return;
    }
    if (!final)
        return;
    struct rf_blob *b = c->blob;
    c->blob = NULL;
    rf_ws_tell(c, RF_WS_MESSAGE, b, NULL);
    give_blob(w, b);
}

void rf_ws_drop_texts(struct rf_ws_conn *c)
{
    for (struct rf_link *l; (l = rf_list_shift(&c->texts)) != NULL;)
        rf_free(RF_CONTAINER(l, struct rf_ws_text, link));
    c->queued = 0;
}

static int write_text(struct rf_ws_conn *c)
{
    struct rf_ws_text *t = RF_CONTAINER(rf_list_shift(&c->texts), struct rf_ws_text, link);
    c->queued -= t->len;
    int n = lws_write(c->wsi, t->data + LWS_PRE, t->len, LWS_WRITE_TEXT);
    rf_free(t);
    return n < 0 ? -1 : 0;
}

int rf_ws_write(struct rf_ws_conn *c)
{
    if (c->want_ping) {
        unsigned char ping[LWS_PRE + 1];
        c->want_ping = false;
        if (lws_write(c->wsi, ping + LWS_PRE, 0, LWS_WRITE_PING) < 0)
            return -1;
    } else if (!rf_list_empty(&c->texts)) {
        if (write_text(c) != 0)
            return -1;
    } else if (c->state == RF_WS_S_CLOSING) {
        if (c->close_sent) /* it asks again while it waits for the answer */
            return 0;
        c->close_sent = c->farewell = true;
        rf_ws_soon(c);
        return 0;
    }
    if (c->want_ping || !rf_list_empty(&c->texts) || c->state == RF_WS_S_CLOSING)
        lws_callback_on_writable(c->wsi);
    return 0;
}

/* It cannot be sent: then the connection is no use either. */
static void give_up(struct rf_ws_conn *c, const char *why, uint64_t grace_ns)
{
    if (c->state == RF_WS_S_OPEN) {
        rf_ws_end(c, why, grace_ns);
    } else {
        rf_ws_blame(c, why);
        rf_ws_close(c->w, c->session);
    }
}

void rf_ws_send(struct rf_ws *w, uint64_t session, const char *text, size_t len)
{
    struct rf_ws_conn *c = rf_ws_find(w, session);
    if (c == NULL || c->state == RF_WS_S_CLOSING)
        return;
    if (len > RF_WS_QUEUE_MAX - c->queued) {
        give_up(c, "the peer does not read", 0);
        return;
    }
    struct rf_ws_text *t = rf_alloc(sizeof *t + LWS_PRE + len);
    if (t == NULL) {
        give_up(c, "out of memory", RF_WS_GRACE_NS);
        return;
    }
    t->len = len;
    memcpy(t->data + LWS_PRE, text, len);
    rf_list_push(&c->texts, &t->link);
    c->queued += len;
    if (c->state != RF_WS_S_OPEN)
        return;
    lws_callback_on_writable(c->wsi);
    rf_ws_wake(w);
}

static bool is_overwritten(unsigned code)
{
    return code != CODE_PROTOCOL && (code < 1000 || (code >= 1004 && code < 3000));
}

/* libwebsockets 4.1.6 writes 1002 over codes that it does not know, among them 1012 (restart) and
 * 1013 (try again later). The frame as it came still stands in its read buffer. */
static unsigned find_code(const struct rf_ws *w, const unsigned char *in, size_t len)
{
    const unsigned char *buf = (const unsigned char *)w->serv_buf;
    unsigned found = CODE_PROTOCOL;
    for (size_t i = 0; buf != NULL && i + 2 + len <= RF_WS_BUFFER; i++) {
        if (buf[i] != CLOSE_FRAME || buf[i + 1] != len || memcmp(buf + i + 4, in + 2, len - 2) != 0)
            continue;
        unsigned code = (unsigned)buf[i + 2] << 8 | buf[i + 3];
        if (code == CODE_PROTOCOL)
            return code;
        if (found == CODE_PROTOCOL && is_overwritten(code))
            found = code;
    }
    /* Its head came in the read before: then the code is the first thing in the buffer, where
     * otherwise a frame's head or a piece of text stands. */
    if (found == CODE_PROTOCOL && buf != NULL && len <= RF_WS_BUFFER) {
        unsigned code = (unsigned)buf[0] << 8 | buf[1];
        if (buf[0] == CODE_PROTOCOL >> 8 && is_overwritten(code) &&
            memcmp(buf + 2, in + 2, len - 2) == 0)
            found = code;
    }
    return found;
}

void rf_ws_peer_closes(struct rf_ws_conn *c, const unsigned char *in, size_t len)
{
    unsigned code = len >= 2 ? (unsigned)in[0] << 8 | in[1] : 0;
    if (code == CODE_PROTOCOL)
        code = find_code(c->w, in, len);
    const char *why = code == 1008   ? "closed by the peer: policy"
                      : code == 1009 ? "closed by the peer: message too big"
                      : code == 1012 ? "closed by the peer: restart"
                      : code == 1013 ? "closed by the peer: try again later"
                                     : "closed by the peer";
    if (c->state != RF_WS_S_OPEN)
        return;
    c->status = (int)code;
    rf_ws_blame(c, why);
    rf_ws_set_state(c, RF_WS_S_CLOSING);
    rf_ws_set_due(c, rf_time_add(uv_hrtime(), RF_WS_GRACE_NS));
}
