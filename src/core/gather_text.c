/* gather_text.c - reads the params of a getAccountInfo, cuts the result of a getMultipleAccounts.
 * All of it stands on json/walk, over text that was validated before. */
#include "core/gather_text.h"

#include <string.h>

#include "base/base58.h"
#include "json/canon.h"
#include "json/walk.h"

#define CONTEXT "{\"context\":"
#define VALUE ",\"value\":"
#define KEY_BYTES 32
#define KEY_LEN_MAX 44 /* letters of 32 bytes; the fewest are 32 */

/* What is no key would only be refused, and with it whoever goes along. */
static bool is_key(struct rpcfan_slice s)
{
    uint8_t bytes[KEY_BYTES];
    size_t n;
    return s.len >= KEY_BYTES + 2 && s.len <= KEY_LEN_MAX + 2 && s.data[0] == '"' &&
           rf_base58_decode(s.data + 1, s.len - 2, bytes, sizeof bytes, &n) && n == KEY_BYTES;
}

/* In the canonical form no name stands twice. */
static bool names_encoding(const struct rf_buf *b, size_t from)
{
    struct rpcfan_slice encoding;
    return RF_WALK_MEMBER(((struct rpcfan_slice){b->data + from, b->len - from}), "encoding",
                          &encoding) &&
           encoding.data[0] == '"';
}

bool rf_gather_read(struct rpcfan_slice params, struct rf_buf *options)
{
    struct rf_walk w;
    struct rpcfan_slice key, second, more;
    size_t from = options->len;
    return rf_walk_enter(&w, params, '[') && rf_walk_element(&w, &key) && is_key(key) &&
           rf_walk_element(&w, &second) && second.data[0] == '{' && !rf_walk_element(&w, &more) &&
           rf_json_canon(second, options) && names_encoding(options, from);
}

struct rpcfan_slice rf_gather_key(struct rpcfan_slice params)
{
    return rf_walk_at(params, 0);
}

bool rf_gather_cut(struct rpcfan_slice result, struct rf_gather_result *out, uint32_t n)
{
    struct rf_walk w;
    struct rpcfan_slice list, account;
    out->n = 0;
    if (!RF_WALK_MEMBER(result, "context", &out->context) ||
        !RF_WALK_MEMBER(result, "value", &list) || !rf_walk_enter(&w, list, '['))
        return false;
    while (rf_walk_element(&w, &account)) {
        if (out->n == n)
            return false;
        out->value[out->n++] = account;
    }
    return out->n == n;
}

bool rf_gather_write(struct rf_blob *b, struct rpcfan_slice context, struct rpcfan_slice value,
                     size_t *at)
{
    *at = b->len;
    return rf_blob_add(b, CONTEXT, sizeof CONTEXT - 1) &&
           rf_blob_add(b, context.data, context.len) && rf_blob_add(b, VALUE, sizeof VALUE - 1) &&
           rf_blob_add(b, value.data, value.len) && rf_blob_add(b, "}", 1);
}
