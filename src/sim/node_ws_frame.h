/* node_ws_frame.h - RFC 6455 frames from the server's side: read what a client sends, write what a
 * server sends, well-formed or not. Called by node_ws*.c. Pure. */
#ifndef RF_SIM_NODE_WS_FRAME_H
#define RF_SIM_NODE_WS_FRAME_H

#include "base/buf.h"

enum rf_ws_opcode {
    RF_WS_CONTINUATION = 0,
    RF_WS_TEXT = 1,
    RF_WS_BINARY = 2,
    RF_WS_CLOSE = 8,
    RF_WS_PING = 9,
    RF_WS_PONG = 10
};

/** Close codes of RFC 6455 7.4.1 that the node says itself. */
enum { RF_WS_NORMAL = 1000, RF_WS_AWAY = 1001, RF_WS_PROTOCOL = 1002, RF_WS_TOO_BIG = 1009 };

/** The most bytes of a control frame. */
#define RF_WS_CONTROL_MAX 125
/** The most bytes of a server's frame header. */
#define RF_WS_HEAD_MAX 10
/** Length of Sec-WebSocket-Key, and room for Sec-WebSocket-Accept with its NUL. */
#define RF_WS_KEY_LEN 24
#define RF_WS_ACCEPT_MAX 32

/** The header of a frame that was read. */
struct rf_ws_frame {
    bool fin;
    uint8_t opcode; /* of the known ones */
    size_t head;    /* bytes of the header, mask included */
    uint64_t len;   /* bytes of payload behind it; they may not be there yet */
    unsigned char mask[4];
};

/** What rf_ws_frame_read() found. */
enum rf_ws_found { RF_WS_MORE, RF_WS_FRAME, RF_WS_BAD };

/**
 * Read a client's frame header.
 * @param from  the frame's first byte; `len` bytes are there.
 * @return RF_WS_BAD for what a server must refuse with 1002: reserved bits or opcodes, no mask, a
 *         control frame in pieces or over 125 bytes, a length that is not as short as it could be.
 */
enum rf_ws_found rf_ws_frame_read(const char *from, size_t len, struct rf_ws_frame *out);

/** Take the mask off `len` bytes of payload, in place. */
void rf_ws_unmask(char *payload, size_t len, const unsigned char mask[4]);

/** Write the header of a server's frame. @param out RF_WS_HEAD_MAX bytes. @return bytes used. */
size_t rf_ws_frame_head(unsigned opcode, bool fin, uint64_t len, unsigned char *out);

/** Append a whole frame. */
void rf_ws_frame_add(struct rf_buf *out, unsigned opcode, bool fin, const char *data, size_t len);

/** Append a close frame. @param code 0: without one. @param reason NULL: none; cut at what fits. */
void rf_ws_frame_close(struct rf_buf *out, unsigned code, const char *reason);

/** Ways in which a frame can be ill-formed, see rf_ws_frame_bad(). */
enum rf_ws_bad {
    RF_WS_BAD_RSV,          /* a reserved bit that no extension was agreed for */
    RF_WS_BAD_OPCODE,       /* a reserved opcode */
    RF_WS_BAD_MASK,         /* masked, which no server may */
    RF_WS_BAD_LENGTH,       /* a length with its highest bit set */
    RF_WS_BAD_CONTINUATION, /* the rest of a message that never began */
    RF_WS_BAD_INTERLEAVED,  /* a new message inside one that has not ended */
    RF_WS_BAD_CONTROL,      /* a ping of over 125 bytes */
    RF_WS_BAD_KINDS
};

/** Append a message in an ill-formed frame. */
void rf_ws_frame_bad(struct rf_buf *out, enum rf_ws_bad kind, const char *data, size_t len);

/** Whether a key is 16 bytes in base64, as RFC 6455 4.2.1 wants it. */
bool rf_ws_key_good(const char *key, size_t len);

/** Make Sec-WebSocket-Accept. @param key RF_WS_KEY_LEN bytes. @param out RF_WS_ACCEPT_MAX bytes,
 * NUL-terminated. */
void rf_ws_accept(const char *key, char *out);

#endif
