/* vtest.c - a virtual validator for tests. */
#include "vtest.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "json/scan.h"

static void keep(void *arg, uint64_t session, const char *text, size_t len, uint64_t at_ns)
{
    struct vtest *t = arg;
    if (t->n == t->cap) {
        t->cap = t->cap == 0 ? 64 : 2 * t->cap;
        t->frame = rf_realloc(t->frame, t->cap * sizeof *t->frame);
        assert_non_null(t->frame);
    }
    t->frame[t->n] = (struct vtest_frame){session, at_ns, rf_memdup(text, len), len};
    assert_non_null(t->frame[t->n++].text);
}

static void note_closed(void *arg, uint64_t session, int code, uint64_t at_ns)
{
    struct vtest *t = arg;
    (void)session;
    (void)at_ns;
    t->closed++;
    t->code = code;
}

void vtest_begin(struct vtest *t, const char *knobs, uint64_t seed)
{
    struct rf_validator_ops ops = {t, keep, note_closed};
    struct rf_validator_options o = {seed, knobs};
    struct rpcfan_error err = {0};
    memset(t, 0, sizeof *t);
    if (rf_validator_new(&o, &ops, 0, &t->v, &err) != RPCFAN_OK)
        fail_msg("%s", err.text);
}

void vtest_end(struct vtest *t)
{
    vtest_clear(t);
    rf_free(t->frame);
    rf_buf_fini(&t->answer);
    rf_validator_free(t->v);
}

void vtest_run(struct vtest *t, uint64_t ms)
{
    t->now_ns += ms * RF_MS;
    rf_validator_run(t->v, t->now_ns);
}

void vtest_clear(struct vtest *t)
{
    while (t->n > 0)
        rf_free(t->frame[--t->n].text);
}

const char *vtest_call(struct vtest *t, uint32_t node, const char *method, const char *params,
                       bool *error)
{
    struct rf_validator_answer a = {.json = &t->answer};
    rf_buf_reset(&t->answer, SIZE_MAX);
    rf_validator_call(t->v, node, (struct rpcfan_slice){method, strlen(method)},
                      (struct rpcfan_slice){params, strlen(params)}, t->now_ns, &a);
    if (error != NULL)
        *error = a.error;
    assert_int_equal(rf_json_check(t->answer.data, t->answer.len, 64, NULL), 0);
    rf_buf_char(&t->answer, '\0');
    return t->answer.data;
}

void vtest_send(struct vtest *t, const char *text)
{
    if (rf_list_empty(&t->v->sessions))
        rf_validator_open(t->v, 0, 1, t->now_ns);
    rf_validator_receive(t->v, 1, text, strlen(text), t->now_ns);
}

uint64_t vtest_subscribe(struct vtest *t, const char *method, const char *params)
{
    char text[2048];
    size_t at = t->n;
    snprintf(text, sizeof text, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"%s\",\"params\":%s}",
             method, params);
    vtest_send(t, text);
    assert_int_equal(t->n, at + 1);
    uint64_t id = vtest_number(t->frame[at].text, "\"result\":");
    if (id == UINT64_MAX)
        fail_msg("%s", t->frame[at].text);
    vtest_run(t, 0); /* the notifier hears of it */
    return id;
}

const char *vtest_find(const struct vtest *t, const char *part, size_t i)
{
    for (size_t k = 0; k < t->n; k++)
        if (strstr(t->frame[k].text, part) != NULL && i-- == 0)
            return t->frame[k].text;
    return NULL;
}

size_t vtest_count(const struct vtest *t, const char *part)
{
    size_t n = 0;
    while (vtest_find(t, part, n) != NULL)
        n++;
    return n;
}

uint64_t vtest_number(const char *text, const char *name)
{
    const char *at = text == NULL ? NULL : strstr(text, name);
    if (at == NULL || at[strlen(name)] < '0' || at[strlen(name)] > '9')
        return UINT64_MAX;
    return strtoull(at + strlen(name), NULL, 10);
}

struct rpcfan_slice vtest_account(const char *text)
{
    struct rpcfan_slice none = {NULL, 0};
    const char *from = strstr(text, "\"account\":{");
    from = from != NULL ? from + 10 : strstr(text, "\"value\":{");
    if (from == NULL)
        return none;
    from = strchr(from, '{');
    const char *end = strchr(from, '}');
    return end == NULL ? none : (struct rpcfan_slice){from, (size_t)(end - from) + 1};
}

const char *vtest_params(const char *key, const char *config)
{
    static char text[2048];
    snprintf(text, sizeof text, "[\"%s\",{%s}]", key, config);
    return text;
}

struct rf_bank *vtest_bank(struct vtest *t, uint64_t slot, uint64_t parent)
{
    struct rf_bank *bank = rf_banks_create(&t->v->banks, slot, parent);
    bank->frozen = true;
    return bank;
}

void vtest_write(struct vtest *t, struct rf_bank *bank, uint32_t key, uint64_t lamports,
                 uint16_t owner)
{
    struct rf_bank_state s = {.lamports = lamports,
                              .content = lamports == 0 ? 0 : rf_vmix(bank->slot, key),
                              .size = lamports == 0 ? 0 : 165,
                              .owner = owner};
    s.hash = rf_vaccount_hash(t->v, key, &s);
    rf_banks_write(&t->v->banks, bank, key, &s);
}

void vtest_reach(struct vtest *t, struct rf_bank *bank, enum rpcfan_commitment c)
{
    struct rf_vview *n = &t->v->node[0];
    if (c == RPCFAN_PROCESSED)
        n->tip = bank->slot;
    else if (c == RPCFAN_CONFIRMED)
        n->confirmed = bank->slot;
    else
        n->root = bank->slot;
    rf_vsubs_bank(t->v, n, bank, c);
}
