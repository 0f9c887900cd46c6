/* client.h - the inside of a client: what other threads share with the loop thread, and what only
 * the loop thread touches. Internal to src/client. */
#ifndef RF_CLIENT_CLIENT_H
#define RF_CLIENT_CLIENT_H

#include <pthread.h>
#include <stdatomic.h>
#include <uv.h>

#include "base/log.h"
#include "core/core.h"
#include "net/http.h"

#define RF_TAIL_INLINE 232 /* bytes of method and params kept without an allocation */
#define RF_SLAB_CHUNK 128

/** A call and, later, its result: one slab object from submit to the last unref. */
struct rpcfan_result {
    struct rf_call call; /* the core's while it is pending */
    rpcfan_client_t *client;
    rpcfan_call_cb cb;
    rpcfan_cq_t *cq;
    void *arg;
    rpcfan_element_cb element; /* of a streamed call */
    void *element_arg;
    atomic_uint refs;
    uint32_t slot, generation; /* name it for rpcfan_cancel(); under the client's lock */
    struct rf_link cancel;     /* in rf_inbox.cancels; under the client's lock */
    struct rf_link resume;     /* in rf_inbox.resumes, or the turn's; likewise */
    char *big_tail;            /* owned; NULL where the tail is inline */
    char tail[RF_TAIL_INLINE];
};

/** Facts, and the tree of jansson's that their names point into. */
struct rf_fact_book {
    void *root;
    struct rf_fact *fact; /* owned */
    size_t n, cap;
};

/** What a thread asks of the loop thread. */
enum rf_query { RF_QUERY_STATUS, RF_QUERY_LEARNED, RF_QUERY_LEARN };

/** A thread that waits for the loop thread to look at, or change, what the core knows. Lives on its
 * stack. */
struct rf_status_wait {
    struct rf_status_wait *next;
    enum rf_query query;
    struct rf_buf text;         /* STATUS, LEARNED: the answer */
    const struct rf_fact *fact; /* LEARN: n_facts of them */
    size_t n_facts;
    bool done, closed;
};

/** Shared between threads, under `lock`. */
struct rf_inbox {
    pthread_mutex_t lock;
    pthread_cond_t room;      /* pending went down, or the client closed */
    pthread_cond_t status;    /* a status text is ready */
    struct rf_link submitted; /* rf_call.link */
    struct rf_link unused;    /* free results */
    struct rf_link commands;  /* rf_live_cmd.link */
    struct rf_link cancels;   /* rpcfan_result.cancel: to be canceled where not answered by then */
    struct rf_link resumes;   /* rpcfan_result.resume: streamed calls that are to go on */
    struct rf_status_wait *status_waits;
    uint32_t pending, pending_max;
    uint64_t bytes, bytes_max;
    uint32_t waiters;                  /* threads in rpcfan_call_wait() for room */
    uint32_t per_s;                    /* completions in the last second, for retry_in_ms */
    uint64_t wait_ns[RF_NETWORKS_MAX]; /* by network: how long a new call would wait */
    bool woken;                        /* the async was sent and not yet served */
    bool closing;                      /* no more calls */
    bool async_open;
    int close_mode;               /* asked for and not yet handed to the core; -1: none */
    struct rpcfan_result **chunk; /* owned; each RF_SLAB_CHUNK results */
    uint32_t n_chunks;
};

/** What the client keeps of a network beside the core. */
struct rf_client_network {
    enum rpcfan_family family;
    uint32_t first, end; /* its endpoints among all */
};

struct rf_live;

struct rpcfan_client {
    struct rf_inbox in;

    /* set up once */
    struct rpcfan_endpoint_options **endpoint; /* owned copies, by endpoint id */
    uint32_t n_endpoints, n_networks;
    struct rf_client_network *network; /* owned */
    uint64_t seed;
    struct rf_log log;
    uv_loop_t *loop;
    uv_loop_t own_loop;
    bool own_thread;
    pthread_t thread;

    /* the loop thread's */
    pthread_t loop_thread; /* with the user's loop: whoever made the client */
    struct rf_core *core;
    struct rf_http *http;
    struct rf_live *live;   /* subscriptions and feeds */
    struct rf_event *event; /* owned; room for a whole turn */
    struct rf_link replies; /* rf_exchange.link */
    uv_async_t async;
    uv_prepare_t prepare;
    uv_check_t check;
    uv_timer_t timer;
    uint64_t turn_ns; /* the time of the turn that runs; 0 between turns */
    bool dirty;       /* a turn is due */
    bool resuming;    /* streamed calls were told to go on */
    bool stopping;    /* http is being closed */
    int open_handles, open_wires;
    uint64_t armed_ns;
    uint64_t second, second_done; /* completions a second */
    rpcfan_closed_cb closed_cb;
    void *closed_arg;
    atomic_bool closed;
};

/** Copy endpoint options with all their strings. @return owned, or NULL. */
struct rpcfan_endpoint_options *rf_endpoint_options_copy(const struct rpcfan_endpoint_options *o);
/** Free a copy. NULL is ignored. */
void rf_endpoint_options_free(struct rpcfan_endpoint_options *o);

/** A fresh result from the slab. Call with the lock held. @return NULL when out of memory. */
struct rpcfan_result *rf_result_take(rpcfan_client_t *c);
/** One owner less. @return whether it was the last: what the result held is freed then, and it must
 * be put back. Thread: any. */
bool rf_result_drop(struct rpcfan_result *r);
/** Put a result back that has no owner left. Call with the lock held. */
void rf_result_put(struct rpcfan_result *r);
/** The live result that an id names, or NULL. Call with the lock held. */
struct rpcfan_result *rf_result_find(rpcfan_client_t *c, rpcfan_call_id id);
/** Free the slab. */
void rf_result_free_all(rpcfan_client_t *c);

/** Make the loop take a turn soon. Call with the lock held. */
void rf_client_wake(rpcfan_client_t *c);
/** Release `calls` and `bytes` of the pending cap. Takes the lock. */
void rf_client_release(rpcfan_client_t *c, uint32_t calls, uint64_t bytes);
/** Whether this is the loop thread. */
bool rf_client_on_loop(const rpcfan_client_t *c);
/** Append answers to a completion queue: takes the list over. */
void rf_cq_push(rpcfan_cq_t *cq, struct rf_link *list);
/** Answer a query. Thread: loop's. */
void rf_client_answer(rpcfan_client_t *c, struct rf_status_wait *w, uint64_t now_ns);
/** Read what rpcfan_learned() wrote into facts; what has expired since is left out.
 * @return 0, RPCFAN_EINVAL or RPCFAN_ENOMEM; the book is to be freed in each case. Thread: any. */
enum rpcfan_err rf_learn_read(const char *json, uint64_t age_ns, struct rf_fact_book *out,
                              struct rpcfan_error *err);
/** Free. */
void rf_learn_free(struct rf_fact_book *b);
/** Start the loop handles. @return 0 or RPCFAN_EIO. Thread: loop's. */
enum rpcfan_err rf_turn_start(rpcfan_client_t *c);
/** Build the HTTP side; its replies come to the turn. @return as rf_http_new(). Thread: loop's. */
enum rpcfan_err rf_turn_http(rpcfan_client_t *c, uint32_t in_flight, struct rpcfan_error *err);

#endif
