/* ndjson.h - changes and notes as lines of JSON. Called by cli/index_* and cli/cmd_subscribe;
 * writes to the buffer it is given and nothing else. */
#ifndef RF_SINK_NDJSON_H
#define RF_SINK_NDJSON_H

#include "base/buf.h"
#include "rpcfan/feed.h"

/** "snapshot", "create", "update", "close" or "left". Static. */
const char *rf_ndjson_kind(enum rpcfan_account_kind kind);

/**
 * Append an account's event and a line end:
 * {"kind":"update","pubkey":"...","slot":1,"seq":2,"account":{...}}. The account is as the node
 * wrote it, without spaces; null with "close" and "left".
 * @param seq  what the line says for it.
 */
void rf_ndjson_event(struct rf_buf *b, const struct rpcfan_account_event *ev, uint64_t seq);

/** Append a notification's params.result, without spaces, and a line end. */
void rf_ndjson_result(struct rf_buf *b, struct rpcfan_slice json);

/**
 * Append a note of a subscription and a line end: {"note":"data","slot":1,"result":...},
 * {"note":"up","endpoint":"ep1"}, {"note":"gap","endpoint":"ep1","why":"..."},
 * {"note":"filled","endpoint":"ep1"}, {"note":"dropped","n":3}, {"note":"end","error":{...}}.
 */
void rf_ndjson_note(struct rf_buf *b, const struct rpcfan_note *note);

#endif
