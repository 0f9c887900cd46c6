/* wsserver.h - the WebSocket side of a raw server: the upgrade and single frames, so that a test
 * says exactly what comes when. Used by tests/integration. */
#ifndef RF_TESTS_WSSERVER_H
#define RF_TESTS_WSSERVER_H

#include "rawserver.h"

#define WS_TEXT 0x81 /* FIN and the opcode */
#define WS_BINARY 0x82
#define WS_CLOSE 0x88
#define WS_PING 0x89
#define WS_PONG 0x8a
#define WS_PART 0x01 /* the first of several */
#define WS_MORE 0x00
#define WS_LAST 0x80

/** Read an upgrade request and accept it. @return false where none came. */
bool wss_accept(struct raw_conn *c);
/** Write a frame, unmasked. @param head FIN and opcode. */
bool wss_frame(struct raw_conn *c, unsigned head, const void *data, size_t len);
/** Write only a frame's head. */
bool wss_frame_head(struct raw_conn *c, unsigned head, size_t len);
/** Write a text message. */
bool wss_text(struct raw_conn *c, const char *text);
/** Write a close frame. */
bool wss_close(struct raw_conn *c, unsigned code, const char *reason);
/** Read a frame of the client's. @param out its payload, NUL-terminated, cut at `cap`. @return FIN
 * and opcode; -1 at the end. */
int wss_read(struct raw_conn *c, char *out, size_t cap);
/** Read frames until the connection's end, or a close frame, which is answered. */
void wss_drain(struct raw_conn *c);

#endif
