/* feed_case.h - a feed driven by hand: what it asks for is kept, a small chain of accounts answers
 * it, notes are made here, and time stands still until a test moves it. Included by
 * test_feed_*.c alone. */
#ifndef FEED_CASE_H
#define FEED_CASE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "feed/feed.h"
#include "feed/feed_int.h"
#include "json/scan.h"

#define CASE_KEYS 64
#define CASE_CALLS 512

struct case_call {
    uint64_t token;
    char method[32];
    char *params;
    bool stream, open, canceled, paused;
    uint64_t timeout_ns;
};

struct feed_case {
    struct rf_feed *f;
    uint64_t now;
    struct case_call call[CASE_CALLS];
    uint32_t n_calls;
    uint64_t subs, distrusted;
    uint32_t n_unsubscribed;
    uint64_t lamports[CASE_KEYS]; /* the chain: 0 is not there */
    uint8_t owner[CASE_KEYS];     /* by its first byte; 0: the program */
    uint64_t slot;                /* of answers */
    struct rpcfan_account_event ev[256];
    size_t n_events;
    struct rpcfan_feed_mark mark;
};

__attribute__((unused)) static const char *case_key(unsigned k)
{
    static char text[4][48];
    static unsigned at;
    uint8_t key[32];
    memset(key, (int)k + 1, sizeof key);
    at = (at + 1) % 4;
    rpcfan_key_text(key, text[at]);
    return text[at];
}

#define CASE_PROGRAM 200

__attribute__((unused)) static uint64_t case_subscribe(void *arg, const char *method,
                                                       struct rpcfan_slice params, uint64_t tag)
{
    struct feed_case *c = arg;
    assert_true(strcmp(method, "accountSubscribe") == 0 || strcmp(method, "programSubscribe") == 0);
    assert_true(params.len > 2 && params.data[0] == '[');
    (void)tag;
    return ++c->subs;
}

__attribute__((unused)) static void case_unsubscribe(void *arg, uint64_t sub)
{
    (void)sub;
    ((struct feed_case *)arg)->n_unsubscribed++;
}

__attribute__((unused)) static void case_distrust(void *arg, uint64_t session, const char *why)
{
    assert_non_null(why);
    ((struct feed_case *)arg)->distrusted = session;
}

__attribute__((unused)) static void case_call(void *arg, const struct rf_feed_call *call)
{
    struct feed_case *c = arg;
    assert_true(c->n_calls < CASE_CALLS);
    struct case_call *k = &c->call[c->n_calls++];
    *k = (struct case_call){
        .token = call->token, .stream = call->stream, .open = true, .timeout_ns = call->timeout_ns};
    snprintf(k->method, sizeof k->method, "%s", call->method);
    k->params = malloc(call->params.len + 1);
    memcpy(k->params, call->params.data, call->params.len);
    k->params[call->params.len] = '\0';
    assert_int_equal(rf_json_check(call->params.data, call->params.len, 64, NULL), 0);
}

__attribute__((unused)) static struct case_call *case_of(struct feed_case *c, uint64_t token)
{
    for (uint32_t i = 0; i < c->n_calls; i++) {
        if (c->call[i].token == token)
            return &c->call[i];
    }
    return NULL;
}

__attribute__((unused)) static void case_cancel(void *arg, uint64_t token)
{
    case_of(arg, token)->canceled = true;
}

__attribute__((unused)) static void case_pause(void *arg, uint64_t token, bool pause)
{
    case_of(arg, token)->paused = pause;
}

__attribute__((unused)) static void case_options(struct rpcfan_feed_options *o,
                                                 const char **accounts, unsigned n)
{
    static char text[CASE_KEYS][48];
    rpcfan_feed_options_init(o);
    for (unsigned i = 0; i < n; i++) {
        snprintf(text[i], sizeof text[i], "%s", case_key(i));
        accounts[i] = text[i];
    }
    if (n > 0)
        o->accounts = accounts;
    else
        o->program = strcpy(text[0], case_key(CASE_PROGRAM));
    o->n_accounts = n;
    o->audit_ms = 0;
    o->sweep_ms = 0;
}

__attribute__((unused)) static enum rpcfan_err case_make(struct feed_case *c,
                                                         const struct rpcfan_feed_options *o)
{
    struct rf_feed_ops ops = {.arg = c,
                              .subscribe = case_subscribe,
                              .unsubscribe = case_unsubscribe,
                              .distrust = case_distrust,
                              .call = case_call,
                              .cancel = case_cancel,
                              .pause = case_pause};
    struct rpcfan_error err = {0};
    memset(c, 0, sizeof *c);
    c->now = 1000 * RF_SEC;
    return rf_feed_new(o, &ops, 1, NULL, &c->f, &err);
}

__attribute__((unused)) static void case_step(struct feed_case *c)
{
    rf_feed_step(c->f, c->now);
    for (unsigned i = 0; rf_feed_deadline(c->f) <= c->now; i++) {
        assert_true(i < 1000); /* it must come to rest */
        rf_feed_step(c->f, c->now);
    }
}

__attribute__((unused)) static void case_start(struct feed_case *c)
{
    rf_feed_start(c->f, c->now);
    case_step(c);
}

__attribute__((unused)) static void case_free(struct feed_case *c)
{
    rf_feed_release(c->ev, c->n_events);
    rf_feed_free(c->f);
    for (uint32_t i = 0; i < c->n_calls; i++)
        free(c->call[i].params);
}

__attribute__((unused)) static void case_note(struct feed_case *c, struct rf_note n)
{
    rf_feed_note(c->f, &n, c->now);
    case_step(c);
}

__attribute__((unused)) static void case_up(struct feed_case *c, uint64_t session, uint64_t tag)
{
    case_note(c, (struct rf_note){.kind = RF_NOTE_UP, .session = session, .tag = tag, .sub = tag});
}

__attribute__((unused)) static void case_down(struct feed_case *c, uint64_t session, uint64_t tag)
{
    case_note(
        c, (struct rf_note){.kind = RF_NOTE_DOWN, .session = session, .tag = tag, .why = "test"});
}

__attribute__((unused)) static void case_session_down(struct feed_case *c, uint64_t session)
{
    case_note(c, (struct rf_note){.kind = RF_NOTE_SESSION_DOWN, .session = session, .why = "test"});
}

/* A slot note; its root is 32 before it. */
__attribute__((unused)) static void case_slot(struct feed_case *c, uint64_t session, uint64_t slot)
{
    case_note(c, (struct rf_note){.kind = RF_NOTE_SLOT,
                                  .session = session,
                                  .slot = slot,
                                  .parent = slot - 1,
                                  .root = slot > 32 ? slot - 32 : 0});
}

__attribute__((unused)) static void case_wait(struct feed_case *c, uint64_t ns)
{
    uint64_t until = c->now + ns;
    for (unsigned i = 0; i < 100000; i++) {
        uint64_t due = rf_feed_deadline(c->f);
        if (due > until)
            break;
        c->now = due > c->now ? due : c->now;
        rf_feed_step(c->f, c->now);
    }
    c->now = until;
    case_step(c);
}

__attribute__((unused)) static int case_account(char *out, size_t size, uint64_t lamports,
                                                unsigned owner)
{
    return snprintf(out, size,
                    "{\"lamports\":%llu,\"data\":[\"AAEC\",\"base64\"],\"owner\":\"%s\","
                    "\"executable\":false,\"rentEpoch\":18446744073709551615,\"space\":3}",
                    (unsigned long long)lamports, case_key(owner != 0 ? owner : CASE_PROGRAM));
}

/* A notification of any text. */
__attribute__((unused)) static void case_told(struct feed_case *c, uint64_t session, uint64_t tag,
                                              const char *json)
{
    size_t len = strlen(json);
    struct rf_blob *blob = rf_blob_new(len);
    bool kept = blob != NULL && rf_blob_add(blob, json, len); /* without one it is copied */
    case_note(c, (struct rf_note){.kind = RF_NOTE_DATA,
                                  .session = session,
                                  .tag = tag,
                                  .json = {kept ? blob->data : json, len},
                                  .blob = kept ? blob : NULL});
    rf_blob_unref(blob);
}

/* Account k (tag k + 1), or of the program. */
__attribute__((unused)) static void case_tell(struct feed_case *c, uint64_t session, unsigned k,
                                              uint64_t slot, uint64_t lamports)
{
    char account[512], text[1024];
    case_account(account, sizeof account, lamports, lamports == 0 ? 255 : 0);
    if (c->f->program)
        snprintf(text, sizeof text,
                 "{\"context\":{\"slot\":%llu},\"value\":{\"pubkey\":\"%s\",\"account\":%s}}",
                 (unsigned long long)slot, case_key(k), account);
    else
        snprintf(text, sizeof text, "{\"context\":{\"slot\":%llu},\"value\":%s}",
                 (unsigned long long)slot, account);
    case_told(c, session, c->f->program ? 1 : k + 1, text);
}

__attribute__((unused)) static struct case_call *case_open(struct feed_case *c, const char *method)
{
    for (uint32_t i = 0; i < c->n_calls; i++) {
        if (c->call[i].open && !c->call[i].canceled &&
            (method == NULL || strcmp(c->call[i].method, method) == 0))
            return &c->call[i];
    }
    return NULL;
}

__attribute__((unused)) static uint32_t case_count(struct feed_case *c, const char *method)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < c->n_calls; i++)
        n += strcmp(c->call[i].method, method) == 0;
    return n;
}

__attribute__((unused)) static uint64_t case_floor(const struct case_call *k)
{
    const char *at = strstr(k->params, "\"minContextSlot\":");
    return at == NULL ? 0 : strtoull(at + 17, NULL, 10);
}

__attribute__((unused)) static void case_reply(struct feed_case *c, struct case_call *k,
                                               struct rf_feed_answer a)
{
    uint64_t token = k->token;
    a.endpoint = "node";
    k->open = false;
    rf_feed_answer(c->f, token, &a, c->now);
    case_step(c);
}

__attribute__((unused)) static void case_ok(struct feed_case *c, struct case_call *k,
                                            const char *json)
{
    case_reply(c, k, (struct rf_feed_answer){.json = {json, strlen(json)}});
}

__attribute__((unused)) static void case_error(struct feed_case *c, struct case_call *k,
                                               const char *json)
{
    case_reply(c, k, (struct rf_feed_answer){.err = RPCFAN_ERPC, .json = {json, strlen(json)}});
}

/* Answer a getMultipleAccounts out of the chain at `slot`. */
__attribute__((unused)) static void case_answer(struct feed_case *c, struct case_call *k,
                                                uint64_t slot)
{
    size_t size = 65536, len;
    char *text = malloc(size);
    len = (size_t)snprintf(text, size,
                           "{\"context\":{\"apiVersion\":\"2.0\",\"slot\":%llu},"
                           "\"value\":[",
                           (unsigned long long)slot);
    const char *end = strchr(k->params, ']'), *at = k->params + 2;
    for (bool first = true; at < end; first = false) {
        uint8_t key[32];
        const char *close = strchr(at + 1, '"');
        assert_int_equal(rpcfan_key_read(at + 1, (size_t)(close - at - 1), key), 0);
        unsigned n = key[0] - 1u;
        if (!first)
            text[len++] = ',';
        if (c->lamports[n] == 0)
            len += (size_t)snprintf(text + len, size - len, "null");
        else
            len += (size_t)case_account(text + len, size - len, c->lamports[n], c->owner[n]);
        at = close + (close[1] == ',' ? 2 : 1);
    }
    len += (size_t)snprintf(text + len, size - len, "]}");
    case_ok(c, k, text);
    free(text);
}

/* Answer whatever is open, until nothing is: reads of accounts at `c->slot`. */
__attribute__((unused)) static void case_answer_all(struct feed_case *c)
{
    struct case_call *k;
    for (unsigned i = 0; i < 100 && (k = case_open(c, "getMultipleAccounts")) != NULL; i++)
        case_answer(c, k, c->slot);
}

/* A row of the walk under way. */
__attribute__((unused)) static void case_row(struct feed_case *c, struct case_call *k, unsigned key,
                                             uint64_t slot)
{
    char account[512], text[1024];
    case_account(account, sizeof account, c->lamports[key], 0);
    int n =
        snprintf(text, sizeof text, "{\"pubkey\":\"%s\",\"account\":%s}", case_key(key), account);
    struct rf_feed_row row = {.json = {text, (size_t)n}, .context_slot = slot};
    rf_feed_row(c->f, k->token, &row, c->now);
}

/* All rows that there are, and the end. */
__attribute__((unused)) static void case_walk(struct feed_case *c, struct case_call *k,
                                              uint64_t slot)
{
    for (unsigned i = 0; i < CASE_KEYS; i++) {
        if (c->lamports[i] != 0 && c->owner[i] == 0)
            case_row(c, k, i, slot);
    }
    case_reply(c, k, (struct rf_feed_answer){.context_slot = slot});
}

/* Take everything. */
__attribute__((unused)) static size_t case_take(struct feed_case *c)
{
    rf_feed_release(c->ev, c->n_events);
    c->n_events = rf_feed_take(c->f, c->ev, RF_COUNT(c->ev), &c->mark);
    case_step(c);
    return c->n_events;
}

/* Whether event i is of this kind, key and slot. */
__attribute__((unused)) static void case_event(struct feed_case *c, size_t i,
                                               enum rpcfan_account_kind kind, unsigned key,
                                               uint64_t slot)
{
    assert_true(i < c->n_events);
    assert_int_equal(c->ev[i].kind, kind);
    assert_int_equal(c->ev[i].key[0], key + 1);
    assert_int_equal(c->ev[i].slot, slot);
}

/* Session 1 carries all; the first snapshot is whole at slot 105 and taken. */
__attribute__((unused)) static void case_live(struct feed_case *c)
{
    case_start(c);
    case_note(c, (struct rf_note){.kind = RF_NOTE_SESSION_UP, .session = 1});
    for (uint32_t i = 1; i <= c->f->n_units; i++)
        case_up(c, 1, i);
    case_slot(c, 1, 100);
    case_wait(c, RF_SEC);
    case_slot(c, 1, 103);
    c->slot = 105;
    if (c->f->program)
        case_walk(c, case_open(c, "getProgramAccounts"), 105);
    case_answer_all(c);
    case_take(c);
    assert_true(c->mark.complete);
}

#endif
