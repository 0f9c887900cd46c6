/* note_read.c - slot and key of a notification, read by json/walk out of text that the engine has
 * scanned. An example: {"context":{"slot":7},"value":{"pubkey":"A",...}} is of slot 7, and replaces
 * what waits of the account A. */
#include "client/note_read.h"

#include "json/canon.h"
#include "json/walk.h"

#define KEY_ONE 1 /* of a subscription that is about one thing */

static uint64_t member_number(struct rpcfan_slice object, const char *key, size_t len)
{
    struct rpcfan_slice value;
    uint64_t n;
    return rf_walk_member(object, key, len, &value) && rf_walk_number(value, &n) ? n : 0;
}

#define NUMBER(object, key) member_number(object, key, sizeof(key) - 1)

uint64_t rf_note_slot(enum rpcfan_family family, struct rpcfan_slice json)
{
    struct rpcfan_slice context;
    uint64_t n;
    if (json.len == 0)
        return 0;
    if (*json.data != '{')
        return family == RPCFAN_SOLANA && rf_walk_number(json, &n) ? n : 0;
    if (family != RPCFAN_SOLANA) {
        n = NUMBER(json, "number");
        return n != 0 ? n : NUMBER(json, "blockNumber");
    }
    return RF_WALK_MEMBER(json, "context", &context) ? NUMBER(context, "slot")
                                                     : NUMBER(json, "slot");
}

uint64_t rf_note_key(enum rpcfan_family family, struct rpcfan_slice json)
{
    struct rpcfan_slice value, key;
    if (family != RPCFAN_SOLANA || json.len == 0)
        return 0;
    if (*json.data != '{')
        return rf_note_slot(family, json) != 0 ? KEY_ONE : 0; /* a root */
    if (!RF_WALK_MEMBER(json, "value", &value))
        return RF_WALK_MEMBER(json, "parent", &key) && RF_WALK_MEMBER(json, "root", &key) ? KEY_ONE
                                                                                          : 0;
    if (RF_WALK_MEMBER(value, "pubkey", &key))
        return rf_json_canon_hash(key) | 2;
    return RF_WALK_MEMBER(value, "lamports", &key) ? KEY_ONE : 0;
}
