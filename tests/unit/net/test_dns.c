/* test_dns.c - the name cache, with lookups and a clock of the test's own. */
#include <arpa/inet.h>
#include <netdb.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "net/dns.h"

#define LOOKUPS 16

/* Lookups that were begun, in order; they end when the test says so. */
static struct {
    uv_getaddrinfo_t *req;
    uv_getaddrinfo_cb cb;
    char node[32];
} lookup[LOOKUPS];
static unsigned begun;
static int refuse; /* what the next lookups return at once */
static uint64_t clock_ns;

struct waiter {
    struct rf_dns_waiter w;
    int told, status;
};

static int look_up(uv_loop_t *loop, uv_getaddrinfo_t *req, uv_getaddrinfo_cb cb, const char *node,
                   const char *service, const struct addrinfo *hints)
{
    (void)loop;
    (void)service;
    (void)hints;
    if (refuse != 0)
        return refuse;
    assert_true(begun < LOOKUPS);
    lookup[begun].req = req;
    lookup[begun].cb = cb;
    strncpy(lookup[begun].node, node, sizeof lookup[begun].node - 1);
    begun++;
    return 0;
}

static int cancel(uv_req_t *req)
{
    (void)req;
    return UV_EBUSY;
}

static uint64_t now(void)
{
    return clock_ns;
}

/* End a lookup with an address, or with an error. */
static void end(unsigned i, const char *address, int status)
{
    struct addrinfo *ai = NULL;
    const struct addrinfo hints = {.ai_flags = AI_NUMERICHOST, .ai_socktype = SOCK_STREAM};
    if (address != NULL)
        assert_int_equal(getaddrinfo(address, NULL, &hints, &ai), 0);
    lookup[i].cb(lookup[i].req, status, ai);
}

static void note(struct rf_dns_waiter *w, int status)
{
    struct waiter *x = RF_CONTAINER(w, struct waiter, w);
    x->told++;
    x->status = status;
}

static uv_loop_t loop;
static struct rf_dns dns;
static bool closed;

static int open_dns(void **state)
{
    (void)state;
    begun = 0;
    refuse = 0;
    closed = false;
    clock_ns = 1000 * RF_SEC;
    uv_loop_init(&loop);
    rf_dns_init(&dns, &loop);
    dns.ops = (struct rf_dns_ops){look_up, cancel, now};
    rf_dns_open(&dns);
    return 0;
}

static void note_closed(void *arg)
{
    (void)arg;
    assert_false(closed);
    closed = true;
}

static int close_dns(void **state)
{
    (void)state;
    if (!dns.closing)
        rf_dns_close(&dns, note_closed, NULL);
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_true(closed);
    rf_dns_fini(&dns);
    assert_int_equal(uv_loop_close(&loop), 0);
    return 0;
}

static void wait_for(struct rf_dns_name *n, struct waiter *w, uint64_t ms)
{
    w->w.cb = note;
    assert_true(rf_dns_wait(n, &w->w, clock_ns + ms * RF_MS));
}

/* Let the timer fire at the test's time: the loop's own clock only has to get there. */
static void fire_timer(void)
{
    uv_timer_stop(&dns.timer);
    dns.timer.timer_cb(&dns.timer);
}

/* A name with addresses found now. */
static struct rf_dns_name *found(const char *host, const char *address)
{
    struct waiter w = {0};
    struct rf_dns_name *n = rf_dns_name(&dns, host);
    assert_non_null(n);
    wait_for(n, &w, 1000);
    end(begun - 1, address, 0);
    assert_int_equal(w.told, 1);
    assert_int_equal(w.status, 0);
    return n;
}

static void test_joined_lookup(void **state)
{
    (void)state;
    struct waiter w[3] = {0};
    struct rf_dns_name *n = rf_dns_name(&dns, "a.test");
    uint32_t generation;
    assert_ptr_equal(rf_dns_name(&dns, "A.TEST"), n);
    assert_null(rf_dns_peek(n, &generation));
    for (int i = 0; i < 3; i++)
        wait_for(n, &w[i], 1000);
    assert_int_equal(begun, 1);
    rf_dns_cancel(n, &w[1].w);
    rf_dns_cancel(n, &w[1].w);
    end(0, "::1", 0);
    assert_int_equal(w[0].told + w[2].told, 2);
    assert_int_equal(w[1].told, 0);
    assert_string_equal(rf_dns_peek(n, &generation), "[::1]");
    assert_int_equal(generation, 1);
}

static void test_fresh_then_stale_then_old(void **state)
{
    (void)state;
    struct rf_dns_name *n = found("a.test", "1.2.3.4");
    uint32_t generation;
    clock_ns += RF_DNS_TTL_NS;
    assert_string_equal(rf_dns_peek(n, &generation), "1.2.3.4");
    assert_int_equal(begun, 1);
    clock_ns += 1; /* stale: used, and looked up behind, once */
    assert_string_equal(rf_dns_peek(n, &generation), "1.2.3.4");
    assert_string_equal(rf_dns_peek(n, &generation), "1.2.3.4");
    assert_int_equal(begun, 2);
    end(1, "1.2.3.4", 0);
    assert_string_equal(rf_dns_peek(n, &generation), "1.2.3.4");
    assert_int_equal(generation, 1); /* the same text: nothing to hand to libcurl */
    clock_ns += RF_DNS_STALE_NS + 1;
    assert_null(rf_dns_peek(n, &generation));
}

static void test_generation_follows_change(void **state)
{
    (void)state;
    struct rf_dns_name *n = found("a.test", "1.2.3.4");
    uint32_t generation;
    clock_ns += RF_DNS_TTL_NS + 1;
    rf_dns_peek(n, &generation);
    end(1, "1.2.3.5", 0);
    assert_string_equal(rf_dns_peek(n, &generation), "1.2.3.5");
    assert_int_equal(generation, 2);
}

static void test_old_used_on_error(void **state)
{
    (void)state;
    struct waiter w = {0};
    struct rf_dns_name *n = found("a.test", "1.2.3.4");
    uint32_t generation;
    clock_ns += 3600 * RF_SEC;
    assert_null(rf_dns_peek(n, &generation));
    wait_for(n, &w, 1000);
    end(1, NULL, UV_EAI_AGAIN);
    assert_int_equal(w.status, 0);
    assert_string_equal(rf_dns_addresses(n, &generation), "1.2.3.4");
}

static void test_error_told(void **state)
{
    (void)state;
    struct waiter w = {0}, again = {0};
    struct rf_dns_name *n = rf_dns_name(&dns, "a.test");
    wait_for(n, &w, 1000);
    end(0, NULL, UV_EAI_NONAME);
    assert_int_equal(w.status, UV_EAI_NONAME);
    wait_for(n, &again, 1000); /* the next one tries anew */
    assert_int_equal(begun, 2);
    end(1, "1.2.3.4", 0);
    assert_int_equal(again.status, 0);
}

static void test_lookup_cannot_begin(void **state)
{
    (void)state;
    struct waiter w = {0};
    refuse = UV_ENOMEM;
    wait_for(rf_dns_name(&dns, "a.test"), &w, 1000);
    assert_int_equal(w.told, 1);
    assert_int_equal(w.status, UV_ENOMEM);
}

/* Each waiter has its own limit; a hung lookup keeps its place, and who comes later joins it. */
static void test_waiters_time_out(void **state)
{
    (void)state;
    struct waiter a = {0}, b = {0}, c = {0};
    struct rf_dns_name *n = rf_dns_name(&dns, "a.test");
    wait_for(n, &a, 100);
    wait_for(n, &b, 300);
    clock_ns += 99 * RF_MS;
    fire_timer();
    assert_int_equal(a.told, 0);
    clock_ns += 1 * RF_MS;
    fire_timer();
    assert_int_equal(a.told, 1);
    assert_int_equal(a.status, UV_ETIMEDOUT);
    assert_int_equal(b.told, 0);
    wait_for(n, &c, 1000);
    assert_int_equal(begun, 1);
    end(0, "1.2.3.4", 0);
    assert_int_equal(b.told + c.told, 2);
    assert_int_equal(a.told, 1);
}

/* Two lookups at most; a queued name that nobody waits for any more is not looked up. */
static void test_running_bounded(void **state)
{
    (void)state;
    static const char *const hosts[] = {"a.test", "b.test", "c.test", "d.test"};
    struct waiter w[4] = {0};
    for (unsigned i = 0; i < 4; i++)
        wait_for(rf_dns_name(&dns, hosts[i]), &w[i], i == 2 ? 10 : 1000);
    assert_int_equal(begun, RF_DNS_RUNNING);
    clock_ns += 10 * RF_MS;
    fire_timer();
    assert_int_equal(w[2].status, UV_ETIMEDOUT);
    end(0, "1.2.3.4", 0);
    assert_int_equal(begun, 3);
    assert_string_equal(lookup[2].node, "d.test");
    end(1, "1.2.3.4", 0);
    end(2, "1.2.3.4", 0);
    assert_int_equal(begun, 3);
    assert_int_equal(w[3].told, 1);
}

static void test_suspect_refreshes(void **state)
{
    (void)state;
    struct rf_dns_name *n = found("a.test", "1.2.3.4");
    uint32_t generation;
    rf_dns_suspect(n); /* looked up just now: nothing newer would be found */
    rf_dns_peek(n, &generation);
    assert_int_equal(begun, 1);
    clock_ns += RF_DNS_AGAIN_NS;
    rf_dns_suspect(n);
    assert_string_equal(rf_dns_peek(n, &generation), "1.2.3.4");
    assert_int_equal(begun, 2);
    end(1, "1.2.3.4", 0);
}

/* What runs at the close is waited for; what was queued never begins. */
static void test_close_while_running(void **state)
{
    (void)state;
    static const char *const hosts[] = {"a.test", "b.test", "c.test"};
    struct waiter w[3] = {0};
    for (unsigned i = 0; i < 3; i++) {
        wait_for(rf_dns_name(&dns, hosts[i]), &w[i], 1000);
        rf_dns_cancel(rf_dns_name(&dns, hosts[i]), &w[i].w);
    }
    rf_dns_close(&dns, note_closed, NULL);
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_false(closed);
    assert_false(rf_dns_wait(rf_dns_name(&dns, "a.test"), &w[0].w, RF_NEVER));
    end(0, NULL, UV_ECANCELED);
    assert_false(closed);
    end(1, "1.2.3.4", 0);
    assert_true(closed);
    assert_int_equal(begun, 2);
}

static void test_no_memory(void **state)
{
    (void)state;
    struct waiter w = {0};
    for (unsigned at = 1; at <= 2; at++) {
        rf_alloc_fail_at(at);
        assert_null(rf_dns_name(&dns, "a.test"));
    }
    rf_alloc_fail_at(0);
    struct rf_dns_name *n = rf_dns_name(&dns, "a.test");
    w.w.cb = note;
    rf_alloc_fail_at(1);
    assert_false(rf_dns_wait(n, &w.w, clock_ns + RF_SEC));
    wait_for(n, &w, 1000);
    rf_alloc_fail_at(1);
    end(0, "1.2.3.4", 0);
    rf_alloc_fail_at(0);
    assert_int_equal(w.status, UV_ENOMEM);
}

#define T(f) cmocka_unit_test_setup_teardown(f, open_dns, close_dns)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_joined_lookup),
        T(test_fresh_then_stale_then_old),
        T(test_generation_follows_change),
        T(test_old_used_on_error),
        T(test_error_told),
        T(test_lookup_cannot_begin),
        T(test_waiters_time_out),
        T(test_running_bounded),
        T(test_suspect_refreshes),
        T(test_close_while_running),
        T(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
