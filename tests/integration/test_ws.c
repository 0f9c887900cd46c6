/* test_ws.c - WebSocket connections: messages, closing, refusals, pings. The comment at a test says
 * which handling it fails without, where that is not plain. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "nettest.h"
#include "wsserver.h"
#include "wstest.h"

static void serve_echo(struct raw_conn *c, void *arg)
{
    (void)arg;
    char text[8192];
    if (!wss_accept(c))
        return;
    for (int head; (head = wss_read(c, text, sizeof text)) >= 0;) {
        if (head == WS_CLOSE) {
            wss_close(c, 1000, "");
            return;
        }
        wss_frame(c, (unsigned)head, text, strlen(text));
    }
}

static void test_echo_and_close(void **state)
{
    (void)state;
    struct wst t;
    struct raw_server *s = wst_serve(&t, serve_echo, NULL);
    wst_connect(&t, 1);
    wst_until_opened(&t, 1);
    wst_send(&t, 1, "one");
    wst_send(&t, 1, "two");
    wst_send(&t, 1, "three");
    wst_until(&t, &t.s[1].messages, 3);
    assert_string_equal(t.s[1].last, "three");
    wst_close(&t, 1);
    wst_send(&t, 1, "ignored");
    wst_until_closed(&t, 1);
    assert_string_equal(t.s[1].why, "closed");
    assert_int_equal(t.s[1].status, 0);
    assert_true(t.s[1].retry_after_ns == RF_NEVER);
    wst_fini(&t);
    raw_stop(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_echo_and_close),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
