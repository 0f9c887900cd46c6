/* vshell.h - the second shell: drives the same core in virtual time. No clock, no socket: an hour
 * of calls costs seconds, and a seed replays it to the byte.
 *
 * The caller supplies a provider that is asked for a reply when an exchange reaches it; the shell
 * lets it arrive when its time comes. Used by scenario files and property tests, and in numbers by
 * sim/vworld. */
#ifndef RF_SIM_VSHELL_H
#define RF_SIM_VSHELL_H

#include "base/rng.h"
#include "core/core.h"

/** What a provider decides about an exchange at the moment it arrives there. */
struct rf_vreply {
    uint64_t delay_ns; /* until the client has it; RF_NEVER: no answer */
    enum rf_transport transport;
    int status;
    uint64_t retry_after_ns; /* RF_NEVER: none */
    struct rf_rate_hint rate;
    const char *reason;
    struct rf_buf body; /* owned by the shell afterwards */
};

struct rf_vshell;

/** A request whose client gave up while it was still on its way: the node sees it all the same. */
struct rf_vghost {
    uint32_t endpoint, calls;
    char method[64]; /* of its first call; NUL-terminated */
};

/** Who is asked and told. All may be NULL but `serve`. */
struct rf_vhooks {
    void *arg;
    /** How long `ex`, sent at `now_ns`, travels to its node; RF_NEVER: it is lost. NULL: 0. */
    uint64_t (*travel)(void *arg, struct rf_exchange *ex, uint64_t now_ns);
    /** Decide what becomes of `ex`, which reaches its node at `now_ns`: all shells that share a
     * clock ask in the order of arrival. `out->delay_ns` counts from there. */
    void (*serve)(void *arg, struct rf_exchange *ex, uint64_t now_ns, struct rf_vreply *out);
    /** A ghost reaches its node. */
    void (*ghost)(void *arg, const struct rf_vghost *g, uint64_t now_ns);
    /** An element of the answer of a streamed call, when the whole answer has come; `first` as in
     * rpcfan_element. There is no stopping here. NULL: nobody listens. */
    void (*element)(void *arg, struct rf_call *c, const struct rpcfan_element *element);
    /** A call is answered; it is freed by the hook's owner. */
    void (*done)(void *arg, struct rf_call *c, uint64_t now_ns);
};

/** A virtual call: submitted by rf_vshell_submit(), freed by rf_vcall_free(). */
struct rf_vcall {
    struct rf_call call;
    struct rf_buf tail;
    uint64_t number;
    bool done;
    uint32_t slot; /* its maker's to use */
};

/**
 * Make a shell around a new core.
 * @param o    options of the core, seed included.
 * @param log  borrowed; may be NULL.
 * @return 0 or the core's error.
 */
enum rpcfan_err rf_vshell_new(const struct rpcfan_options *o, const struct rf_vhooks *hooks,
                              const struct rf_log *log, struct rf_vshell **out,
                              struct rpcfan_error *err);
/** Free; every call must be done and every exchange settled. */
void rf_vshell_free(struct rf_vshell *v);
/** The virtual time. */
uint64_t rf_vshell_now(const struct rf_vshell *v);
/** The core inside. */
struct rf_core *rf_vshell_core(struct rf_vshell *v);

/** Make a call; `method` and `params` are copied. @return owned, or NULL. */
struct rf_vcall *rf_vcall_new(uint64_t number, const char *method, const char *params);
/** Free a call that is done. */
void rf_vcall_free(struct rf_vcall *c);
/** Submit at the present time. @param deadline_ns absolute. Takes effect at the next run. */
void rf_vshell_submit(struct rf_vshell *v, struct rf_vcall *c, uint64_t deadline_ns);
/** Cancel a call that is not done. Takes effect at the next run. */
void rf_vshell_cancel(struct rf_vshell *v, struct rf_vcall *c);
/** Let the `n`-th allocation that the core makes from now on fail, and none of the shell's own; 0:
 * none. */
void rf_vshell_fail_at(struct rf_vshell *v, uint64_t n);
/** Close the core. Takes effect at the next run. */
void rf_vshell_close(struct rf_vshell *v, enum rpcfan_close_mode mode);
/** When something happens next by itself: the present where events wait; RF_NEVER: not at all. */
uint64_t rf_vshell_next(const struct rf_vshell *v);
/** Make a call that is done into a new one; keeps its memory. As rf_vcall_new(). */
void rf_vcall_renew(struct rf_vcall *c, uint64_t number, const char *method, const char *params);
/** Run until `until_ns`, stopping at every deadline and arrival on the way; time ends there. */
void rf_vshell_run(struct rf_vshell *v, uint64_t until_ns);

/** Append a member with a result to a reply body. */
void rf_vreply_result(struct rf_buf *b, uint64_t id, const char *json);
/** Append a member with an error to a reply body. */
void rf_vreply_error(struct rf_buf *b, uint64_t id, int64_t code, const char *message);

#endif
