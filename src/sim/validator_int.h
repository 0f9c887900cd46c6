/* validator_int.h - what the files of the virtual validator share. Each file answers one question:
 *
 *   validator.c         life, time, and what is due next
 *   validator_knobs.c   the knobs, in one table
 *   validator_account.c an account's bytes, its JSON and its hash
 *   validator_ledger.c  what each slot writes
 *   validator_chain.c   slots, forks, votes, roots: what the cluster agrees on
 *   validator_view.c    what one node has seen of it, and its notifier
 *   validator_subs.c    the subscriptions of a node, and what a bank tells them
 *   validator_ws.c      sessions, requests, and what goes wrong on the way out
 *   validator_http.c    calls; validator_scan.c those of whole programs
 *
 * Pure; nothing else includes this header but tests. */
#ifndef RF_SIM_VALIDATOR_INT_H
#define RF_SIM_VALIDATOR_INT_H

#include "base/list.h"
#include "sim/bank.h"
#include "sim/validator.h"

#define RF_VALIDATOR_NODES 2
#define RF_VALIDATOR_SIZES 8
#define RF_VALIDATOR_PROGRAMS 16
/** Steps of the cluster that are kept for nodes that lag. */
#define RF_VALIDATOR_STEPS 2048
#define RF_VALIDATOR_BUCKETS 4096

/** The knobs; each is explained in validator_knobs.c. */
struct rf_vknobs {
    /* the world */
    uint64_t programs, keys, writes, size, absent, create, close, equal, reopen, reassign, resize,
        regroup, hot, history;
    uint32_t sizes[RF_VALIDATOR_SIZES], n_sizes;
    uint8_t program_id[32];
    bool has_program_id;
    /* the cluster */
    uint64_t start, slot_ms, skip, fork, fork_depth, confirm_lag, confirm_hold, finalize_lag,
        root_hold;
    /* its nodes */
    uint64_t nodes, lag, lag2, notify_ms, backlog, backlog_ms, mix;
    /* reads */
    uint64_t inputs, latency_ms, scan_max, scan_rows, scan_bytes, v2, page_max, page_short,
        page_empty, zstd, skew, torn, lie, lie_null;
    /* subscriptions */
    uint64_t inbound, ws_batch, subs_max, refuse, drop, dup, reorder, reorder_ms, stall, stall_all,
        half_open, close_ws, close_frame, late_reply, late_reply_ms, id_reuse, truncate, garble,
        idle_ms, bad58, floorless;
};

/** Take knobs as text. @return 0 or RPCFAN_ECONFIG, with the knob's name. */
enum rpcfan_err rf_vknobs_read(struct rf_vknobs *k, const char *text, struct rpcfan_error *err);
/** The defaults: a well-behaved node. */
void rf_vknobs_init(struct rf_vknobs *k);

/** One step of the cluster: what happened in one slot's time. */
struct rf_vstep {
    uint64_t at_ns;
    uint64_t created, parent; /* the bank begun; 0: skipped */
    uint64_t tip, confirmed, root;
};

/** The cluster. */
struct rf_vchain {
    struct rf_rng rng;
    uint64_t next_ns;           /* of the next slot */
    uint64_t slot;              /* its number */
    uint64_t main_tip;          /* the newest frozen bank of the chain that is built on */
    uint64_t side_tip;          /* of its rival; 0: there is none */
    uint64_t fork_point;        /* where they part */
    uint64_t fork_left;         /* banks until one wins */
    uint64_t pending;           /* begun, not frozen; 0: none */
    bool pending_side, on_side; /* on_side: the rival's tip is the one that is chosen */
    uint64_t n_steps;           /* ever */
    struct rf_vstep *steps;     /* owned ring */
};

/** What waits for a node's notifier. */
enum rf_vjob_kind {
    RF_VJOB_SLOT,      /* a: slot, b: parent, c: root */
    RF_VJOB_ROOT,      /* a: slot */
    RF_VJOB_PROCESSED, /* a: the bank that is the tip now */
    RF_VJOB_CONFIRMED, /* a: a bank that is confirmed now */
    RF_VJOB_FINALIZED, /* a: the newest root */
    RF_VJOB_SUBSCRIBED /* a: id of the subscription */
};
struct rf_vjob {
    enum rf_vjob_kind kind;
    uint64_t at_ns, a, b, c;
};

enum rf_vsub_kind {
    RF_VSUB_ACCOUNT,
    RF_VSUB_PROGRAM,
    RF_VSUB_LOGS,
    RF_VSUB_SIGNATURE,
    RF_VSUB_SLOT,
    RF_VSUB_ROOT,
    RF_VSUB_UPDATES,
    RF_VSUB_KINDS
};

enum rf_vencoding {
    RF_VENC_BINARY, /* base58 as a bare string */
    RF_VENC_BASE58,
    RF_VENC_BASE64,
    RF_VENC_ZSTD
};

/** A part of the data. */
struct rf_vcut {
    bool on;
    uint64_t offset, length;
};

#define RF_VFILTERS 4 /* as agave */
#define RF_VFILTER_BYTES 128
/** What accounts of a program are asked for. */
struct rf_vfilter {
    bool by_size;
    uint64_t size, offset;
    uint8_t bytes[RF_VFILTER_BYTES];
    size_t n;
};

/** How accounts are asked for: config of a call or a subscription. */
struct rf_vask {
    enum rpcfan_commitment commitment;
    enum rf_vencoding encoding;
    bool has_encoding, with_context;
    struct rf_vcut cut;
    struct rf_vfilter filter[RF_VFILTERS];
    unsigned n_filters;
    uint64_t min_slot, changed_since, limit;
    struct rpcfan_slice page; /* raw; len 0: none */
    bool received;            /* enableReceivedNotification */
};

/** A subscription of a node, shared by all who asked for the same. */
struct rf_vsub {
    struct rf_link by_id, by_params, of_kind;
    struct rf_link refs; /* of rf_vref.of_sub */
    enum rf_vsub_kind kind;
    uint64_t id, hash;
    uint64_t index; /* place in its node's array */
    bool active;    /* the notifier has heard of it */
    struct rf_vask ask;
    uint8_t target[32];     /* account, program, mention */
    uint32_t key;           /* the account's index, or RF_BANK_NONE */
    uint16_t owner;         /* the program's index; UINT16_MAX: none of ours */
    bool all;               /* logs: no mention */
    uint64_t last_notified; /* accounts: R2 */
    uint64_t land;          /* signatures: the slot that it lands in */
    uint32_t n_params;
    char params[]; /* canonical */
};

struct rf_vsession;
/** A session's share of a subscription. */
struct rf_vref {
    struct rf_link of_sub, of_session;
    struct rf_vsub *sub;
    struct rf_vsession *session;
    bool stalled;
};

/** A WebSocket connection. */
struct rf_vsession {
    struct rf_link link;
    uint64_t name;
    uint32_t node;
    struct rf_link refs; /* of rf_vref.of_session */
    uint32_t n_refs;
    uint64_t heard_ns; /* something came from the client */
    bool mute;         /* notifications stopped */
    bool dead;         /* half open: nothing comes any more */
};

/** One node: what it has seen, and its notifier. */
struct rf_vview {
    uint64_t next_step; /* of the cluster's */
    uint64_t applied_ns;
    uint64_t tip, confirmed, root;
    uint64_t stuck_ns;   /* the notifier does nothing before */
    struct rf_vjob *job; /* owned ring */
    uint64_t job_head, job_n, job_cap;
    struct rf_vsub **sub; /* owned; all of them */
    uint64_t n_subs, cap_subs;
    struct rf_link by_id[RF_VALIDATOR_BUCKETS], by_params[RF_VALIDATOR_BUCKETS];
    uint64_t next_id;
    uint64_t *spare; /* owned; ids that are free again */
    uint64_t n_spare, cap_spare;
};

struct rf_validator {
    struct rf_vknobs knobs;
    struct rf_validator_ops ops;
    struct rf_banks banks;
    struct rf_vchain chain;
    struct rf_rng world_rng, fault_rng, read_rng;
    struct rf_vview node[RF_VALIDATOR_NODES];
    struct rf_link sessions;
    uint64_t now_ns;   /* its own time, which begins with 0 */
    uint64_t epoch_ns; /* own time less the caller's, modulo 2^64 */
    uint8_t owner_id[RF_VALIDATOR_PROGRAMS + 2][32];
    char owner_text[RF_VALIDATOR_PROGRAMS + 2][45];
    struct rf_buf text, frame, scratch; /* of the notification, the frame and data under way */
    struct rf_validator_count count;
};

/* validator_account.c */

/** Write an account's data. @param out s->size bytes. */
void rf_vaccount_data(const struct rf_validator *v, uint32_t key, const struct rf_bank_state *s,
                      uint8_t *out);
/** Its content hash, 0 where it is closed. */
uint64_t rf_vaccount_hash(struct rf_validator *v, uint32_t key, const struct rf_bank_state *s);
/** What can become of an account's JSON. */
enum rf_vwritten {
    RF_VWRITTEN,
    RF_VWRITTEN_TOO_LONG, /* base58 of over 128 bytes */
    RF_VWRITTEN_NULL      /* there is none */
};
/** Whether an account is there. */
static inline bool rf_vaccount_there(const struct rf_bank_state *s)
{
    return s != NULL && s->lamports > 0;
}
/**
 * Append an account's JSON.
 * @param s   NULL or closed: with `ws` the default account, else null.
 * @param ws  as subscriptions tell it: too long base58 becomes the error text, members in the
 *            order of agave's struct; else in alphabetical order.
 */
enum rf_vwritten rf_vaccount_json(struct rf_validator *v, uint32_t key,
                                  const struct rf_bank_state *s, const struct rf_vask *ask, bool ws,
                                  struct rf_buf *out);
/** Whether an account is the program's and passes the filters. */
bool rf_vaccount_match(struct rf_validator *v, uint32_t key, const struct rf_bank_state *s,
                       uint16_t owner, const struct rf_vask *ask);
/** Read a config object. @param bad out: why not. @return false: -32602 with `bad`. */
bool rf_vask_read(const struct rf_validator *v, struct rpcfan_slice config, struct rf_vask *ask,
                  const char **bad);
/** Read raw filters alone. @return false: they are bad. */
bool rf_vask_filters(struct rpcfan_slice filters, struct rf_vask *ask);
/** Read a quoted base58 key. */
bool rf_vkey_read(struct rpcfan_slice json, uint8_t id[32]);
/** The index of a program's id, or UINT16_MAX. */
uint16_t rf_vowner_find(const struct rf_validator *v, const uint8_t id[32]);

/* validator_ledger.c */

/** Make programs and keys, and the accounts that are there from the beginning. */
bool rf_vledger_begin(struct rf_validator *v, struct rf_bank *first);
/** Write what a bank writes. */
void rf_vledger_write(struct rf_validator *v, struct rf_bank *bank);
/** The signature of the transaction that wrote a key in a bank. @param out 90 bytes. @return
 * letters. */
size_t rf_vledger_signature(uint64_t slot, uint32_t key, char *out);
/** An even spread of two numbers. */
uint64_t rf_vmix(uint64_t a, uint64_t b);
/** Whether something with this chance in a thousand happens. */
bool rf_vchance(struct rf_rng *rng, uint64_t permille);

/* validator_chain.c */

/** The first bank. */
bool rf_vchain_begin(struct rf_validator *v, uint64_t at_ns);
/** One slot. */
void rf_vchain_tick(struct rf_validator *v);

/* validator_view.c */

/** When a node does something next. */
uint64_t rf_vview_next(const struct rf_validator *v, const struct rf_vview *n);
/** Do it. */
void rf_vview_go(struct rf_validator *v, uint32_t node);
/** Queue a job. */
void rf_vview_job(struct rf_validator *v, struct rf_vview *n, const struct rf_vjob *job);
/** The slot of a commitment level as a node sees it. */
uint64_t rf_vview_slot(const struct rf_vview *n, enum rpcfan_commitment c);
/** Begin, with all that has happened. */
void rf_vview_begin(struct rf_validator *v, uint32_t node);
/** Free. */
void rf_vview_fini(struct rf_vview *n);

/* validator_subs.c */

/** A subscription's bank has changed: tell those who want to know (accounts, programs, logs,
 * signatures). */
void rf_vsubs_bank(struct rf_validator *v, struct rf_vview *n, struct rf_bank *bank,
                   enum rpcfan_commitment c);
/** Tell slots, roots and updates. @param body what stands behind "result":. */
void rf_vsubs_tell(struct rf_validator *v, struct rf_vview *n, enum rf_vsub_kind kind,
                   const char *body);
/** The notifier heard of a subscription. */
void rf_vsubs_activate(struct rf_validator *v, struct rf_vview *n, uint64_t id);
/** Add a session to a subscription, which is shared by all who want the same (R13). @param want its
 * kind, ask, target, key, owner and all are read. @return false: out of memory. */
bool rf_vsubs_add(struct rf_validator *v, struct rf_vsession *s, const struct rf_vsub *want,
                  uint64_t *id);
/** Take a session off one. @return false: it has none with this id. */
bool rf_vsubs_remove(struct rf_validator *v, struct rf_vsession *s, uint64_t id);
/** A session is over. */
void rf_vsubs_forget(struct rf_validator *v, struct rf_vsession *s);

/* validator_ws.c */

/** Send a frame to a session, through its faults. */
void rf_vws_frame(struct rf_validator *v, struct rf_vsession *s, const char *text, size_t len,
                  bool notification);
/** Close one from this side. @param code 0: without a frame. */
void rf_vws_close(struct rf_validator *v, struct rf_vsession *s, int code);
/** A slot has passed on a node: what goes wrong with its sessions. */
void rf_vws_slot(struct rf_validator *v, uint32_t node);
/** When the first session will have been silent for too long. */
uint64_t rf_vws_idle(const struct rf_validator *v);
/** Close those that were. */
void rf_vws_close_idle(struct rf_validator *v);
/** Free all sessions. */
void rf_vws_fini(struct rf_validator *v);

/* validator_http.c, validator_scan.c */

/** Append an error object. @return true: `error`. */
bool rf_vhttp_error(struct rf_buf *out, int64_t code, const char *message, const char *data);
/** Choose the bank for a read, and what slot it is said to be of. @return NULL: the error was
 * appended. */
struct rf_bank *rf_vhttp_bank(struct rf_validator *v, uint32_t node, const struct rf_vask *ask,
                              uint64_t *said, struct rf_buf *out);
/** Append `{"context":{...},"value":`. */
void rf_vhttp_context(struct rf_buf *out, uint64_t slot);
/** getProgramAccounts. @return true: an error was appended. */
bool rf_vscan_program(struct rf_validator *v, uint32_t node, struct rpcfan_slice params,
                      struct rf_buf *out);
/** getProgramAccountsV2. */
bool rf_vscan_pages(struct rf_validator *v, uint32_t node, struct rpcfan_slice params,
                    struct rf_buf *out);

#endif
