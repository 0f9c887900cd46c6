/* logs_kept.c - the logs that were told, by (block hash, index). */
#include "feed/logs_kept.h"

#include <string.h>

#include "base/mem.h"

bool rf_kept_init(struct rf_kept_logs *k, uint64_t bytes_max)
{
    *k = (struct rf_kept_logs){.bytes_max = bytes_max};
    rf_list_init(&k->order);
    return rf_table_init(&k->table);
}

void rf_kept_fini(struct rf_kept_logs *k)
{
    while (!rf_list_empty(&k->order))
        rf_kept_remove(k, RF_CONTAINER(k->order.next, struct rf_kept_log, order));
    rf_table_fini(&k->table);
}

static uint64_t key_of(const struct rf_evm_log *log)
{
    uint64_t v;
    memcpy(&v, log->block, sizeof v);
    return rf_hash_u64(v ^ rf_hash_u64(log->index));
}

struct rf_kept_log *rf_kept_find(const struct rf_kept_logs *k, const struct rf_evm_log *log)
{
    struct rf_table_node *n = rf_table_first(&k->table, key_of(log));
    for (; n != NULL; n = rf_table_next(n)) {
        struct rf_kept_log *it = RF_CONTAINER(n, struct rf_kept_log, by_key);
        if (it->log.index == log->index && memcmp(it->log.block, log->block, RF_EVM_HASH) == 0)
            return it;
    }
    return NULL;
}

void rf_kept_remove(struct rf_kept_logs *k, struct rf_kept_log *it)
{
    rf_table_remove(&k->table, &it->by_key);
    rf_list_remove(&it->order);
    k->bytes -= sizeof *it + it->len;
    rf_free(it);
}

struct rf_kept_log *rf_kept_add(struct rf_kept_logs *k, const struct rf_evm_log *log,
                                struct rpcfan_slice text)
{
    size_t size = sizeof(struct rf_kept_log) + text.len;
    while (!rf_list_empty(&k->order) && k->bytes + size > k->bytes_max) {
        struct rf_kept_log *old = RF_CONTAINER(k->order.next, struct rf_kept_log, order);
        k->floor = rf_max_u64(k->floor, old->log.number + 1);
        rf_kept_remove(k, old);
    }
    k->starved = false;
    if (size > k->bytes_max) {
        k->floor = rf_max_u64(k->floor, log->number + 1);
        return NULL;
    }
    struct rf_kept_log *it = rf_alloc(size);
    if (it == NULL) {
        k->starved = true;
        return NULL;
    }
    it->log = *log;
    it->len = text.len;
    memcpy(it->text, text.data, text.len);
    k->bytes += size;
    rf_table_add(&k->table, &it->by_key, key_of(log));
    rf_list_push(&k->order, &it->order);
    return it;
}

void rf_kept_expire(struct rf_kept_logs *k, uint64_t number)
{
    k->floor = rf_max_u64(k->floor, number);
    while (!rf_list_empty(&k->order)) {
        struct rf_kept_log *old = RF_CONTAINER(k->order.next, struct rf_kept_log, order);
        if (old->log.number >= number)
            return;
        rf_kept_remove(k, old);
    }
}
