/* validator_knobs.c - the knobs of the virtual validator, in one table: name, default, the least
 * and the most it may be, and what it does. Chances are in a thousand; "a slot" means that it is
 * drawn once each slot of a node.
 *
 * sizes=A,B,... and program=KEY are read apart from the table. */
#include <string.h>

#include "base/base58.h"
#include "sim/node_words.h"
#include "sim/validator_int.h"

#define AT(field) offsetof(struct rf_vknobs, field)
#define ANY UINT64_MAX

static const struct {
    const char *name;
    size_t at;
    uint64_t def, least, most;
    const char *help;
} table[] = {
    /* the world */
    {"programs", AT(programs), 1, 1, RF_VALIDATOR_PROGRAMS,
     "programs; each has accounts of its own"},
    {"keys", AT(keys), 100, 1, 50000000, "accounts of each program"},
    {"writes", AT(writes), 5, 0, 1000000, "accounts written in a slot, on average; 0: none"},
    {"size", AT(size), 165, 0, 10485760, "bytes of data (sizes=A,B,...: in turn)"},
    {"absent", AT(absent), 100, 0, 1000, "chance that an account is not there at the beginning"},
    {"create", AT(create), 300, 0, 1000, "chance that a write to one that is not there makes it"},
    {"close", AT(close), 20, 0, 1000, "of writes: closes it"},
    {"equal", AT(equal), 50, 0, 1000, "of writes: with the content that it has"},
    {"reopen", AT(reopen), 5, 0, 1000, "of writes: closed and made again in one slot"},
    {"reassign", AT(reassign), 10, 0, 1000, "of writes: to another owner, or back"},
    {"resize", AT(resize), 5, 0, 1000, "of writes: to half its size, or back"},
    {"regroup", AT(regroup), 50, 0, 1000, "chance that an update changes the first byte (0 to 3)"},
    {"hot", AT(hot), 0, 0, 1000, "of writes: to one of four accounts"},
    {"history", AT(history), 1000, 0, ANY, "slots below the root that the oracle remembers"},
    /* the cluster */
    {"start", AT(start), 1000, 1, ANY / 2, "its first slot"},
    {"slot-ms", AT(slot_ms), 400, 1, 60000, "time of a slot"},
    {"skip", AT(skip), 50, 0, 900, "chance that a slot is skipped"},
    {"fork", AT(fork), 20, 0, 1000, "chance in a slot that a fork begins"},
    {"fork-depth", AT(fork_depth), 4, 1, 32, "banks that it goes back and half of what it lasts"},
    {"confirm-lag", AT(confirm_lag), 1, 0, 32, "banks from the tip to what is confirmed"},
    {"confirm-hold", AT(confirm_hold), 50, 0, 950, "chance that a slot confirms nothing"},
    {"finalize-lag", AT(finalize_lag), 32, 1, 200, "banks from the tip to the root"},
    {"root-hold", AT(root_hold), 100, 0, 950,
     "chance that the root stays in a slot, to jump later"},
    /* its nodes */
    {"nodes", AT(nodes), 1, 1, RF_VALIDATOR_NODES, "nodes"},
    {"lag", AT(lag), 0, 0, 120000, "ms that node 0 is late"},
    {"lag2", AT(lag2), 0, 0, 120000, "ms that node 1 is late"},
    {"notify-ms", AT(notify_ms), 0, 0, 600000, "ms that a notifier is late, always"},
    {"backlog", AT(backlog), 0, 0, 1000, "chance in a slot that a notifier stops ..."},
    {"backlog-ms", AT(backlog_ms), 15000, 0, 600000,
     "... for so long: banks may be pruned by then"},
    {"mix", AT(mix), 0, 0, 1, "1: sessions are told by both nodes, as behind a load balancer"},
    /* reads */
    {"inputs", AT(inputs), 100, 1, 100000, "keys that getMultipleAccounts takes"},
    {"latency-ms", AT(latency_ms), 0, 0, 600000, "service time of a call"},
    {"scan-max", AT(scan_max), 0, 0, ANY, "accounts that getProgramAccounts scans; 0: any number"},
    {"scan-rows", AT(scan_rows), 0, 0, ANY, "rows of its answer, after the filters; 0: any number"},
    {"scan-bytes", AT(scan_bytes), 0, 0, ANY, "bytes of data in its answer (-32012); 0: any"},
    {"v2", AT(v2), 1, 0, 1, "0: there is no getProgramAccountsV2"},
    {"page-max", AT(page_max), 10000, 1, ANY, "rows of its pages, whatever limit is asked for"},
    {"page-short", AT(page_short), 0, 0, 1000, "chance that a page has fewer"},
    {"page-empty", AT(page_empty), 0, 0, 999, "chance that it has none, though more follow"},
    {"zstd", AT(zstd), 0, 0, 1, "1: base64+zstd is known"},
    {"floorless", AT(floorless), 0, 0, 1000, "chance that a read takes no heed of minContextSlot"},
    {"skew", AT(skew), 0, 0, 1000, "chance that a read names the slot before that of its data"},
    {"torn", AT(torn), 0, 0, 1000, "chance that getMultipleAccounts mixes two slots"},
    {"lie", AT(lie), 0, 0, 1000, "chance that a read has old data under a new slot"},
    {"lie-null", AT(lie_null), 0, 0, 1000, "chance that an account is said not to be there"},
    /* subscriptions */
    {"inbound", AT(inbound), 4096, 64, ANY, "bytes of a message; longer ones end the connection"},
    {"ws-batch", AT(ws_batch), 1, 0, 1, "0: several requests in one message are refused"},
    {"subs-max", AT(subs_max), 0, 0, ANY, "subscriptions of a connection; 0: any number"},
    {"refuse", AT(refuse), 0, 0, 1000, "chance that a subscription is refused (-32603)"},
    {"drop", AT(drop), 0, 0, 1000, "chance that a notification is lost; slots and roots never"},
    {"dup", AT(dup), 0, 0, 1000, "chance that it comes twice"},
    {"reorder", AT(reorder), 0, 0, 1000, "chance that it is late ..."},
    {"reorder-ms", AT(reorder_ms), 300, 1, 600000, "... by up to so much"},
    {"stall", AT(stall), 0, 0, 1000, "chance in a slot that one subscription falls silent"},
    {"stall-all", AT(stall_all), 0, 0, 1000, "chance in a slot that all of a connection do"},
    {"half-open", AT(half_open), 0, 0, 1000, "chance in a slot that a connection is deaf and dumb"},
    {"close-ws", AT(close_ws), 0, 0, 1000, "chance in a slot that a connection ends ..."},
    {"close-frame", AT(close_frame), 500, 0, 1000, "... and then, that a close frame says so"},
    {"late-reply", AT(late_reply), 0, 0, 1000,
     "chance that a reply comes late, after what it is "
     "about ..."},
    {"late-reply-ms", AT(late_reply_ms), 600, 1, 600000, "... by up to so much"},
    {"id-reuse", AT(id_reuse), 0, 0, 1, "1: ids of ended subscriptions are given again"},
    {"truncate", AT(truncate), 0, 0, 1000, "chance that a frame is cut"},
    {"garble", AT(garble), 0, 0, 1000, "chance that a frame is no JSON"},
    {"bad58", AT(bad58), 0, 0, 1000, "chance that an account's data is the text of a base58 error"},
    {"idle-ms", AT(idle_ms), 0, 0, ANY / RF_MS / 2, "silence that ends a connection; 0: none"},
};

static uint64_t *field(struct rf_vknobs *k, size_t at)
{
    return (uint64_t *)(void *)((char *)k + at);
}

void rf_vknobs_init(struct rf_vknobs *k)
{
    *k = (struct rf_vknobs){0};
    for (size_t i = 0; i < RF_COUNT(table); i++)
        *field(k, table[i].at) = table[i].def;
}

static enum rpcfan_err read_sizes(struct rf_vknobs *k, const char *text, struct rpcfan_error *err)
{
    char one[24];
    k->n_sizes = 0;
    while (*text != '\0') {
        size_t n = strcspn(text, ",");
        uint64_t v = 0;
        memcpy(one, text, n < sizeof one ? n : 0);
        one[n < sizeof one ? n : 0] = '\0';
        if (k->n_sizes == RF_VALIDATOR_SIZES || !rf_node_text_u64(one, &v) || v > 10485760)
            return rf_fail(err, RPCFAN_ECONFIG, "sizes: up to %d numbers of bytes, up to 10485760",
                           RF_VALIDATOR_SIZES);
        k->sizes[k->n_sizes++] = (uint32_t)v;
        text += n + (text[n] == ',');
    }
    return RPCFAN_OK;
}

static enum rpcfan_err read_one(struct rf_vknobs *k, const char *name, const char *value,
                                struct rpcfan_error *err)
{
    uint64_t v = 0;
    size_t n = 0;
    if (strcmp(name, "sizes") == 0)
        return read_sizes(k, value, err);
    if (strcmp(name, "program") == 0) {
        k->has_program_id =
            rf_base58_decode(value, strlen(value), k->program_id, 32, &n) && n == 32;
        return k->has_program_id ? RPCFAN_OK
                                 : rf_fail(err, RPCFAN_ECONFIG, "program: want a base58 key");
    }
    for (size_t i = 0; i < RF_COUNT(table); i++) {
        if (strcmp(table[i].name, name) != 0)
            continue;
        if (!rf_node_text_u64(value, &v) || v < table[i].least || v > table[i].most)
            return rf_fail(err, RPCFAN_ECONFIG, "%s: want a number from %llu to %llu (%s)", name,
                           (unsigned long long)table[i].least, (unsigned long long)table[i].most,
                           table[i].help);
        *field(k, table[i].at) = v;
        return RPCFAN_OK;
    }
    return rf_fail(err, RPCFAN_ECONFIG, "%s: there is no such knob", name);
}

/* Banks are kept from the slowest node's root to the newest slot. */
static enum rpcfan_err check(const struct rf_vknobs *k, struct rpcfan_error *err)
{
    uint64_t banks = k->finalize_lag + 3 * k->fork_depth + k->confirm_lag + 40;
    uint64_t slots = banks * 1000 / (1000 - k->skip) * 5 / 4;
    uint64_t lag = rf_max_u64(k->lag, k->lag2) / k->slot_ms;
    if (slots + lag > RF_BANK_SPAN - 100)
        return rf_fail(err, RPCFAN_ECONFIG,
                       "lag, lag2, skip and finalize-lag: the window is %llu slots, at most %d; "
                       "make one of them smaller",
                       (unsigned long long)(slots + lag), RF_BANK_SPAN - 100);
    return RPCFAN_OK;
}

enum rpcfan_err rf_vknobs_read(struct rf_vknobs *k, const char *text, struct rpcfan_error *err)
{
    static const char blank[] = " \t\r\n";
    while (text != NULL && *(text += strspn(text, blank)) != '\0') {
        char word[512];
        size_t n = strcspn(text, blank);
        if (n >= sizeof word)
            return rf_fail(err, RPCFAN_ECONFIG, "knobs: a word is over %zu bytes", sizeof word);
        memcpy(word, text, n);
        word[n] = '\0';
        text += n;
        char *eq = strchr(word, '=');
        if (eq == NULL)
            return rf_fail(err, RPCFAN_ECONFIG, "%s: want knob=value", word);
        *eq = '\0';
        enum rpcfan_err e = read_one(k, word, eq + 1, err);
        if (e != RPCFAN_OK)
            return e;
    }
    return check(k, err);
}
