/* feed_int.h - the account feed's inside: shared by src/feed/feed*.c and their unit tests alone. */
#ifndef RF_FEED_FEED_INT_H
#define RF_FEED_FEED_INT_H

#include "base/list.h"
#include "base/rng.h"
#include "feed/content.h"
#include "feed/feed.h"
#include "feed/filter.h"
#include "feed/holds.h"
#include "feed/keys.h"
#include "feed/queue.h"

/* Figures of the algorithm; the reasons stand in feed.c. */
#define RF_FEED_FENCE_NS RF_SEC
#define RF_FEED_SLOT_NS (400 * RF_MS)
#define RF_FEED_LEGS 4
#define RF_FEED_ROWS_OUT 256 /* items of one answer that are looked at between two checks */
#define RF_FEED_CROWDED 25
#define RF_FEED_ROOMY 10
#define RF_FEED_MARGIN 2
#define RF_FEED_SETTLE_NS (500 * RF_MS)
#define RF_FEED_DATA_RING 16
#define RF_FEED_JUMP 10000
#define RF_FEED_LEAP 512
#define RF_FEED_LANE_NS RF_SEC
#define RF_FEED_JUDGE_SLOTS 4
#define RF_FEED_VERDICTS 64
#define RF_FEED_TIMEOUT_NS (60 * RF_SEC)
#define RF_FEED_ROWS_NS (6 * 3600 * RF_SEC)
#define RF_FEED_REST_NS (2 * RF_SEC)
#define RF_FEED_REST_MOST_NS (600 * RF_SEC)

/** A connection. */
struct rf_feed_session {
    uint64_t id;
    uint64_t heard; /* highest slot of its slot feed; 0: none yet */
    uint64_t root;  /* highest root that it told in slot notes */
    uint64_t named; /* highest root that its root feed named */
    uint64_t claim; /* a slot that nobody believed yet */
    uint64_t
        data[RF_FEED_DATA_RING]; /* the highest different slots of its notifications, falling */
    uint64_t data_ns[RF_FEED_DATA_RING]; /* when each was told first */
    uint64_t told;                       /* all up to here has come, by what was told after it */
    uint32_t fenced;                     /* legs with a fence */
    struct rf_link waiting;              /* legs that wait for their fence, in order */
};

/** One subscription of a unit as it stands on one connection. */
struct rf_feed_leg {
    struct rf_link waiting;
    struct rf_feed_session *session; /* NULL: free */
    uint64_t up_ns, fence; /* fence: what it missed is of this slot or before; 0: not yet */
    uint32_t unit;
};

/** What is covered or not as one: an account, or the program. */
struct rf_feed_unit {
    uint64_t sub; /* the engine's id; 0: none */
    struct rf_feed_leg leg[RF_FEED_LEGS];
    uint64_t hold, lost; /* of a program's: holds the watermark; told up to here before the gap */
    bool complete;       /* read at or above the fence of a leg that still stands */
    uint64_t again_ns;   /* refused: subscribe again then; RF_NEVER: it is not */
};

/** Why accounts are read. */
enum rf_feed_why { RF_FEED_REPAIR, RF_FEED_SWEEP, RF_FEED_AUDIT };

enum rf_feed_kind { RF_FEED_ACCOUNTS, RF_FEED_ROWS, RF_FEED_PAGE, RF_FEED_GET_SLOT };

/** A call under way. */
struct rf_feed_read {
    struct rf_link link;
    uint64_t token, floor, sent_ns;
    enum rf_feed_kind kind;
    enum rf_feed_why why;
    bool canceled;
    uint32_t n;
    uint32_t number[]; /* of the accounts */
};

/** How a program's accounts are listed. */
enum rf_feed_mode {
    RF_FEED_WHOLE,      /* getProgramAccounts, streamed */
    RF_FEED_PAGES,      /* getProgramAccountsV2 */
    RF_FEED_KEYS,       /* keys first (dataSlice of nothing), then getMultipleAccounts */
    RF_FEED_SHARDS,     /* by the first byte of the data */
    RF_FEED_SHARD_KEYS, /* both */
    RF_FEED_MODES
};

/** A walk over all accounts of the program. */
struct rf_feed_walk {
    bool busy, diff; /* diff: the keys alone, to find what the stream did not tell */
    bool again;      /* processed: a fork was left, list all of a small program */
    bool second;     /* likewise, behind what has changed since the gap: what has gone in it */
    bool paused, lower, broken; /* lower: a row is from before the floor; broken: one is lost */
    enum rf_feed_mode mode;
    uint32_t id;                     /* marks the accounts that it saw */
    uint32_t shard;                  /* 0 to 256 */
    uint32_t tries, refusals, limit; /* limit: accounts a page */
    uint64_t token;                  /* of the call under way; 0: none */
    uint64_t floor, slot_min, hold, due_ns, next_diff_ns, ended_ns, rest_ns;
    uint64_t redo; /* something was lost meanwhile, after this slot; RF_NEVER: not */
    uint64_t rows;
    uint64_t since_slot;  /* changedSinceSlot; 0: all */
    struct rf_buf cursor; /* paginationKey, with its quotes */
};

/** A check's finding that the stream has yet to tell. */
struct rf_feed_verdict {
    uint32_t number;
    uint64_t slot, session, hash, until_ns;
};

/** A list of accounts by their `next`. */
struct rf_feed_list {
    uint32_t head, tail, n;
};

/** News of an account, or what a read found. */
struct rf_feed_news {
    uint64_t slot, session, hash, since;
    bool live, there, left, backing; /* backing: confirmed news in a processed feed */
    struct rpcfan_slice json;
    struct rf_blob *blob;
};

/** What became of news. */
enum rf_feed_merged { RF_FEED_STALE, RF_FEED_SAME, RF_FEED_KEPT, RF_FEED_TAKEN };

struct rf_feed_forks;
struct rf_feed_pending;

struct rf_feed {
    struct rf_feed_ops ops;
    const struct rf_log *log;
    struct rf_rng rng;

    /* what is wanted */
    bool program, once, started;
    uint8_t program_key[32];
    char *filters; /* owned; NULL */
    struct rf_filters filter;
    enum rpcfan_commitment commitment;
    const char *commitment_text, *sub_commitment_text, *encoding_text;
    uint32_t calls_max, inputs, audit_keys;
    uint64_t sweep_ns, audit_ns;
    enum rpcfan_overflow overflow;

    /* what is known */
    struct rf_keys keys;
    uint64_t there; /* accounts */
    struct rf_feed_unit *unit;
    uint32_t n_units, n_incomplete, n_idle; /* idle: not subscribed to */
    uint64_t idle_ns;                       /* when to try again */
    struct rf_feed_session **session;
    uint32_t n_sessions, sessions_cap;
    uint64_t tip;      /* highest slot heard of */
    uint64_t data_tip; /* highest slot known to be of the commitment that is read */
    uint64_t root;     /* highest root heard of */
    uint64_t fence_max, seed_slot, once_slot, tomb_slot;
    struct rf_holds holds;

    /* what is to be read */
    struct rf_feed_list dirty, doubt[2];
    uint32_t n_dirty, n_bad;
    uint64_t lane_ns, bad_ns;
    uint64_t unripe_root; /* nothing on `dirty` may be read before this slot is a root */
    struct rf_link reads;
    uint32_t n_reads;
    uint64_t next_token, pause_until_ns;
    uint32_t failures, auth_failures, inputs_now, good_reads;
    uint64_t behind_since_ns;
    bool ever_answered;
    struct rf_feed_walk walk;
    struct rf_buf params;

    /* checks */
    uint32_t sweep_at, sweep_left;
    uint64_t sweep_due_ns, audit_due_ns;
    struct rf_feed_verdict verdict[RF_FEED_VERDICTS];
    uint32_t n_verdicts;

    /* other commitments */
    struct rf_feed_pending *pending;
    struct rf_feed_forks *forks;

    /* what goes out */
    struct rf_queue queue;
    uint64_t seq, watermark, now_ns;
    uint64_t covered; /* all changes up to here have come, at the commitment */
    uint64_t heard;   /* finalized: likewise at "confirmed" */
    bool pressed,
        crowded; /* the queue holds too much: for reads; for a walk, whose rows can wait */
    bool complete, complete_told, wake;
    bool new_mark; /* it changed since the last take */
    enum rpcfan_err failed;
    char why[160];
    struct {
        uint64_t notes, events, same, stale, gaps, repairs, missed, malformed, calls;
        uint64_t refused; /* events that the queue did not take in, or that were not even made */
    } count;
};

/* feed_options.c */

/** Check public options. */
enum rpcfan_err rf_feed_options_check(const struct rpcfan_feed_options *o,
                                      struct rpcfan_error *err);

/* feed_params.c: parameters of calls, in `f->params`; len 0: out of memory */

/** Of a subscription to an account, or (number RF_KEY_NONE) to the program. */
struct rpcfan_slice rf_feed_params_sub(struct rf_feed *f, uint32_t number, const char *commitment);
/** Of getMultipleAccounts. */
struct rpcfan_slice rf_feed_params_accounts(struct rf_feed *f, const struct rf_feed_read *r);
/** Of getProgramAccounts or its pages, as the walk stands. */
struct rpcfan_slice rf_feed_params_walk(struct rf_feed *f);
/** Of getSlot. */
struct rpcfan_slice rf_feed_params_slot(struct rf_feed *f);

/* feed_cover.c: connections, legs, fences, gaps */

/** The session of an id, made where it is new. @return NULL when out of memory. */
struct rf_feed_session *rf_feed_session_of(struct rf_feed *f, uint64_t id);
/** Slot, root, up, down, session notes. */
void rf_feed_cover_note(struct rf_feed *f, const struct rf_note *n);
/** A notification of this slot came. @return false where the slot cannot be. */
bool rf_feed_cover_data(struct rf_feed *f, struct rf_feed_session *s, uint64_t slot);
/** A slot that an answer told. @return false where it cannot be. */
bool rf_feed_cover_slot(struct rf_feed *f, uint64_t slot);
/** The slot up to which a session has told everything. */
uint64_t rf_feed_cover_of(const struct rf_feed *f, struct rf_feed_session *s);
/** Raise `f->covered` and `f->heard` as far as all that cover something have told. */
void rf_feed_cover_all(struct rf_feed *f);
/** Something of a unit's is lost that its legs have brought: it has to be read at the tip. */
void rf_feed_cover_lost(struct rf_feed *f, uint32_t unit, const char *why);
/** A unit was read at a slot. */
void rf_feed_cover_read(struct rf_feed *f, uint32_t unit, uint64_t slot);
/** The lowest fence of a unit's legs that stand; 0: none. */
uint64_t rf_feed_cover_fence(const struct rf_feed_unit *u);
/** The program has to be listed anew, whatever its subscription says. */
void rf_feed_cover_again(struct rf_feed *f, const char *why);
/** Subscribe to what is not subscribed to and is due. */
void rf_feed_cover_step(struct rf_feed *f);
/** When rf_feed_cover_step() is due. */
uint64_t rf_feed_cover_deadline(const struct rf_feed *f);
/** Free the sessions. */
void rf_feed_cover_fini(struct rf_feed *f);

/* feed_merge.c */

/** Merge news of an account. */
enum rf_feed_merged rf_feed_merge(struct rf_feed *f, uint32_t number, const struct rf_feed_news *n);
/** The account of a key, made where it is new. RF_KEY_NONE: out of memory, and the program will be
 * listed again. */
uint32_t rf_feed_account(struct rf_feed *f, const uint8_t key[32]);

/* feed_data.c: notifications and rows */

/** A notification of a subscription. */
void rf_feed_data_note(struct rf_feed *f, const struct rf_note *n);
/** An account or null that a read found. @return false where it cannot be read. */
bool rf_feed_data_found(struct rf_feed *f, uint32_t number, struct rpcfan_slice json,
                        struct rf_feed_news *n);
/** Whether news of this slot may be of a closed account that was forgotten since: then it is read
 * instead. */
bool rf_feed_data_buried(struct rf_feed *f, uint32_t number, uint64_t slot);
/** {"context":{"slot":N},"value":V}. @return false where it is not that. */
bool rf_feed_data_context(struct rpcfan_slice json, uint64_t *slot, struct rpcfan_slice *value);
/** {"pubkey":"...","account":{...}}. @return false where it is not that. */
bool rf_feed_data_row(struct rpcfan_slice json, uint8_t key[32], struct rpcfan_slice *account);

/* feed_dirty.c: what is to be read */

/** An account has to be read; until then the watermark stays at `hold` or below. */
void rf_feed_dirty(struct rf_feed *f, uint32_t number, uint64_t hold);
/** What is known of the account at its slot may be wrong: read it unless later news come first. */
void rf_feed_doubt(struct rf_feed *f, uint32_t number);
/** Later news came, or it was read: it needs nothing more. */
void rf_feed_clean(struct rf_feed *f, uint32_t number);
/** A read of the account ended. @param read it was read, and merged; else it must be again. */
void rf_feed_dirty_end(struct rf_feed *f, uint32_t number, bool read);
/** The node refuses to read it: it is asked for alone, now and then. */
void rf_feed_dirty_bad(struct rf_feed *f, uint32_t number);
/** Up to `n` accounts to read now. */
uint32_t rf_feed_dirty_take(struct rf_feed *f, uint32_t *number, uint32_t n);
/** The slot that a read of the account must have reached. */
uint64_t rf_feed_dirty_need(const struct rf_feed *f, uint32_t number);
/** Let the watermark stay at `hold` for this account. */
void rf_feed_hold(struct rf_feed *f, struct rf_key *e, uint64_t hold);
/** What it holds it at. */
uint64_t rf_feed_hold_of(const struct rf_feed *f, const struct rf_key *e);
/** Move the doubted on where their time has come. */
void rf_feed_lanes(struct rf_feed *f);

/* feed_read.c: calls */

/** Room for one more call? */
bool rf_feed_read_room(const struct rf_feed *f);
/** A call object with room for `n` accounts. @return NULL when out of memory. */
struct rf_feed_read *rf_feed_read_new(struct rf_feed *f, enum rf_feed_kind kind, uint32_t n);
/** Send a getMultipleAccounts of the accounts that are in it. */
void rf_feed_read_accounts(struct rf_feed *f, struct rf_feed_read *r);
/** Hand a call out. */
void rf_feed_read_send(struct rf_feed *f, struct rf_feed_read *r, const char *method,
                       struct rpcfan_slice params);
/** The call of a token, or NULL. */
struct rf_feed_read *rf_feed_read_find(const struct rf_feed *f, uint64_t token);
/** Start what may be started. */
void rf_feed_read_step(struct rf_feed *f);
/** An answer of getMultipleAccounts or getSlot. */
void rf_feed_read_answer(struct rf_feed *f, struct rf_feed_read *r, const struct rf_feed_answer *a);
/** When a read may start that may not now. */
uint64_t rf_feed_read_deadline(const struct rf_feed *f);
/** How long until a node that stands at `slot` may be expected at `floor`. */
uint64_t rf_feed_read_wait(uint64_t floor, uint64_t slot);
/** Start no read before so long a time. */
void rf_feed_read_pause(struct rf_feed *f, uint64_t wait_ns);
/** The floor of reads now, where accounts alone need `need`. */
uint64_t rf_feed_read_floor(const struct rf_feed *f, uint64_t need);
/** Whether nodes can have this slot at the commitment by now. */
bool rf_feed_read_ripe(const struct rf_feed *f, uint64_t slot);

/* feed_fail.c: what failures mean */

/** What a failed call means for the next one. */
enum rf_feed_failed {
    RF_FEED_FAIL_AGAIN,   /* later; the pause is set */
    RF_FEED_FAIL_WAIT,    /* the node is not that far: later; no failure */
    RF_FEED_FAIL_LESS,    /* ask for less at one time */
    RF_FEED_FAIL_PARAMS,  /* something that was asked for is wrong */
    RF_FEED_FAIL_REFUSED, /* this form is refused */
    RF_FEED_FAIL_GIVE_UP  /* the feed has failed */
};
/** Judge a failure. @param wait_ns out: how long. @param told out: inputs that are allowed; 0: not
 * told. */
enum rf_feed_failed rf_feed_failure(struct rf_feed *f, const struct rf_feed_answer *a,
                                    uint64_t floor, uint64_t *wait_ns, uint32_t *told);
/** The feed gives up. */
void rf_feed_give_up(struct rf_feed *f, enum rpcfan_err e, const char *why);

/* feed_row.c: rows of a walk */

/** A row of a streamed answer. */
void rf_feed_row_come(struct rf_feed *f, const struct rf_feed_row *row);
/** All accounts of a page. @param cursor out: its paginationKey; len 0: it was the last.
 * @return false where it is none. */
bool rf_feed_row_page(struct rf_feed *f, struct rpcfan_slice json, struct rpcfan_slice *cursor);
/** All that the walk should have seen and did not are to be read. */
void rf_feed_row_absent(struct rf_feed *f);

/* feed_walk.c: a program's accounts listed */

/** Start, or go on. */
void rf_feed_walk_step(struct rf_feed *f);
/** Stop its call. */
void rf_feed_walk_cancel(struct rf_feed *f);
/** The call ended. */
void rf_feed_walk_answer(struct rf_feed *f, struct rf_feed_read *r, const struct rf_feed_answer *a);
/** When it is due. */
uint64_t rf_feed_walk_deadline(const struct rf_feed *f);

/* feed_check.c: sweep, audit, verdicts */

/** Do what is due. */
void rf_feed_check_step(struct rf_feed *f);
/** A check found news of this account. */
void rf_feed_check_found(struct rf_feed *f, uint32_t number, uint64_t slot);
/** When it is due. */
uint64_t rf_feed_check_deadline(const struct rf_feed *f);

/* feed_out.c: events, watermark */

/** Make an event of an account's state. */
void rf_feed_emit(struct rf_feed *f, uint32_t number, const struct rf_feed_news *n);
/** See how full the queue is. */
void rf_feed_measure(struct rf_feed *f);
/** Move the watermark as far as it may go. */
void rf_feed_advance(struct rf_feed *f);
/** Free what waits. */
void rf_feed_out_fini(struct rf_feed *f);

/* feed_pending.c: finalized */

/** Set up. @return false when out of memory. */
bool rf_feed_pending_init(struct rf_feed *f);
/** Keep news until their slot is a root. @param bad they could not be read. */
void rf_feed_pending_add(struct rf_feed *f, uint32_t number, const struct rf_feed_news *n,
                         bool bad);
/** A slot is a root. */
void rf_feed_pending_root(struct rf_feed *f, uint64_t slot);
/** How far the watermark may go for what waits. */
uint64_t rf_feed_pending_hold(const struct rf_feed *f);
/** Free. */
void rf_feed_pending_fini(struct rf_feed *f);

/* feed_forks.c: processed */

/** Set up. @return false when out of memory. */
bool rf_feed_forks_init(struct rf_feed *f);
/** A slot and its parent, and a root (0: none), told by a session. */
void rf_feed_forks_slot(struct rf_feed *f, const struct rf_note *n);
/** A session's news are of this slot: it is the tip that the node has chosen. */
void rf_feed_forks_tip(struct rf_feed *f, uint64_t session, uint64_t slot);
/** An account's state is of this slot now. */
void rf_feed_forks_log(struct rf_feed *f, uint32_t number, uint64_t slot);
/** Free. */
void rf_feed_forks_fini(struct rf_feed *f);

/** Remember why, for the status. */
void rf_feed_why(struct rf_feed *f, const char *fmt, ...) RF_PRINTF(2, 3);

#endif
