/* node_ws_evm.c - what eth_subscribe tells: heads, logs, pending transactions, and reorganisations.
 * Called by node_ws_subs.c for each subscriber and head.
 *
 * When the head comes to a height at which blocks are replaced, their logs are taken back from the
 * newest to the oldest, and then the new blocks are told in ascending order, up to the head. */
#include "sim/node_evm.h"
#include "sim/node_ws.h"

static void tell_logs(struct rf_node *node, struct rf_node_sub *s,
                      const struct rf_node_chain *chain, uint64_t n, bool removed, uint64_t now_ns)
{
    struct rf_node_evm_filter filter = {rf_node_field(s->filter, "address"),
                                        rf_node_field(s->filter, "topics")};
    unsigned count = rf_node_evm_log_count(chain, n, rf_node_evm_version(chain, n));
    for (unsigned i = 0; i < count; i++) {
        struct rf_buf *out = rf_node_note(node, "eth_subscription");
        if (rf_node_evm_log(chain, &filter, n, removed ? count - 1 - i : i, removed, out))
            rf_node_note_send(node, s->ws, s, now_ns);
    }
}

/* Those of the coming block. */
static void tell_pending(struct rf_node *node, struct rf_node_sub *s,
                         const struct rf_node_chain *chain, uint64_t now_ns)
{
    uint64_t n = chain->head + 1;
    for (unsigned i = 0; i < rf_node_evm_transactions(chain, n, 0); i++) {
        rf_node_evm_transaction_hash(chain, n, 0, i, rf_node_note(node, "eth_subscription"));
        rf_node_note_send(node, s->ws, s, now_ns);
    }
}

void rf_node_evm_announce(struct rf_node *node, struct rf_node_sub *s,
                          const struct rf_node_chain *chain, uint64_t now_ns)
{
    uint64_t from = chain->head - rf_node_evm_replaced(chain, chain->head);
    struct rf_node_chain old = *chain;
    old.head--;
    switch (s->kind) {
    case RF_SUB_HEADS:
        for (uint64_t n = from; n <= chain->head; n++) {
            rf_node_evm_block(chain, n, rf_node_evm_version(chain, n), false,
                              rf_node_note(node, "eth_subscription"));
            rf_node_note_send(node, s->ws, s, now_ns);
        }
        break;
    case RF_SUB_LOGS:
        for (uint64_t n = chain->head; n > from; n--)
            tell_logs(node, s, &old, n - 1, true, now_ns);
        for (uint64_t n = from; n <= chain->head; n++)
            tell_logs(node, s, chain, n, false, now_ns);
        break;
    case RF_SUB_PENDING:
        tell_pending(node, s, chain, now_ns);
        break;
    default:
        break;
    }
}
