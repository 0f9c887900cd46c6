/* rawserver.h - a small server that misbehaves on purpose: each connection is given to a
 * function of the test's, on a thread of its own, as a raw byte stream. Used by
 * tests/integration only. */
#ifndef RF_TESTS_RAWSERVER_H
#define RF_TESTS_RAWSERVER_H

#include <openssl/ssl.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

#define RAW_REQUEST_MAX (2 * 1024 * 1024)

struct raw_server;

/** A connection. `request` holds the last one read, NUL-terminated, headers and body. */
struct raw_conn {
    struct raw_server *server;
    int fd;
    unsigned number; /* 1 is the server's first connection */
    SSL *ssl;        /* NULL: plain */
    char *request;
    size_t request_len;
    const char *body; /* in request */
};

/** Serves a connection; when it returns the connection is closed. Thread: the connection's own. */
typedef void (*raw_serve_fn)(struct raw_conn *c, void *arg);

/** How to serve. Zero is: 127.0.0.1, any port, no TLS. */
struct raw_options {
    raw_serve_fn serve;
    void *arg;
    const char *unix_path; /* listen here instead */
    bool ipv6;             /* listen on ::1 */
    SSL_CTX *tls;          /* owned by the caller */
};

/** Start. @return owned: raw_stop(); NULL where it could not listen. */
struct raw_server *raw_start(const struct raw_options *o);
/** Break all connections, wait for their threads, free. */
void raw_stop(struct raw_server *s);
/** Refuse connections from now on. Thread: any. */
void raw_refuse(struct raw_server *s);
/** The port. */
unsigned raw_port(const struct raw_server *s);
/** Connections accepted so far. */
unsigned raw_connections(struct raw_server *s);
/** Wait until that many connections have been served and closed. */
void raw_wait_closed(struct raw_server *s, unsigned n);
/** Requests read so far by raw_read(). */
unsigned raw_requests(struct raw_server *s);

/** Read one request with its body. @return false at the connection's end. */
bool raw_read(struct raw_conn *c);
/** Write bytes. @return false where the connection is gone. */
bool raw_write(struct raw_conn *c, const void *data, size_t n);
/** Write a string. */
bool raw_text(struct raw_conn *c, const char *text);
/** Write a 200 response with Content-Length and this body. */
bool raw_reply(struct raw_conn *c, const char *body);
/** Make the close that follows a reset. */
void raw_reset(struct raw_conn *c);
/** Wait until the peer closes, or the server is stopped. */
void raw_hold(struct raw_conn *c);
/** Whether the last request has this header with this value. */
bool raw_has_header(const struct raw_conn *c, const char *name, const char *value);

#endif
