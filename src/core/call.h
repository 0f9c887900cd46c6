/* call.h - the two objects that travel between core and shell: a call (one question of one caller)
 * and an exchange (one HTTP request with one or many calls inside, and its reply).
 *
 * Used by core, net (exchanges) and client (calls). Data only. */
#ifndef RF_CORE_CALL_H
#define RF_CORE_CALL_H

#include "base/blob.h"
#include "base/buf.h"
#include "base/due.h"
#include "base/list.h"
#include "core/join.h"
#include "json/split.h"
#include "policy/limiter.h"
#include "policy/rate_hint.h"

/** The list a call is on is its state; set_state() in core/queue.c is the only writer. */
enum rf_call_state {
    RF_CALL_NEW,     /* made by the shell, not yet handed to the core */
    RF_CALL_QUEUED,  /* on a class queue of its network */
    RF_CALL_DELAYED, /* waits in the delay heap for its next try */
    RF_CALL_SENT,    /* in an exchange */
    RF_CALL_SPREAD,  /* waits for its legs, see plan.h */
    RF_CALL_JOINED,  /* waits for the answer of an equal call, or of a leg that asks for it too */
    RF_CALL_DONE     /* answered; belongs to the shell again */
};

/** One call. The shell allocates it, the core owns it from RF_EV_SUBMIT until it is on `done`. */
struct rf_call {
    struct rf_link link;         /* class queue, or the actions' done list */
    struct rf_due_node deadline; /* in the core's deadlines from submit to done, at its own */
    struct rf_heap_node delay;   /* in the core's delay heap while RF_CALL_DELAYED */

    /* the question: set by the shell before submit */
    const char *tail; /* `"method":"...","params":...}` as rf_request_tail() writes it */
    size_t tail_len;
    uint32_t method_len;  /* the method stands at tail + RF_CALL_METHOD_AT */
    uint32_t network;     /* index */
    uint64_t deadline_ns; /* until when it may be worked on: of those that joined it the latest */
    uint64_t submitted_ns;
    uint32_t quorum;       /* 0: the network's */
    uint8_t policy, split; /* an rpcfan_policy and an rpcfan_split; 0: the network's */
    bool stream;           /* its answer comes in elements: it goes alone, to one endpoint */

    /* the core's books; what is small stands together */
    uint8_t state;        /* an rf_call_state */
    bool once;            /* must never be sent twice */
    bool read;            /* changes nothing: may be joined, hedged and asked of several */
    bool send;            /* a raw signed transaction */
    uint8_t cause;        /* an rf_class: what the latest verdict on it was */
    uint8_t need;         /* an rf_need_kind: what a node must have to answer it */
    bool needs_token;     /* DELAYED for want of retry budget */
    bool moved_free;      /* the one free move after a connect failure is used up */
    uint8_t tries;        /* failed tries that count */
    uint8_t requeues;     /* throttled tries */
    uint8_t laters;       /* tries that came too early */
    uint8_t depth;        /* of splitting */
    uint16_t sends;       /* times it was put on a wire */
    uint16_t gather_max;  /* in legs for so many at most; 1: alone; 0: as the node takes */
    uint32_t method_ix;   /* in the network's table of methods, or RF_METHOD_NONE */
    uint32_t class_ix;    /* class queue of its network */
    uint32_t batch_max;   /* own limit: halved to isolate a poison call; 0: none */
    uint64_t need_at;     /* block or slot */
    uint64_t only;        /* endpoints that it may go to (bit: index in the network); 0: all */
    uint64_t token_group; /* id_base of the exchange it failed in: one token for all of those */
    uint64_t tried;       /* endpoints (bit: index in the network) that failed it or sent it away */
    uint64_t away;        /* of them those that would only send it away again */
    struct rf_exchange *ex;   /* while RF_CALL_SENT */
    struct rf_join_node join; /* in the network's table while others may join it */
    struct rf_link joiners;   /* rf_call.link of those that did, or that a leg stands for; zeroed:
                                 none */
    struct rf_plan *plan;     /* what it is spread over, or its hedge; NULL: nothing */
    struct rf_plan *leg_of; /* a leg made by the core, never seen by the shell; NULL: a caller's */
    struct rf_gather *gather; /* with which others it may be asked for, see gather.h; NULL: none */
    struct rf_call *into;     /* while RF_CALL_JOINED: the leg for several; NULL: an equal call */
    uint32_t at;              /* its index in `ex`, or among the keys of `into` */

    /* the answer: set by the core before done */
    enum rpcfan_err err;
    bool space;           /* the JSON holds whitespace between tokens */
    struct rf_blob *blob; /* shared: what json points into; NULL: none */
    const char *json;     /* result (err 0) or error object (err RPCFAN_ERPC and others) */
    size_t json_len;
    const char *endpoint; /* name; borrowed from the core; NULL: none tried */
    char *detail;         /* owned (rf_free), or NULL: the text of `err` */
    uint64_t done_ns;
};

#define RF_CALL_METHOD_AT 10  /* behind `"method":"` */
#define RF_CALL_PARAMS_GAP 11 /* `","params":` between the method and its params */
#define RF_METHOD_NONE UINT32_MAX

/** The method, as it stands in the tail. Borrowed. */
static inline struct rpcfan_slice rf_call_method(const struct rf_call *c)
{
    return (struct rpcfan_slice){c->tail + RF_CALL_METHOD_AT, c->method_len};
}

/** The raw JSON of the params, as it stands in the tail. Borrowed. */
static inline struct rpcfan_slice rf_call_params(const struct rf_call *c)
{
    size_t at = RF_CALL_METHOD_AT + c->method_len + RF_CALL_PARAMS_GAP;
    return (struct rpcfan_slice){c->tail + at, c->tail_len - at - 1};
}

/** Milliseconds of an option in ns; saturates, so that "for ever" does not become an instant. */
static inline uint64_t rf_ms_ns(uint64_t ms)
{
    return ms > RF_NEVER / RF_MS ? RF_NEVER : ms * RF_MS;
}

/** What a call costs in the windows of an endpoint, and in those of its account. */
struct rf_price {
    struct rf_cost own, account;
};

/** How the transport fared, before anything is read into the body. */
enum rf_transport {
    RF_T_OK,        /* a whole response arrived */
    RF_T_CONNECT,   /* surely not sent: name, connect, handshake, or out of local means */
    RF_T_TIMEOUT,   /* sent, but no whole response in time */
    RF_T_RESET,     /* sent, then the connection broke or closed early */
    RF_T_TOO_BIG,   /* the response was over the cap; it was cut off */
    RF_T_TLS,       /* the certificate or the TLS set-up was refused */
    RF_T_CONFIG,    /* can never work as configured (bad URL, unknown protocol) */
    RF_T_MALFORMED, /* not HTTP, or a body that its content coding cannot decode */
    RF_T_ABORTED    /* the core asked for it */
};

/** What came back. Filled in by the shell. Of a streamed exchange the body is `rest` of
 * json/elements.h. */
struct rf_reply {
    enum rf_transport transport;
    int status;               /* HTTP status; 0: none */
    const char *reason;       /* static words for people: "connection refused"; NULL: none */
    uint64_t retry_after_ns;  /* from rf_retry_after(); RF_NEVER: none */
    struct rf_rate_hint rate; /* from the headers; rf_rate_hint_init(): none */
    struct rf_blob *blob;     /* the body, decoded; owned by the exchange; NULL: none arrived */
    struct rf_split split;    /* of the body; fed and finished by the shell where transport is OK */
    uint32_t resent;          /* times libcurl silently sent the request again */
    uint64_t bytes_out, bytes_in; /* on the wire as far as libcurl knows */
};

/** One HTTP request. The core makes and packs it, the shell sends it and hands it back once, with
 * the reply filled in, by RF_EV_REPLY. Pooled: body and split keep their memory. */
struct rf_exchange {
    struct rf_link link;   /* the actions' send or abort list; free list; then the shell's to use */
    struct rf_link flight; /* the core's list of exchanges on the wire */
    uint32_t endpoint;     /* which one: index over all networks, in the order of the options */
    uint32_t network, index; /* the same as network and index in it */
    struct rf_buf body;      /* the request */
    uint64_t timeout_ns;     /* the attempt's, from now on; `stream`: between two pieces */
    bool stream;             /* call[0] wants the elements; the reply is what surrounds them */
    bool fresh;              /* must go over a new connection (a call that is never sent twice) */
    bool batch;              /* the body is an array */
    bool trial;              /* of the learned batch cap */
    bool aborting;
    uint64_t sent_ns;
    uint64_t id_base;          /* call[i] has the id id_base + i */
    uint32_t n, cap, live;     /* calls packed; memory for; not yet answered */
    struct rf_call **call;     /* owned array; NULL where a call was answered early */
    uint32_t class_ix;         /* the class queue that all of them came from */
    struct rf_price price;     /* of each call */
    uint32_t extra;            /* calls charged for the batch itself */
    uint64_t stamp[2];         /* from rf_gate_take(): the endpoint's and the account's */
    struct rf_heap_node hedge; /* in the core's hedges until a second try is due */
    uint64_t generation;       /* breaker permit */
    void *net;                 /* the shell's */
    struct rf_reply reply;
};

#endif
