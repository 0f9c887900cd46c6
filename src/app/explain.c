/* explain.c - takes an answer apart as core/settle does, and judges each part. */
#include "app/explain.h"

#include <string.h>

#include "json/split.h"

#define MEMBERS_MAX 65536

static struct rpcfan_slice part_of(const struct rf_explain *e, uint64_t at, uint64_t len)
{
    if (len == 0)
        return (struct rpcfan_slice){NULL, 0};
    return (struct rpcfan_slice){e->body.data + at, (size_t)len};
}

static struct rf_answer answer_of(const struct rf_explain *e, uint32_t batch)
{
    return (struct rf_answer){.family = e->family,
                              .method = e->method,
                              .params = e->params,
                              .transport = RF_T_OK,
                              .status = e->status,
                              .batch = batch > 1,
                              .retry_after_ns = e->retry_after_ns};
}

static bool is_error(const struct rf_explain *e, const struct rf_member *m)
{
    struct rpcfan_slice error = part_of(e, m->error_at, m->error_len);
    bool null = error.data != NULL && error.len == 4 && memcmp(error.data, "null", 4) == 0;
    return error.len > 0 && !null && !m->twice;
}

/* One response object. `whole`: it stands for all calls of a batch. */
static struct rf_explained explain_member(const struct rf_explain *e, const struct rf_member *m,
                                          uint32_t batch, bool whole)
{
    struct rf_explained x = {.member = !whole};
    struct rf_answer a = answer_of(e, batch);
    if (is_error(e, m)) {
        x.error = a.error = part_of(e, m->error_at, m->error_len);
        if (batch > 1 && (whole || m->id_kind <= RF_ID_NULL))
            a.body = a.error;
        x.verdict = rf_classify(e->rules, &a);
    } else if (m->result_len > 0 && !m->twice) {
        x.result = true;
    } else if (whole) {
        a.body = e->body;
        x.verdict = rf_classify(e->rules, &a);
    } else {
        x.verdict = (struct rf_verdict){.class = RF_CLASS_MALFORMED,
                                        .rule = "member",
                                        .hint_ns = RF_NEVER,
                                        .again_ns = RF_NEVER};
    }
    return x;
}

enum rpcfan_err rf_explain_each(const struct rf_explain *e, rf_explain_fn *fn, void *arg)
{
    struct rf_split sp = {0};
    rf_split_init(&sp, MEMBERS_MAX);
    const char *body = e->body.data != NULL ? e->body.data : "";
    rf_split_feed(&sp, body, e->body.len);
    rf_split_finish(&sp, body);
    enum rpcfan_err rc = sp.no_memory ? RPCFAN_ENOMEM : RPCFAN_OK;
    uint32_t batch = e->batch;
    if (batch == 0)
        batch = sp.shape == RF_SHAPE_ARRAY && sp.n > 0 ? sp.n : 1;
    if (rc == RPCFAN_OK && sp.shape == RF_SHAPE_OBJECT && sp.n == 1) {
        struct rf_explained x = explain_member(e, &sp.member[0], batch, true);
        /* An object for a batch answers nobody. */
        if (x.result && batch > 1)
            x = (struct rf_explained){.verdict = {.class = RF_CLASS_MALFORMED,
                                                  .rule = "member",
                                                  .hint_ns = RF_NEVER,
                                                  .again_ns = RF_NEVER}};
        fn(arg, 0, &x);
    } else if (rc == RPCFAN_OK && sp.shape == RF_SHAPE_ARRAY && sp.n > 0) {
        for (uint32_t i = 0; i < sp.n; i++) {
            struct rf_explained x = explain_member(e, &sp.member[i], batch, false);
            fn(arg, i, &x);
        }
    } else if (rc == RPCFAN_OK) {
        struct rf_answer a = answer_of(e, batch);
        a.body = e->body;
        struct rf_explained x = {.verdict = rf_classify(e->rules, &a)};
        fn(arg, 0, &x);
    }
    rf_split_fini(&sp);
    return rc;
}
