/* canned.c - see canned.h. */
#include "canned.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

void serve_canned(struct raw_conn *c, void *arg)
{
    struct canned *k = arg;
    while (raw_read(c)) {
        snprintf(k->seen, sizeof k->seen, "%.*s", (int)sizeof k->seen - 1, c->request);
        if (k->end == RESET)
            raw_reset(c);
        for (size_t i = 0; k->bytewise && i < k->len; i++) {
            if (!raw_write(c, (const char *)k->data + i, 1))
                return;
        }
        if (!k->bytewise && !raw_write(c, k->data, k->len))
            return;
        if (k->end != STAY)
            return;
    }
}

struct raw_server *canned_start(struct net *n, struct canned *k)
{
    struct raw_server *s = raw_start(&(struct raw_options){.serve = serve_canned, .arg = k});
    assert_non_null(s);
    net_init(n);
    net_url(n, "http://127.0.0.1:%u/path/key?x=1", raw_port(s));
    return s;
}

struct rf_exchange *canned_ask(struct net *n, struct canned *k, struct raw_server **s)
{
    *s = canned_start(n, k);
    net_open(n);
    return net_ask(n, CALL);
}
