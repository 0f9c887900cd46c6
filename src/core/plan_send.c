/* plan_send.c - raw sends that a node refuses because it has them already.
 *
 * "Already known" is success: the transaction's hash is the answer, as the first acceptance would
 * have given it. "Nonce too low" may be the same thing after the transaction was mined: it is
 * looked up by hash, at the node that said so, for it has seen the block; found is success, not
 * found is the node's own error. */
#include "base/mem.h"
#include "core/plan.h"
#include "core/queue.h"
#include "core/txhash.h"
#include "json/rpc.h"

#define LOOKUP_NS (3 * RF_SEC)

/* The JSON string that accepting the transaction would have given. */
static bool identity(const struct rf_core *core, const struct rf_call *c, struct rf_buf *b)
{
    char text[RF_TX_SIGNATURE_LEN];
    struct rpcfan_slice params = rf_call_params(c);
    bool ok = core->net[c->network].family == RPCFAN_SOLANA ? rf_tx_signature(params, text)
                                                            : rf_tx_hash(params, text);
    if (ok)
        rf_buf_printf(b, "\"%s\"", text);
    return ok && !b->failed;
}

bool rf_send_known(struct rf_core *core, struct rf_call *c, uint64_t now_ns)
{
    struct rf_buf b = {0};
    bool ok = c->send && identity(core, c, &b);
    if (ok)
        rf_plan_answer_json(core, c, RPCFAN_OK, (struct rpcfan_slice){b.data, b.len}, false,
                            now_ns);
    rf_buf_fini(&b);
    return ok;
}

bool rf_send_lookup(struct rf_core *core, struct rf_call *c, struct rf_blob *blob,
                    struct rpcfan_slice error, uint64_t now_ns)
{
    struct rf_buf b = {0}, tail = {0};
    bool ok = c->send && core->net[c->network].family != RPCFAN_SOLANA && identity(core, c, &b);
    if (ok) {
        rf_buf_printf(&tail, "\"method\":\"eth_getTransactionByHash\",\"params\":[%.*s]}",
                      (int)b.len, b.data);
        ok = !tail.failed;
    }
    uint64_t only = c->ex != NULL ? UINT64_C(1) << c->ex->index : 0;
    struct rf_plan *p = ok ? rf_plan_new(core, RF_PLAN_LOOKUP, c->network, c) : NULL;
    if (p != NULL) {
        /* Kept for the case that it is not there. */
        rf_blob_ref(blob, 1);
        rf_blob_unref(c->blob);
        c->blob = blob;
        c->json = error.data;
        c->json_len = error.len;
        uint64_t until_ns = rf_min_u64(c->deadline_ns, rf_time_add(now_ns, LOOKUP_NS));
        if (rf_plan_add(core, p, (struct rpcfan_slice){tail.data, tail.len}, only, until_ns) ==
            NULL)
            rf_call_finish(core, c, RPCFAN_ERPC, now_ns);
    }
    rf_buf_fini(&b);
    rf_buf_fini(&tail);
    return p != NULL;
}

void rf_send_heard(struct rf_core *core, struct rf_plan *p, struct rf_leg *leg, uint64_t now_ns)
{
    const struct rf_call *found = &leg->call;
    struct rf_call *c = p->parent;
    bool there = found->err == RPCFAN_OK && found->json_len > 0 && found->json[0] == '{';
    if (found->err == RPCFAN_ECANCELED)
        rf_call_finish(core, c, RPCFAN_ECANCELED, now_ns);
    else if (!there || !rf_send_known(core, c, now_ns))
        rf_call_finish(core, c, RPCFAN_ERPC, now_ns);
}
