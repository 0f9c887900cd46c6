/* validator.h - the virtual validator: a Solana cluster as a client sees it. A bank tree with
 * forks, skipped slots and commitment levels (sim/bank.h); the server's rules of what is told to
 * whom and when; and every way in which real nodes lag, stall, drop and lie.
 *
 * It is the oracle: what was the state of each account at each slot and commitment is known. Pure:
 * time comes in, frames and answers go out. Driven in virtual time by sim/vfeed and over real
 * sockets by the fake node (`rpcfan sim --solana`). */
#ifndef RF_SIM_VALIDATOR_H
#define RF_SIM_VALIDATOR_H

#include "base/buf.h"
#include "base/rng.h"
#include "sim/bank.h"

struct rf_validator;

/** What goes out. `session` is the caller's name for a WebSocket connection. None may call the
 * validator. */
struct rf_validator_ops {
    void *arg;
    /** A text frame for a session, to be delivered at `at_ns` or later, in this order unless it is
     * said to be out of order by an earlier time. */
    void (*frame)(void *arg, uint64_t session, const char *text, size_t len, uint64_t at_ns);
    /** The node closes the session. @param code close code; 0: the connection just ends. */
    void (*closed)(void *arg, uint64_t session, int code, uint64_t at_ns);
};

/** An answer of the node to one JSON-RPC call over HTTP. */
struct rf_validator_answer {
    bool error;          /* `json` is an error object, else the result */
    struct rf_buf *json; /* appended to; the caller's */
    uint64_t delay_ns;   /* service time */
};

/** What was done so far; the faults apart, so that a test sees that they struck. */
struct rf_validator_count {
    uint64_t slots, skipped, forks, switches; /* switches: the side chain won */
    uint64_t writes, frames, notifications, calls;
    uint64_t dropped, doubled, reordered, truncated, garbled, stalled, closed;
    uint64_t pruned;                     /* banks the notifier came too late for */
    uint64_t skewed, torn, lied, behind; /* reads; behind: refused with -32016 */
    uint64_t no_memory;
};

/** The knobs, as text: `key=value` separated by spaces or newlines, see rpcfan-sim(1), "SOLANA";
 * NULL: a well-behaved node. */
struct rf_validator_options {
    uint64_t seed;
    const char *knobs;
};

/** Make a validator; its first slots are there at `now_ns`. @return 0, RPCFAN_ECONFIG (names the
 * knob) or RPCFAN_ENOMEM. */
enum rpcfan_err rf_validator_new(const struct rf_validator_options *o,
                                 const struct rf_validator_ops *ops, uint64_t now_ns,
                                 struct rf_validator **out, struct rpcfan_error *err);
/** Free. NULL is ignored. */
void rf_validator_free(struct rf_validator *v);
/** Change knobs while it runs. */
enum rpcfan_err rf_validator_set(struct rf_validator *v, const char *knobs,
                                 struct rpcfan_error *err);
/** Let time pass: slots are made, accounts written, notifications sent. */
void rf_validator_run(struct rf_validator *v, uint64_t now_ns);
/** When something happens next. */
uint64_t rf_validator_deadline(const struct rf_validator *v);

/** Whether a method is one of its own (HTTP). */
bool rf_validator_has(struct rpcfan_slice method);
/** Answer a call over HTTP. @param node which of its nodes is asked: 0, or 1 where there are two
 * (knob `nodes`). */
void rf_validator_call(struct rf_validator *v, uint32_t node, struct rpcfan_slice method,
                       struct rpcfan_slice params, uint64_t now_ns,
                       struct rf_validator_answer *out);

/** A client opened a WebSocket connection. */
void rf_validator_open(struct rf_validator *v, uint32_t node, uint64_t session, uint64_t now_ns);
/** It sent a text message. Replies and notifications come as frames. */
void rf_validator_receive(struct rf_validator *v, uint64_t session, const char *text, size_t len,
                          uint64_t now_ns);
/** It sent a ping: the connection is not idle. */
void rf_validator_pinged(struct rf_validator *v, uint64_t session, uint64_t now_ns);
/** The connection is gone. Also after ops->closed(): nothing happens then. */
void rf_validator_gone(struct rf_validator *v, uint64_t session);

/** The bank tree: the oracle. Borrowed. */
const struct rf_banks *rf_validator_banks(const struct rf_validator *v);
/** The id of its i-th program as base58; NULL: there is none. */
const char *rf_validator_program(const struct rf_validator *v, unsigned i);
/** The slot of a commitment level as one of its nodes sees it. */
uint64_t rf_validator_slot(const struct rf_validator *v, uint32_t node, enum rpcfan_commitment c);
/** Whether a state is the i-th program's and passes raw getProgramAccounts filters (len 0: none).
 * NULL and closed ones are not. */
bool rf_validator_match(struct rf_validator *v, uint32_t key, const struct rf_bank_state *s,
                        unsigned program, struct rpcfan_slice filters);
/** The hash of an account object that a node sent, as in rf_bank_state.hash. @return false where it
 * is none, or its data is cut. */
bool rf_validator_read(struct rpcfan_slice account, uint64_t *hash);
/** What was done. */
const struct rf_validator_count *rf_validator_counted(const struct rf_validator *v);

#endif
