/* dns.c - uv_getaddrinfo() with a cache, joined lookups and a time limit of its own.
 *
 * Happy path: peek finds young addresses. Otherwise wait -> the lookup runs in the pool (two at
 * most) -> all who wait for the name are told.
 * Failure modes:
 *   lookup hangs          each waiter is told UV_ETIMEDOUT at its own deadline; the lookup keeps
 *                         its place in the pool until the system gives up, and later waiters
 *   join it lookup fails          old addresses are used if there are any, else the waiters get
 *   the error both places hang      further names queue; one that nobody waits for any more is
 *   not looked up closed while running  what has not begun is cancelled; what runs is waited
 *                         for, as libuv cannot let go of it */
#include "net/dns.h"

#include <string.h>
#include <strings.h>

#include "base/buf.h"
#include "base/mem.h"

enum lookup_state { REST, QUEUED, RUNNING };

struct rf_dns_name {
    struct rf_link link; /* rf_dns.names */
    struct rf_link turn; /* rf_dns.queue while QUEUED */
    struct rf_link waiters;
    struct rf_dns *dns;
    char *host;
    char *addresses; /* NULL: never found */
    uint32_t generation;
    enum lookup_state state;
    bool wanted;       /* a refresh without waiters */
    uint64_t found_ns; /* when `addresses` were last confirmed */
    uint64_t tried_ns; /* when the last lookup ended; 0: never */
    uv_getaddrinfo_t req;
};

static void start_queued(struct rf_dns *d);
static void expire_waiters(uv_timer_t *timer);

static void arm_timer(struct rf_dns *d)
{
    uint64_t next = rf_heap_next(&d->waits);
    if (next == RF_NEVER || d->closing) {
        uv_timer_stop(&d->timer);
        return;
    }
    /* The timer counts from the start of the loop's turn, and in whole ms: round up, so that it
     * never fires early and spins. */
    uint64_t left = rf_time_sub(next, d->ops.now());
    uv_update_time(d->loop);
    uv_timer_start(&d->timer, expire_waiters, left / RF_MS + 1, 0);
}

static void tell(struct rf_dns *d, struct rf_dns_waiter *w, int status)
{
    rf_list_remove(&w->link);
    rf_heap_remove(&d->waits, &w->node);
    w->cb(w, status);
}

static void expire_waiters(uv_timer_t *timer)
{
    struct rf_dns *d = timer->data;
    uint64_t now = d->ops.now();
    while (rf_heap_next(&d->waits) <= now) {
        struct rf_heap_node *node = rf_heap_top(&d->waits);
        tell(d, RF_CONTAINER(node, struct rf_dns_waiter, node), UV_ETIMEDOUT);
    }
    arm_timer(d);
}

static int add_address(struct rf_buf *text, const struct addrinfo *ai)
{
    char ip[INET6_ADDRSTRLEN + 1];
    int e;
    if (ai->ai_family == AF_INET)
        e = uv_ip4_name((const struct sockaddr_in *)(const void *)ai->ai_addr, ip, sizeof ip);
    else if (ai->ai_family == AF_INET6)
        e = uv_ip6_name((const struct sockaddr_in6 *)(const void *)ai->ai_addr, ip, sizeof ip);
    else
        e = UV_EAFNOSUPPORT;
    if (e == 0)
        rf_buf_printf(text, ai->ai_family == AF_INET6 ? "%s[%s]" : "%s%s", text->len > 0 ? "," : "",
                      ip);
    return e;
}

/* Take over what a lookup found. @return 0 or why there is nothing. */
static int store(struct rf_dns_name *n, const struct addrinfo *list)
{
    struct rf_buf text = {0};
    unsigned found = 0;
    for (const struct addrinfo *ai = list; ai != NULL && found < RF_DNS_ADDRESSES;
         ai = ai->ai_next) {
        if (add_address(&text, ai) == 0)
            found++;
    }
    rf_buf_char(&text, '\0');
    int e = text.failed ? UV_ENOMEM : found == 0 ? UV_EAI_NODATA : 0;
    if (e == 0) {
        n->found_ns = n->dns->ops.now();
        if (n->addresses == NULL || strcmp(n->addresses, text.data) != 0) {
            rf_free(n->addresses);
            n->addresses = text.data;
            text = (struct rf_buf){0};
            n->generation = n->generation == UINT32_MAX ? 1 : n->generation + 1;
        }
    }
    rf_buf_fini(&text);
    return e;
}

static void check_closed(struct rf_dns *d)
{
    if (!d->closing || !d->timer_closed || d->running > 0 || d->closed == NULL)
        return;
    void (*cb)(void *arg) = d->closed;
    d->closed = NULL;
    cb(d->closed_arg);
}

/* Tell all who wait for a name now; who comes to wait during that waits for the next lookup. */
static void tell_all(struct rf_dns_name *n, int status)
{
    struct rf_link told;
    rf_list_init(&told);
    rf_list_splice(&told, &n->waiters);
    while (!rf_list_empty(&told))
        tell(n->dns, RF_CONTAINER(told.next, struct rf_dns_waiter, link), status);
}

static void end_lookup(uv_getaddrinfo_t *req, int status, struct addrinfo *found)
{
    struct rf_dns_name *n = RF_CONTAINER(req, struct rf_dns_name, req);
    struct rf_dns *d = n->dns;
    d->running--;
    n->state = REST;
    n->tried_ns = d->ops.now();
    if (status == 0)
        status = store(n, found);
    uv_freeaddrinfo(found);
    if (!d->closing) {
        tell_all(n, n->addresses != NULL ? 0 : status);
        start_queued(d);
        arm_timer(d);
    }
    check_closed(d);
}

static void start_queued(struct rf_dns *d)
{
    static const struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    while (d->running < RF_DNS_RUNNING && !rf_list_empty(&d->queue)) {
        struct rf_dns_name *n = RF_CONTAINER(rf_list_shift(&d->queue), struct rf_dns_name, turn);
        n->state = REST;
        if (rf_list_empty(&n->waiters) && !n->wanted)
            continue;
        n->wanted = false;
        int e = d->ops.lookup(d->loop, &n->req, end_lookup, n->host, NULL, &hints);
        if (e != 0) {
            n->tried_ns = d->ops.now();
            tell_all(n, n->addresses != NULL ? 0 : e);
            continue;
        }
        n->state = RUNNING;
        d->running++;
    }
}

static void begin_lookup(struct rf_dns_name *n)
{
    if (n->state != REST || n->dns->closing)
        return;
    n->state = QUEUED;
    rf_list_push(&n->dns->queue, &n->turn);
}

void rf_dns_init(struct rf_dns *d, uv_loop_t *loop)
{
    *d = (struct rf_dns){.ops = {uv_getaddrinfo, uv_cancel, uv_hrtime}, .loop = loop};
    rf_list_init(&d->names);
    rf_list_init(&d->queue);
}

void rf_dns_open(struct rf_dns *d)
{
    uv_timer_init(d->loop, &d->timer); /* documented never to fail */
    d->timer.data = d;
}

struct rf_dns_name *rf_dns_name(struct rf_dns *d, const char *host)
{
    for (struct rf_link *l = d->names.next; l != &d->names; l = l->next) {
        struct rf_dns_name *n = RF_CONTAINER(l, struct rf_dns_name, link);
        if (strcasecmp(n->host, host) == 0)
            return n;
    }
    struct rf_dns_name *n = rf_alloc(sizeof *n);
    char *copy = rf_strdup(host);
    if (n == NULL || copy == NULL) {
        rf_free(copy);
        rf_free(n);
        return NULL;
    }
    n->dns = d;
    n->host = copy;
    rf_list_init(&n->waiters);
    rf_list_push(&d->names, &n->link);
    return n;
}

const char *rf_dns_addresses(const struct rf_dns_name *name, uint32_t *generation)
{
    *generation = name->generation;
    return name->addresses;
}

const char *rf_dns_peek(struct rf_dns_name *name, uint32_t *generation)
{
    *generation = name->generation;
    if (name->addresses == NULL)
        return NULL;
    uint64_t now = name->dns->ops.now();
    uint64_t age = rf_time_sub(now, name->found_ns);
    if (age <= RF_DNS_TTL_NS)
        return name->addresses;
    if (age > RF_DNS_STALE_NS)
        return NULL;
    if (name->state == REST && rf_time_sub(now, name->tried_ns) >= RF_DNS_AGAIN_NS) {
        name->wanted = true;
        begin_lookup(name);
        start_queued(name->dns);
    }
    return name->addresses;
}

bool rf_dns_wait(struct rf_dns_name *name, struct rf_dns_waiter *w, uint64_t deadline_ns)
{
    struct rf_dns *d = name->dns;
    if (d->closing || !rf_heap_push(&d->waits, &w->node, deadline_ns))
        return false;
    rf_list_push(&name->waiters, &w->link);
    begin_lookup(name);
    arm_timer(d);
    start_queued(d);
    return true;
}

void rf_dns_cancel(struct rf_dns_name *name, struct rf_dns_waiter *w)
{
    struct rf_dns *d = name->dns;
    if (w->link.next == NULL)
        return;
    rf_list_remove(&w->link);
    rf_heap_remove(&d->waits, &w->node);
    arm_timer(d);
}

void rf_dns_suspect(struct rf_dns_name *name)
{
    uint64_t now = name->dns->ops.now();
    uint64_t aged = rf_time_sub(now, RF_DNS_TTL_NS + 1);
    if (name->addresses != NULL && rf_time_sub(now, name->tried_ns) >= RF_DNS_AGAIN_NS)
        name->found_ns = rf_min_u64(name->found_ns, aged);
}

static void note_timer_closed(uv_handle_t *handle)
{
    struct rf_dns *d = handle->data;
    d->timer_closed = true;
    check_closed(d);
}

void rf_dns_close(struct rf_dns *d, void (*cb)(void *arg), void *arg)
{
    d->closing = true;
    d->closed = cb;
    d->closed_arg = arg;
    for (struct rf_link *l = d->names.next; l != &d->names; l = l->next) {
        struct rf_dns_name *n = RF_CONTAINER(l, struct rf_dns_name, link);
        if (n->state == RUNNING)
            d->ops.cancel((uv_req_t *)&n->req); /* where it has begun it is waited for */
    }
    uv_close((uv_handle_t *)&d->timer, note_timer_closed);
}

void rf_dns_fini(struct rf_dns *d)
{
    for (struct rf_link *l; (l = rf_list_shift(&d->names)) != NULL;) {
        struct rf_dns_name *n = RF_CONTAINER(l, struct rf_dns_name, link);
        rf_free(n->addresses);
        rf_free(n->host);
        rf_free(n);
    }
    rf_heap_fini(&d->waits);
}
