/* dns.h - name lookups off the loop, so that neither libcurl nor anyone else blocks it.
 *
 * One rf_dns a shell; each host name once, shared by its endpoints. Addresses are used for 60 s,
 * for up to 5 min more while a new lookup runs behind, and for any time where a new lookup
 * fails. Called by net/http.c and net/ws.c on the loop thread; touches libuv's worker pool. */
#ifndef RF_NET_DNS_H
#define RF_NET_DNS_H

#include <uv.h>

#include "base/heap.h"
#include "base/list.h"

#define RF_DNS_TTL_NS (60 * RF_SEC)
#define RF_DNS_STALE_NS (300 * RF_SEC) /* older ones are waited for, not refreshed behind */
#define RF_DNS_AGAIN_NS (1 * RF_SEC)   /* between background lookups of a name */
/* libuv lets half of its four workers do lookups: more at once would only queue there, and this
 * bounds what hung ones hold. */
#define RF_DNS_RUNNING 2
#define RF_DNS_ADDRESSES 8 /* of a name, at most */

/** What lookups are made with; tests put their own here. */
struct rf_dns_ops {
    /** As uv_getaddrinfo(); the callback frees the result with uv_freeaddrinfo(). */
    int (*lookup)(uv_loop_t *loop, uv_getaddrinfo_t *req, uv_getaddrinfo_cb cb, const char *node,
                  const char *service, const struct addrinfo *hints);
    /** As uv_cancel(). */
    int (*cancel)(uv_req_t *req);
    /** Monotonic ns. */
    uint64_t (*now)(void);
};

/** A host name. Private. */
struct rf_dns_name;

/** All names of a shell. Set up with rf_dns_init(). */
struct rf_dns {
    struct rf_dns_ops ops; /* may be replaced before the first lookup */
    uv_loop_t *loop;
    uv_timer_t timer;     /* of the earliest waiter */
    struct rf_heap waits; /* waiters by deadline */
    struct rf_link names;
    struct rf_link queue; /* names whose lookup waits for its turn */
    uint32_t running;     /* lookups in the pool */
    bool closing, timer_closed;
    void (*closed)(void *arg);
    void *closed_arg;
};

/** Somebody who waits for a name. Embedded; zero-initialise once. */
struct rf_dns_waiter {
    struct rf_link link;
    struct rf_heap_node node;
    /** Told once, on the loop, unless cancelled. @param status 0, UV_ETIMEDOUT, or a uv error. */
    void (*cb)(struct rf_dns_waiter *w, int status);
};

/** Set up; nothing of it is in the loop yet, so rf_dns_fini() alone undoes it. */
void rf_dns_init(struct rf_dns *d, uv_loop_t *loop);

/** Put the timer into the loop; from here on rf_dns_close() has to come before rf_dns_fini(). */
void rf_dns_open(struct rf_dns *d);

/**
 * A name to look up later; the same one for the same host.
 * @param host  NUL-terminated, no brackets, not an address.
 * @return borrowed until rf_dns_fini(); NULL: out of memory.
 */
struct rf_dns_name *rf_dns_name(struct rf_dns *d, const char *host);

/**
 * The addresses of a name, if they are known now. Stale ones start a lookup behind.
 * @param generation  out: changes whenever the text changes; never 0.
 * @return "ip,ip,[ip6]", borrowed until the loop turns; NULL: wait for it.
 */
const char *rf_dns_peek(struct rf_dns_name *name, uint32_t *generation);

/** As rf_dns_peek(), whatever the age: for use when a wait has ended well. */
const char *rf_dns_addresses(const struct rf_dns_name *name, uint32_t *generation);

/**
 * Wait for the addresses of a name; joins a lookup that is under way.
 * @param deadline_ns  on ops.now; then the waiter is told UV_ETIMEDOUT.
 * @return false when out of memory or closing: cb will not be called. Where the lookup cannot even
 *         begin, cb is called before this returns true.
 */
bool rf_dns_wait(struct rf_dns_name *name, struct rf_dns_waiter *w, uint64_t deadline_ns);

/** Stop waiting; cb will not be called. No effect on one that does not wait. */
void rf_dns_cancel(struct rf_dns_name *name, struct rf_dns_waiter *w);

/** The addresses did not answer: look the name up again soon, even if they are young. */
void rf_dns_suspect(struct rf_dns_name *name);

/** Close: nobody may wait any more. @param cb called once no lookup runs and the timer is
 * closed. */
void rf_dns_close(struct rf_dns *d, void (*cb)(void *arg), void *arg);

/** Free the names; only after the close callback. */
void rf_dns_fini(struct rf_dns *d);

#endif
