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
/** The connection is gone. */
void rf_validator_gone(struct rf_validator *v, uint64_t session);

#endif
