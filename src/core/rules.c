/* rules.c - the rule table: what nodes and providers really answer when they refuse or break.
 *
 * Order matters and follows the places where other clients go wrong: batch and range texts before
 * codes, quota before rate (both say "limit"), rate before plain codes, statuses last. Texts are
 * lower case and matched without regard to case. */
#include "core/classify.h"

#define ANY RF_RULE_ANY
#define EVM (1u << RPCFAN_EVM)
#define SOL (1u << RPCFAN_SOLANA)
#define GEN (1u << RPCFAN_GENERIC)

const struct rf_rule rf_rules[] = {
    /* batch size: before rate, since some say "too many requests" and mean the batch */
    {"batch-ronin", 400, ANY, "too many requests", 0, true, RF_CLASS_SPLIT_BATCH},
    {"batch-limit", 0, ANY, "batch limit", 0, true, RF_CLASS_SPLIT_BATCH},
    {"batch-large", 0, ANY, "batch too large", 0, true, RF_CLASS_SPLIT_BATCH},
    {"batch-size", 0, ANY, "batch size", 0, true, RF_CLASS_SPLIT_BATCH},
    {"batch-in-1", 0, ANY, "calls in 1 batch", 0, true, RF_CLASS_SPLIT_BATCH},
    {"batch-proxyd", 0, ANY, "rpc calls in batch", 0, true, RF_CLASS_SPLIT_BATCH},
    {"batch-drpc", 0, ANY, "batch of more than", 0, true, RF_CLASS_SPLIT_BATCH},
    {"batch-item", 0, ANY, "batch item count", 0, true, RF_CLASS_SPLIT_BATCH},
    {"batch-methods", 0, ANY, "methods in the batch", 0, true, RF_CLASS_SPLIT_BATCH},
    {"batch-validate", 0, ANY, "validation errors in batch", 0, true, RF_CLASS_SPLIT_BATCH},
    {"batch-exceed", 0, ANY, "maximum batch", 0, true, RF_CLASS_SPLIT_BATCH},
    {"batch-max", 0, ANY, "max batch", 0, true, RF_CLASS_SPLIT_BATCH},
    {"batch-none", 0, ANY, "batch requests are not", 0, true, RF_CLASS_SPLIT_BATCH},
    {"batch-off", 0, ANY, "batch request is not", 0, true, RF_CLASS_SPLIT_BATCH},
    {"batch-unsup", 0, ANY, "batching is not", 0, true, RF_CLASS_SPLIT_BATCH},
    {"batch-not-sup", 0, ANY, "batch not supported", 0, true, RF_CLASS_SPLIT_BATCH},
    {"batch-geth-resp", 0, -32003, "response too large", 0, true, RF_CLASS_SPLIT_BATCH},
    {"batch-body", 413, ANY, NULL, 0, true, RF_CLASS_SPLIT_BATCH},
    {"batch-body-text", 0, -32021, "body too large", 0, true, RF_CLASS_SPLIT_BATCH},
    {"batch-geth-time", 0, -32002, "request timed out", EVM | GEN, true, RF_CLASS_SPLIT_BATCH},

    /* ranges and result sizes: before the codes -32005 and -32602 that some of them carry */
    {"range-works", 0, ANY, "this block range should work", 0, false, RF_CLASS_SPLIT_RANGE},
    {"range-try", 0, ANY, "try with this block range", 0, false, RF_CLASS_SPLIT_RANGE},
    {"range-results", 0, ANY, "query returned more than", 0, false, RF_CLASS_SPLIT_RANGE},
    {"range-qtimeout", 0, ANY, "query timeout exceeded", 0, false, RF_CLASS_SPLIT_RANGE},
    {"range-logs", 0, ANY, "eth_getlogs is limited to", 0, false, RF_CLASS_SPLIT_RANGE},
    {"range-logs2", 0, ANY, "eth_newfilter are limited", 0, false, RF_CLASS_SPLIT_RANGE},
    {"range-wide", 0, ANY, "block range is too wide", 0, false, RF_CLASS_SPLIT_RANGE},
    {"range-dist", 0, ANY, "blocks distance", 0, false, RF_CLASS_SPLIT_RANGE},
    {"range-exceeded", 0, ANY, "block range limit exceeded", 0, false, RF_CLASS_SPLIT_RANGE},
    {"range-maxblock", 0, ANY, "maximum block range", 0, false, RF_CLASS_SPLIT_RANGE},
    {"range-maxq", 0, ANY, "query exceeds max", 0, false, RF_CLASS_SPLIT_RANGE},
    {"range-large", 0, ANY, "range is too large", 0, false, RF_CLASS_SPLIT_RANGE},
    {"range-large2", 0, ANY, "range too large", 0, false, RF_CLASS_SPLIT_RANGE},
    {"range-over", 0, ANY, "ranges over", 0, false, RF_CLASS_SPLIT_RANGE},
    {"range-logcount", 0, ANY, "logs count limit exceeded", 0, false, RF_CLASS_SPLIT_RANGE},
    {"range-logs3", 0, ANY, "too many logs requested", 0, false, RF_CLASS_SPLIT_RANGE},
    {"range-many", 0, ANY, "requested too many blocks", 0, false, RF_CLASS_SPLIT_RANGE},
    {"filter-many", 0, ANY, "addresses or topics", 0, false, RF_CLASS_SPLIT_FILTER},
    {"filter-number", 0, ANY, "this query contains", 0, false, RF_CLASS_SPLIT_FILTER},
    {"inputs-many", 0, ANY, "too many inputs provided", 0, false, RF_CLASS_CLIENT},
    {"big-response", 0, ANY, "response too large", 0, false, RF_CLASS_TOO_BIG},
    {"big-response2", 0, ANY, "response is too big", 0, false, RF_CLASS_TOO_BIG},
    {"big-body", 413, ANY, NULL, 0, false, RF_CLASS_TOO_BIG},

    /* quota and plan: before rate */
    {"quota-402", 402, ANY, NULL, 0, false, RF_CLASS_QUOTA},
    {"quota-code-402", 0, 402, NULL, 0, false, RF_CLASS_QUOTA},
    {"quota-month", 0, ANY, "monthly capacity", 0, false, RF_CLASS_QUOTA},
    {"quota-day", 0, ANY, "daily request count exceeded", 0, false, RF_CLASS_QUOTA},
    {"quota-credit", 0, ANY, "insufficient credits", 0, false, RF_CLASS_QUOTA},
    {"quota-usage", 0, ANY, "exceeded the quota", 0, false, RF_CLASS_QUOTA},
    {"quota-reached", 0, ANY, "reached the quota", 0, false, RF_CLASS_QUOTA},
    {"quota-billing", 0, ANY, "/billing", 0, false, RF_CLASS_QUOTA},
    {"plan-current", 0, ANY, "not included in your current plan", 0, false, RF_CLASS_PLAN},
    {"plan-upgrade", 0, ANY, "upgrade to paid", 0, false, RF_CLASS_PLAN},
    {"plan-discover", 0, ANY, "upgrade from discover plan", 0, false, RF_CLASS_PLAN},
    {"plan-chain", 0, ANY, "not available on free plan", 0, false, RF_CLASS_PLAN},
    {"plan-archive", 0, ANY, "archive requests require", 0, false, RF_CLASS_PLAN},
    {"plan-free", 0, 30, "on the free tier", 0, false, RF_CLASS_PLAN},

    /* concurrency and rate */
    {"conc-requests", 0, ANY, "concurrent requests", 0, false, RF_CLASS_CONC},
    {"rate-429", 429, ANY, NULL, 0, false, RF_CLASS_RATE},
    {"rate-code-429", 0, 429, NULL, 0, false, RF_CLASS_RATE},
    {"rate-cu", 0, ANY, "compute units per second", 0, false, RF_CLASS_RATE},
    {"rate-limit", 0, ANY, "rate limit", 0, false, RF_CLASS_RATE},
    {"rate-limited", 0, ANY, "rate limited", 0, false, RF_CLASS_RATE},
    {"rate-exceeded", 0, ANY, "rate exceeded", 0, false, RF_CLASS_RATE},
    {"rate-many", 0, ANY, "too many requests", 0, false, RF_CLASS_RATE},
    {"rate-reached", 0, ANY, "request limit reached", 0, false, RF_CLASS_RATE},
    {"rate-credits", 0, ANY, "credits limited to", 0, false, RF_CLASS_RATE},
    {"rate-rps", 0, ANY, "exceeded the rps", 0, false, RF_CLASS_RATE},
    {"rate-cups", 0, ANY, "maximum cups", 0, false, RF_CLASS_RATE},
    {"rate-cups2", 0, ANY, "not enough cups", 0, false, RF_CLASS_RATE},
    {"rate-qps", 0, ANY, "maximum qps", 0, false, RF_CLASS_RATE},
    {"rate-usage", 0, ANY, "maximum api usage limit", 0, false, RF_CLASS_RATE},
    {"rate-class", 0, ANY, "requestratelimitexceeded", 0, false, RF_CLASS_RATE},
    {"rate-cf", 0, ANY, "error code: 1015", 0, false, RF_CLASS_RATE},
    {"rate-envoy", 0, ANY, "over_limit", 0, false, RF_CLASS_RATE},
    {"rate-cooldown", 0, ANY, "nodes on cooldown", 0, false, RF_CLASS_RATE},
    {"rate-infura", 0, -33200, NULL, EVM | GEN, false, RF_CLASS_RATE},
    {"rate-quicknode", 0, -32007, NULL, EVM, false, RF_CLASS_RATE},
    {"rate-ankr", 0, -32090, NULL, 0, false, RF_CLASS_RATE},
    {"rate-therpc", 0, -32029, NULL, 0, false, RF_CLASS_RATE},
    {"rate-blockvision", 0, -32605, NULL, 0, false, RF_CLASS_RATE},
    {"rate-cloudflare", 0, -32055, NULL, 0, false, RF_CLASS_RATE},

    /* transactions */
    {"tx-known", 0, ANY, "already known", EVM | GEN, false, RF_CLASS_TX_KNOWN},
    {"tx-known2", 0, ANY, "known transaction", EVM | GEN, false, RF_CLASS_TX_KNOWN},
    {"tx-imported", 0, ANY, "already imported", EVM | GEN, false, RF_CLASS_TX_KNOWN},
    {"tx-nonce-low", 0, ANY, "nonce too low", EVM | GEN, false, RF_CLASS_TX_REJECT},
    {"tx-nonce-high", 0, ANY, "nonce too high", EVM | GEN, false, RF_CLASS_TX_REJECT},
    {"tx-underpriced", 0, ANY, "underpriced", EVM | GEN, false, RF_CLASS_TX_REJECT},
    {"tx-funds", 0, ANY, "insufficient funds", EVM | GEN, false, RF_CLASS_TX_REJECT},

    /* outcomes of execution: answers */
    {"revert-code", 0, 3, NULL, EVM | GEN, false, RF_CLASS_REVERT},
    {"revert", 0, ANY, "execution reverted", 0, false, RF_CLASS_REVERT},
    {"revert-vm", 0, ANY, "vm exception", EVM | GEN, false, RF_CLASS_REVERT},
    {"revert-vm2", 0, ANY, "vm execution error", EVM | GEN, false, RF_CLASS_REVERT},
    {"revert-evm", 0, ANY, "evm error", 0, false, RF_CLASS_REVERT},
    {"out-of-gas", 0, ANY, "out of gas", EVM | GEN, false, RF_CLASS_REVERT},
    {"sol-preflight", 0, -32002, NULL, SOL, false, RF_CLASS_APP},

    /* Solana's own codes, which mean other things on EVM */
    {"sol-behind", 0, -32005, NULL, SOL, false, RF_CLASS_BEHIND},
    {"sol-behind-text", 0, ANY, "node is behind", 0, false, RF_CLASS_BEHIND},
    {"sol-context", 0, -32016, NULL, SOL, false, RF_CLASS_BEHIND},
    {"sol-cleaned", 0, -32001, NULL, SOL, false, RF_CLASS_MISSING},
    {"sol-block", 0, -32004, NULL, SOL, false, RF_CLASS_MISSING},
    {"sol-skipped", 0, -32007, NULL, SOL, false, RF_CLASS_MISSING},
    {"sol-snapshot", 0, -32008, NULL, SOL, false, RF_CLASS_MISSING},
    {"sol-lts-skip", 0, -32009, NULL, SOL, false, RF_CLASS_MISSING},
    {"sol-index", 0, -32010, NULL, SOL, false, RF_CLASS_UNSUPPORTED},
    {"sol-history", 0, -32011, NULL, SOL, false, RF_CLASS_UNSUPPORTED},
    {"sol-status-yet", 0, -32014, NULL, SOL, false, RF_CLASS_BEHIND},
    {"sol-scan", 0, -32012, NULL, SOL, false, RF_CLASS_SERVER},
    {"sol-lts", 0, -32019, NULL, SOL, false, RF_CLASS_SERVER},
    {"sol-sig", 0, -32003, NULL, SOL, false, RF_CLASS_APP},

    /* rate by code alone, where the family makes it sure */
    {"rate-eip1474", 0, -32005, NULL, EVM | GEN, false, RF_CLASS_RATE},

    /* who is asking */
    {"auth-key", 0, ANY, "invalid api key", 0, false, RF_CLASS_AUTH},
    {"auth-must", 0, ANY, "must be authenticated", 0, false, RF_CLASS_AUTH},
    {"auth-token", 0, ANY, "token is invalid", 0, false, RF_CLASS_AUTH},
    {"auth-inactive", 0, ANY, "key is inactive", 0, false, RF_CLASS_AUTH},
    {"auth-origin", 0, ANY, "origin not on whitelist", 0, false, RF_CLASS_AUTH},

    /* absent methods, then absent data */
    {"unsup-code", 0, -32601, NULL, 0, false, RF_CLASS_UNSUPPORTED},
    {"unsup-found", 0, ANY, "method not found", 0, false, RF_CLASS_UNSUPPORTED},
    {"unsup-method", 0, ANY, "method is not", 0, false, RF_CLASS_UNSUPPORTED},
    {"unsup-text", 0, ANY, "unsupported method", 0, false, RF_CLASS_UNSUPPORTED},
    {"unsup-module", 0, ANY, "containing module is disabled", 0, false, RF_CLASS_UNSUPPORTED},
    {"unsup-code4", 0, -32004, NULL, EVM | GEN, false, RF_CLASS_UNSUPPORTED},
    {"missing-header", 0, ANY, "header not found", 0, false, RF_CLASS_MISSING},
    {"missing-trie", 0, ANY, "missing trie node", 0, false, RF_CLASS_MISSING},
    {"missing-block", 0, ANY, "unknown block", 0, false, RF_CLASS_MISSING},
    {"missing-block2", 0, ANY, "block not found", 0, false, RF_CLASS_MISSING},
    {"missing-pruned", 0, ANY, "pruned", 0, false, RF_CLASS_MISSING},
    {"missing-state", 0, ANY, "historical state", 0, false, RF_CLASS_MISSING},

    /* bad requests are answers */
    {"client-params", 0, -32602, NULL, 0, false, RF_CLASS_CLIENT},
    {"client-parse", 0, -32700, NULL, 0, false, RF_CLASS_CLIENT},
    {"client-request", 0, -32600, NULL, 0, false, RF_CLASS_CLIENT},

    /* the node is in trouble */
    {"server-shed", 0, -32001, "unable to complete request", EVM | GEN, false, RF_CLASS_SERVER},
    {"server-capacity", 0, ANY, "over capacity", 0, false, RF_CLASS_SERVER},
    {"server-load", 0, ANY, "under too much load", 0, false, RF_CLASS_SERVER},
    {"server-backend", 0, ANY, "no backend is currently healthy", 0, false, RF_CLASS_SERVER},
    {"server-route", 0, 12, "can't route", 0, false, RF_CLASS_SERVER},
    {"server-internal", 0, -32603, NULL, 0, false, RF_CLASS_SERVER},
};

const size_t rf_rules_count = RF_COUNT(rf_rules);
