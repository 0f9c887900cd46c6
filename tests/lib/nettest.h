/* nettest.h - an HTTP shell on a loop of its own, for tests that drive it exchange by exchange. */
#ifndef RF_TESTS_NETTEST_H
#define RF_TESTS_NETTEST_H

#include "net/http_int.h"
#include "rawserver.h"

#define NET_EXCHANGES 64

/** A shell with one endpoint. `o` may be changed between net_init() and net_open(). */
struct net {
    uv_loop_t loop;
    struct rpcfan_endpoint_options o;
    const struct rpcfan_endpoint_options *endpoints[1];
    struct rf_http *http;
    struct rf_exchange ex[NET_EXCHANGES];
    uint32_t n_ex;
    uint32_t done;                                          /* exchanges handed back */
    void (*on_done)(struct net *n, struct rf_exchange *ex); /* or NULL */
    /* of streamed exchanges; or NULL: no element stops the answer */
    bool (*on_element)(struct net *n, struct rf_exchange *ex, const struct rpcfan_element *e);
    bool inside; /* in rf_http_send() or rf_http_abort(): done() is forbidden */
    bool closed;
    unsigned fds, handles;        /* open before net_open() */
    uint64_t beat_ns, longest_ns; /* of the heartbeat: the longest time the loop was not turning */
    char url[256];
};

/** A loop, and an endpoint with test defaults; notes the descriptors that are open. */
void net_init(struct net *n);
/** Set the URL by a printf format. */
void net_url(struct net *n, const char *fmt, ...) RF_PRINTF(2, 3);
/** Make the shell; fails the test where that fails. */
void net_open(struct net *n);
/** A new exchange with this body. */
struct rf_exchange *net_exchange(struct net *n, const char *body);
/** Send it, and let libcurl begin. */
void net_send(struct net *n, struct rf_exchange *ex);
/** Abort it. */
void net_abort(struct net *n, struct rf_exchange *ex);
/** Turn the loop until that many exchanges were handed back; fails the test after 20 s. */
void net_wait(struct net *n, uint32_t done);
/** Send one body and wait for its reply. */
struct rf_exchange *net_ask(struct net *n, const char *body);
/** Measure the longest time without a turn of the loop during net_wait() from now on. */
void net_beat(struct net *n);
/** Close the shell, check that nothing is left of it (handles, descriptors), and free. */
void net_close(struct net *n);

/** Open file descriptors of the process. */
unsigned net_count_fds(void);
/** Handles of a loop that are not closed. */
unsigned net_count_handles(uv_loop_t *loop);
/** A TCP port of 127.0.0.1 that refuses: bound, not listening. @param fd out: close it at the
 * end. */
unsigned net_refused_port(int *fd);
/** Start a raw server, and a shell that has it as its only endpoint. @return the server: raw_stop()
 * it after net_close(). */
struct raw_server *net_serve(struct net *n, raw_serve_fn fn, void *arg);
/** Assert how an exchange ended. @param reason NULL: none was given. */
void net_assert_reply(const struct rf_exchange *ex, enum rf_transport transport,
                      const char *reason);
/** Whether the reply's body is this. */
bool net_body_is(const struct rf_exchange *ex, const char *body);

#endif
