/* wsclient.h - a small blocking WebSocket client with framing of its own, for tests that look at
 * what a server really sends. It checks little and hides nothing; every wait ends after 10 s. */
#ifndef RF_TESTS_WSCLIENT_H
#define RF_TESTS_WSCLIENT_H

#include "base/buf.h"

enum { WSC_CONTINUATION, WSC_TEXT, WSC_BINARY, WSC_CLOSE = 8, WSC_PING, WSC_PONG };

/** What wsc_frame() returns besides 0. */
enum { WSC_EOF = 1, WSC_RESET = 2, WSC_TIMEOUT = 3 };

/** A connection. */
struct wsc {
    int fd;
    int status;         /* of the handshake's answer */
    struct rf_buf head; /* of it, NUL-terminated */
    struct rf_buf in;
    size_t at;
    struct rf_buf text; /* the last whole message, NUL-terminated */
    unsigned pings;     /* answered by wsc_text() */
};

/** A frame. The payload lives until the next call. */
struct wsc_frame {
    bool fin, masked;
    unsigned rsv, opcode;
    const char *data;
    size_t len;
};

/** Connect to 127.0.0.1 and shake hands. @param more header lines with their ends, or "". @return
 * whether the answer was 101 with the right key. */
bool wsc_open(struct wsc *w, unsigned port, const char *path, const char *more);
/** Connect, and send these bytes as the whole request instead. @return as above. */
bool wsc_open_raw(struct wsc *w, unsigned port, const char *request);
/** Close without a word, and free. */
void wsc_close(struct wsc *w);
/** Send a frame. @param first its first byte: 0x81 is a whole text. @param masked as a client must.
 */
void wsc_send(struct wsc *w, unsigned first, bool masked, const void *data, size_t len);
/** Send a text message. */
void wsc_say(struct wsc *w, const char *text);
/** The next frame. @return 0, or how the connection ended, or WSC_TIMEOUT. */
int wsc_frame(struct wsc *w, struct wsc_frame *f);
/** The next text message, joined of its pieces; pings are answered. @return NUL-terminated, or NULL
 * at the end of the connection. */
const char *wsc_text(struct wsc *w);
/** Say, and the next text. */
const char *wsc_call(struct wsc *w, const char *text);
/** Whether nothing comes within some ms. */
bool wsc_silent(struct wsc *w, int ms);

#endif
