/* ndjson.c - changes and notes as lines of JSON. */
#include "sink/ndjson.h"

#include "base/pubkey.h"
#include "json/rpc.h"

const char *rf_ndjson_kind(enum rpcfan_account_kind kind)
{
    static const char *const names[] = {"snapshot", "create", "update", "close", "left"};
    return (unsigned)kind < RF_COUNT(names) ? names[kind] : "unknown";
}

static void add_key(struct rf_buf *b, const uint8_t key[32])
{
    char text[RF_PUBKEY_TEXT];
    rf_buf_add(b, text, rf_pubkey_encode(key, text));
}

/* A line must not hold a line end, and a proxy may write JSON for people. */
static void add_compact(struct rf_buf *b, struct rpcfan_slice json)
{
    if (json.len == 0)
        rf_buf_str(b, "null");
    else if (rf_buf_reserve(b, json.len))
        b->len += rpcfan_json_compact(json.data, json.len, b->data + b->len);
}

static void add_text(struct rf_buf *b, const char *member, const char *text)
{
    rf_buf_str(b, member);
    if (text != NULL)
        rf_json_quote(b, text, strlen(text));
    else
        rf_buf_str(b, "null");
}

void rf_ndjson_event(struct rf_buf *b, const struct rpcfan_account_event *ev, uint64_t seq)
{
    add_text(b, "{\"kind\":", rf_ndjson_kind(ev->kind));
    rf_buf_str(b, ",\"pubkey\":\"");
    add_key(b, ev->key);
    rf_buf_str(b, "\",\"slot\":");
    rf_buf_u64(b, ev->slot);
    rf_buf_str(b, ",\"seq\":");
    rf_buf_u64(b, seq);
    rf_buf_str(b, ",\"account\":");
    add_compact(b, ev->json);
    rf_buf_str(b, "}\n");
}

void rf_ndjson_result(struct rf_buf *b, struct rpcfan_slice json)
{
    add_compact(b, json);
    rf_buf_char(b, '\n');
}

void rf_ndjson_note(struct rf_buf *b, const struct rpcfan_note *note)
{
    switch (note->kind) {
    case RPCFAN_NOTE_DATA:
        rf_buf_str(b, "{\"note\":\"data\",\"slot\":");
        rf_buf_u64(b, note->slot);
        rf_buf_str(b, ",\"result\":");
        add_compact(b, note->json);
        break;
    case RPCFAN_NOTE_UP:
        add_text(b, "{\"note\":\"up\",\"endpoint\":", note->endpoint);
        break;
    case RPCFAN_NOTE_GAP:
        add_text(b, "{\"note\":\"gap\",\"endpoint\":", note->endpoint);
        add_text(b, ",\"why\":", note->why);
        break;
    case RPCFAN_NOTE_FILLED:
        add_text(b, "{\"note\":\"filled\",\"endpoint\":", note->endpoint);
        break;
    case RPCFAN_NOTE_DROPPED:
        rf_buf_str(b, "{\"note\":\"dropped\",\"n\":");
        rf_buf_u64(b, note->n);
        break;
    default: /* RPCFAN_NOTE_END */
        rf_buf_str(b, "{\"note\":\"end\",\"error\":");
        add_compact(b, note->json);
        break;
    }
    rf_buf_str(b, "}\n");
}
