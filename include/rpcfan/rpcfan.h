/* rpcfan.h - the public API of librpcfan: JSON-RPC calls fanned out to blockchain nodes.
 *
 * A client owns one loop thread (or borrows your uv_loop_t), a set of networks, and in each network
 * one or more endpoints (nodes). A call goes into a network; the client batches, paces, retries and
 * routes it, and answers it exactly once: by a callback, in a completion queue, or by returning.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef RPCFAN_RPCFAN_H
#define RPCFAN_RPCFAN_H

#include <stddef.h>
#include <stdint.h>

#if defined(__GNUC__)
#define RPCFAN_API __attribute__((visibility("default")))
#else
#define RPCFAN_API
#endif

#ifdef __cplusplus
extern "C" {
#endif

#define RPCFAN_VERSION_MAJOR 0
#define RPCFAN_VERSION_MINOR 1
#define RPCFAN_VERSION_PATCH 0
#define RPCFAN_VERSION "0.1.0"

/** Every outcome a function or a call can have. The table with names and texts is in librpcfan(3).
 */
enum rpcfan_err {
    RPCFAN_OK = 0,      /**< success */
    RPCFAN_ENOMEM = 1,  /**< out of memory */
    RPCFAN_EINVAL = 2,  /**< a bad argument; the error text names it */
    RPCFAN_ECONFIG = 3, /**< a bad configuration; the error text gives file and line */
    RPCFAN_EBUSY = 4,   /**< the pending cap is reached, or the wait would outlast the deadline; try
                             again after retry_in_ms */
    RPCFAN_ECLOSED = 5, /**< the client is closing or closed */
    RPCFAN_ECANCELED = 6,   /**< canceled by the caller */
    RPCFAN_EDEADLINE = 7,   /**< the call's deadline passed */
    RPCFAN_ELIMIT = 8,      /**< the call costs more than a rate window ever allows */
    RPCFAN_ERPC = 9,        /**< the node answered with a JSON-RPC error object */
    RPCFAN_ETHROTTLED = 10, /**< still throttled (429) after every allowed requeue */
    RPCFAN_EQUOTA = 11,     /**< a day or month quota, or a plan, refuses the call */
    RPCFAN_EAUTH = 12,      /**< the key, origin or address was refused */
    RPCFAN_ECONNECT = 13,   /**< no endpoint could be reached (DNS, connect, TLS handshake) */
    RPCFAN_ETLS = 14,       /**< the server's certificate was refused */
    RPCFAN_ETIMEOUT = 15,   /**< sent, but no answer within the attempt timeout */
    RPCFAN_ERESET = 16,     /**< the connection broke after the request was sent */
    RPCFAN_ESERVER = 17,    /**< the node failed (HTTP 5xx or an internal error) */
    RPCFAN_EMALFORMED = 18, /**< the answer was not the JSON-RPC that was asked for */
    RPCFAN_ETOOBIG =
        19,          /**< the answer was over the response cap, or the request over the body cap */
    RPCFAN_EIO = 20, /**< reading or writing a local file failed */
    RPCFAN_EQUORUM = 21, /**< the endpoints disagree; the error object says who said what */
    RPCFAN_ERR_COUNT
};

/** What a function has to say about its failure. Caller-owned; may be passed as NULL. */
struct rpcfan_error {
    enum rpcfan_err code;
    uint32_t retry_in_ms; /**< set with RPCFAN_EBUSY: ms after which it may be admitted */
    char text[320];       /**< NUL-terminated; names the place and the remedy; never holds a URL */
};

/** Borrowed bytes, not NUL-terminated. */
struct rpcfan_slice {
    const char *data;
    size_t len;
};

typedef struct rpcfan_client rpcfan_client_t;
typedef struct rpcfan_result rpcfan_result_t;
typedef struct rpcfan_cq rpcfan_cq_t;

/** Names a call for rpcfan_cancel(). 0 is never a call. Never reused within a client. */
typedef uint64_t rpcfan_call_id;

/**
 * A call's completion. Called exactly once if and only if rpcfan_call() returned 0, never before it
 * returned. Thread: the loop thread; must not block. `res` is borrowed: rpcfan_result_ref() keeps
 * it.
 */
typedef void (*rpcfan_call_cb)(const rpcfan_result_t *res, void *arg);

/** Receives one log line (no newline, no secrets). Thread: loop. */
typedef void (*rpcfan_log_cb)(int level, const char *line, void *arg);

enum rpcfan_log_level {
    RPCFAN_LOG_ERROR = 0,
    RPCFAN_LOG_WARN = 1,
    RPCFAN_LOG_INFO = 2,
    RPCFAN_LOG_DEBUG = 3
};

/** Decides what error codes mean. */
enum rpcfan_family { RPCFAN_GENERIC = 0, RPCFAN_EVM = 1, RPCFAN_SOLANA = 2 };

/** What becomes of news that nobody takes in time. Whatever is dropped is counted and told. */
enum rpcfan_overflow {
    RPCFAN_LATEST = 0,      /**< one of a key: the newest replaces what waits; else DROP_OLDEST */
    RPCFAN_BLOCK = 1,       /**< stop reading; the node may then end the connection */
    RPCFAN_DROP_OLDEST = 2, /**< drop what waits longest */
    RPCFAN_DROP_NEWEST = 3  /**< drop what comes */
};

/** What a rate window counts. */
enum rpcfan_unit {
    RPCFAN_REQUESTS = 0, /**< each call (each member of a batch) costs 1 */
    RPCFAN_WEIGHT = 1    /**< each call costs its method's weight (credits) */
};

/** Which endpoints a call is sent to. A call of a kind that a policy is not for goes by
 * RPCFAN_BALANCE. */
enum rpcfan_policy {
    RPCFAN_POLICY_DEFAULT = 0, /**< a request: the network's; a network: balance */
    RPCFAN_BALANCE = 1,        /**< the best endpoint of the lowest priority that can serve */
    RPCFAN_FAILOVER = 2,       /**< the first by priority, then in the list, that can serve */
    RPCFAN_FIRST = 3,          /**< reads: to all that can serve; the first answer counts */
    RPCFAN_QUORUM = 4,         /**< reads: until `quorum` endpoints have given equal answers */
    RPCFAN_BROADCAST = 5       /**< raw sends: to all; the first acceptance counts */
};

/** Whether a call may be split. */
enum rpcfan_split {
    RPCFAN_SPLIT_DEFAULT = 0, /**< a request: the network's; a network: none */
    RPCFAN_SPLIT_NONE = 1,
    RPCFAN_SPLIT_RANGE = 2 /**< eth_getLogs and the like: by block range, results joined in order */
};

/** A rate window: at most `count` units in any `window_ms`. */
struct rpcfan_limit {
    uint64_t count;
    uint64_t window_ms;
    enum rpcfan_unit unit;
    const char *const *methods; /**< names, a trailing `*` matches a prefix; NULL: all methods */
    size_t n_methods;
    int each; /**< 1: every method that it covers has a window of its own; default 0 */
};

/** A limit that several endpoints share, of one network or of many: one key, one address.
 * Fill with rpcfan_account_options_init() first. */
struct rpcfan_account_options {
    size_t size;
    const char *name; /**< as rpcfan_endpoint_options.account names it */
    const struct rpcfan_limit *limits;
    size_t n_limits; /**< at most 16; `each` is not possible here */
};

/** What one call of a method costs in windows of unit RPCFAN_WEIGHT (default 1). */
struct rpcfan_weight {
    const char *method; /**< a name, or a prefix with a trailing `*` */
    uint32_t weight;
};

/** One node. Fill with rpcfan_endpoint_options_init() first. Strings are copied by the client. */
struct rpcfan_endpoint_options {
    size_t size;                /**< sizeof *this, set by _init */
    const char *name;           /**< how logs and errors call it; NULL: ep1, ep2, ... */
    const char *url;            /**< http(s)://host[:port]/path; may hold a key; never shown */
    const char *unix_socket;    /**< connect here instead of to the URL's host; or NULL */
    const char *proxy;          /**< proxy URL; NULL: from the environment; "": none */
    const char *const *headers; /**< "Name: value" lines added to each request */
    size_t n_headers;
    const char *jwt_secret; /**< 32 bytes as 64 hex digits: an HS256 token goes with each request */
    const char *cacert;     /**< PEM file of trusted certificates; NULL: the system's */
    int tls_insecure;       /**< 1: do not verify the certificate (tests only); default 0 */
    int http2;              /**< 1: offer HTTP/2 over TLS; default 0 (HTTP/1.1) */
    uint32_t priority;      /**< lower goes first; equal ones share the load; default 0 */
    uint32_t in_flight;     /**< HTTP requests at once; default 16 */
    uint32_t batch;         /**< calls a batch at most; 1: never batch; default 20 */
    uint64_t batch_bytes;   /**< request body bytes at most; default 256 KiB */
    uint64_t response_bytes;     /**< response body bytes at most, decompressed; default 64 MiB */
    uint64_t timeout_ms;         /**< one attempt; default 15000 */
    uint64_t connect_timeout_ms; /**< name, connect and TLS; default 3000 */
    uint64_t idle_ms; /**< connections idle for longer are not used again; default 15000 */
    const struct rpcfan_limit *limits;
    size_t n_limits; /**< at most 16 */
    const struct rpcfan_weight *weights;
    size_t n_weights;
    const char *account;  /**< shares the limits of this rpcfan_account_options, which also learns
                               from refusals in its place; NULL: none */
    uint32_t batch_cost;  /**< what a batch costs over its members, in calls; default 0 */
    uint32_t start_per_s; /**< calls/s to begin with where no limit is known; default 0: as many at
                               once as answers prove possible; not with an account */
    int learn;            /**< 1: learn the rate from refusals; default 1; not with an account */
    const char *ws_url;   /**< ws(s)://host[:port]/path for subscriptions; NULL: `url` with ws for
                               http; "": none */
    uint32_t ws_conns;    /**< WebSocket connections at most; default 8 */
    uint32_t ws_subs;     /**< subscriptions on one of them; default 100 */
    uint32_t ws_per_s;    /**< messages that subscribe, a second; default 50 */
    uint64_t ws_bytes;    /**< longest message from the node; default 64 MiB */
    uint64_t ws_ping_ms;  /**< silence after which it is pinged; two misses end it; default 15000 */
    uint64_t ws_lifetime_ms; /**< planned reconnect, the new one first; default 0: never */
    uint64_t ws_retry_ms;    /**< longest wait before a reconnect; default 30000 */
};

/** Nodes of one chain that can answer for each other. Fill with rpcfan_network_options_init()
 * first. */
struct rpcfan_network_options {
    size_t size;
    const char *name; /**< NULL: net1, net2, ... */
    enum rpcfan_family family;
    const struct rpcfan_endpoint_options *endpoints;
    size_t n_endpoints;      /**< 1 to 64 */
    uint64_t deadline_ms;    /**< a call, all tries included; default 60000 */
    uint32_t attempts;       /**< tries of a failing call; throttles not counted; default 3 */
    uint64_t linger_ms;      /**< wait this long to fill a batch; default 0 */
    const char *const *once; /**< further methods that must never be sent twice */
    size_t n_once;
    enum rpcfan_policy policy; /**< default RPCFAN_BALANCE */
    uint32_t quorum;           /**< equal answers that RPCFAN_QUORUM needs; default 2 */
    enum rpcfan_split split;   /**< default RPCFAN_SPLIT_NONE */
    uint32_t hedge_percent;    /**< second tries of slow reads, at most so many of 100 calls;
                                    default 0, at most 50 */
    int join;                  /**< 1: equal reads under way at one time are asked once; default
                                    0 */
    uint32_t lag_max;          /**< blocks or slots behind the best that a node may be for reads at
                                    the tip; 0: by family (EVM 3, Solana 50). On Solana below about
                                    40 only where all calls ask for one commitment */
    int gather; /**< 1: getAccountInfo calls that wait together and want the same are asked by one
                     getMultipleAccounts; default 0 */
};

struct uv_loop_s;

/** A client. Fill with rpcfan_options_init() first. */
struct rpcfan_options {
    size_t size;
    const struct rpcfan_network_options *networks;
    size_t n_networks;      /**< 1 to 64 */
    uint32_t pending_calls; /**< calls accepted, not yet answered; default 8192, max 2^24 */
    uint64_t pending_bytes; /**< bytes of their requests; default 64 MiB */
    uint32_t in_flight;     /**< HTTP requests at once over all endpoints; default 256 */
    uint64_t seed;          /**< of jitter and choice; 0: from the system */
    struct uv_loop_s *loop; /**< your loop, run by you; NULL: a thread of the client's own */
    rpcfan_log_cb log;      /**< NULL: no log */
    void *log_arg;
    int log_level; /**< an rpcfan_log_level; default RPCFAN_LOG_WARN */
    const struct rpcfan_account_options *accounts;
    size_t n_accounts; /**< at most 64 */
    const char *rules; /**< text of rules that go before the built-in ones, see rpcfan-explain(1);
                            NULL: none */
};

/** Set the defaults. @param o not NULL. Thread: any. */
RPCFAN_API void rpcfan_endpoint_options_init(struct rpcfan_endpoint_options *o);
/** Set the defaults. @param o not NULL. Thread: any. */
RPCFAN_API void rpcfan_account_options_init(struct rpcfan_account_options *o);
/** Set the defaults. @param o not NULL. Thread: any. */
RPCFAN_API void rpcfan_network_options_init(struct rpcfan_network_options *o);
/** Set the defaults. @param o not NULL. Thread: any. */
RPCFAN_API void rpcfan_options_init(struct rpcfan_options *o);

/** The name of an error, such as "deadline"; never NULL. Static. Thread: any. */
RPCFAN_API const char *rpcfan_err_name(enum rpcfan_err err);
/** What an error means, in words; never NULL. Static. Thread: any. */
RPCFAN_API const char *rpcfan_err_text(enum rpcfan_err err);
/** The class of an error: "caller", "rpc", "throttle", "network", "server", ... Static. Thread:
 * any. */
RPCFAN_API const char *rpcfan_err_class(enum rpcfan_err err);
/** The version of the library, such as "0.1.0". Static. Thread: any. */
RPCFAN_API const char *rpcfan_version(void);
/** Now, in ns, on the clock of request deadlines (monotonic). Thread: any. */
RPCFAN_API uint64_t rpcfan_now_ns(void);

/**
 * Make a client. With `opts->loop` NULL a loop thread is started.
 * @param opts  options; copied, may be freed afterwards.
 * @param out   the client; owned by the caller until rpcfan_client_free().
 * @param err   detail on failure; may be NULL.
 * @return 0, RPCFAN_EINVAL, RPCFAN_ECONFIG, RPCFAN_ENOMEM or RPCFAN_EIO (threads, descriptors).
 * Thread: any; with `opts->loop` the thread that runs that loop.
 */
RPCFAN_API enum rpcfan_err rpcfan_client_new(const struct rpcfan_options *opts,
                                             rpcfan_client_t **out, struct rpcfan_error *err);

/**
 * Make a client from a YAML file, see rpcfan.yaml(5).
 * @param path  the file.
 * @param loop  as rpcfan_options.loop.
 * @return as rpcfan_client_new(); RPCFAN_ECONFIG with file and line in `err->text`.
 */
RPCFAN_API enum rpcfan_err rpcfan_client_from_file(const char *path, struct uv_loop_s *loop,
                                                   rpcfan_client_t **out, struct rpcfan_error *err);

/** How much a close waits for. Every accepted call is answered in each case. */
enum rpcfan_close_mode {
    RPCFAN_CLOSE_DRAIN = 0, /**< everything accepted runs to its end */
    RPCFAN_CLOSE_SENT = 1,  /**< what is on the wire ends; what waits is canceled */
    RPCFAN_CLOSE_NOW = 2    /**< everything is canceled */
};

/** Told that a client is closed and may be freed. Thread: loop. */
typedef void (*rpcfan_closed_cb)(rpcfan_client_t *client, void *arg);

/**
 * Stop accepting calls and close. May be called again with a harder mode.
 * @param cb  called once when all is answered and every handle is closed; NULL for none. The cb of
 *            the first close that gives one counts.
 * Thread: any. Returns at once.
 */
RPCFAN_API void rpcfan_client_close(rpcfan_client_t *client, enum rpcfan_close_mode mode,
                                    rpcfan_closed_cb cb, void *arg);

/**
 * Free a client. With a thread of its own: waits for the close that was asked for, or closes with
 * RPCFAN_CLOSE_NOW where none was, and joins; not to be called on the loop thread. With your loop:
 * only in or after the closed callback. Results kept by rpcfan_result_ref() must have been released
 * before. NULL is ignored.
 */
RPCFAN_API void rpcfan_client_free(rpcfan_client_t *client);

/** One element of a streamed answer. Borrowed for the call. */
struct rpcfan_element {
    struct rpcfan_slice json;
    uint64_t context_slot; /**< result.context.slot; 0: not seen yet, or there is none */
    int first; /**< 1: an attempt begins with it: what earlier attempts gave may come again */
};

/**
 * Told each element of the array that is `result`, `result.value`, `result.accounts` or
 * `result.value.accounts`, as it arrives; memory stays flat, however long the answer is. The call's
 * own completion follows, with what surrounds the array as its result, and the array empty in it:
 * {"context":{"slot":5},"value":[]}. Where the answer holds no such array its result is whole, as
 * of any call. What elements say counts once the completion is RPCFAN_OK.
 *
 * Such a call goes alone, to one endpoint at a time, whatever the policy. The answer has no cap;
 * the endpoint's `response_bytes` is that of one element. The endpoint's `timeout_ms` is for the
 * time between two pieces, a stop not counted. The network's deadline does not hold: it ends by
 * `timeout_ms` or `deadline_ns` of the request, or not at all.
 *
 * May call whatever rpcfan_call_cb may. None follows the completion; after rpcfan_cancel() some
 * still may. Thread: the loop thread; must not block.
 * @param arg  rpcfan_request.arg.
 * @return 0 to go on; not 0: read no further before rpcfan_resume().
 */
typedef int (*rpcfan_element_cb)(const struct rpcfan_element *element, void *arg);

/** A call to make. Zero it, set `size`, and fill in what you need. */
struct rpcfan_request {
    size_t size;          /**< sizeof *this */
    const char *network;  /**< name; NULL: the first */
    const char *method;   /**< NUL-terminated, not empty */
    const char *params;   /**< raw JSON array or object, validated and copied; NULL: none */
    size_t params_len;    /**< bytes of params; 0: NUL-terminated */
    uint64_t timeout_ms;  /**< relative deadline; 0: the network's, or with `element` none */
    uint64_t deadline_ns; /**< absolute deadline on rpcfan_now_ns(); 0: none; the earlier counts */
    rpcfan_call_cb cb;    /**< exactly one of cb and cq */
    void *arg;            /**< passed to cb and element; rpcfan_result_arg() */
    rpcfan_cq_t *cq;
    enum rpcfan_policy policy; /**< 0: the network's */
    uint32_t quorum;           /**< 0: the network's */
    enum rpcfan_split split;   /**< 0: the network's */
    rpcfan_element_cb element; /**< not NULL: the answer is streamed, element by element */
};

/**
 * Start a call. Exactly one completion follows if and only if 0 is returned.
 * @param id   out: names the call for rpcfan_cancel(); may be NULL.
 * @param err  detail on failure; may be NULL.
 * @return 0, RPCFAN_EINVAL, RPCFAN_EBUSY (see retry_in_ms; also where it would surely wait its
 * whole time away), RPCFAN_ECLOSED or RPCFAN_ENOMEM. Thread: any, callbacks included. Never blocks.
 * Copies what it needs of `req`.
 */
RPCFAN_API enum rpcfan_err rpcfan_call(rpcfan_client_t *client, const struct rpcfan_request *req,
                                       rpcfan_call_id *id, struct rpcfan_error *err);

/**
 * Make a call and wait for its answer. `req->cb` and `req->cq` must be NULL.
 * @param out  the result; owned: rpcfan_result_unref() it. Set whenever 0 is returned, also where
 * the call itself failed: see rpcfan_result_err().
 * @return as rpcfan_call(); RPCFAN_EINVAL on the loop thread. Waits where it would be RPCFAN_EBUSY.
 * Thread: any but the loop thread.
 */
RPCFAN_API enum rpcfan_err rpcfan_call_wait(rpcfan_client_t *client,
                                            const struct rpcfan_request *req, rpcfan_result_t **out,
                                            struct rpcfan_error *err);

/**
 * Cancel a call. It completes with RPCFAN_ECANCELED, or with its answer where that came first; a
 * call that is already answered is left alone. Thread: any. Returns at once.
 */
RPCFAN_API void rpcfan_cancel(rpcfan_client_t *client, rpcfan_call_id id);

/** Go on with a streamed call whose element callback asked to stop: once for each stop. No effect
 * on others. A stopped call ends by its deadline, rpcfan_cancel() or RPCFAN_CLOSE_NOW; the softer
 * closes wait for it. Thread: any, the element callback included. Returns at once. */
RPCFAN_API void rpcfan_resume(rpcfan_client_t *client, rpcfan_call_id id);

/** 0, RPCFAN_ERPC where the node answered with an error object, or why there is no answer. */
RPCFAN_API enum rpcfan_err rpcfan_result_err(const rpcfan_result_t *res);
/** The raw JSON of `result`; empty unless the error is 0. Borrowed from `res`. */
RPCFAN_API struct rpcfan_slice rpcfan_result_json(const rpcfan_result_t *res);
/** The raw JSON of the node's error object where there is one, else empty. With RPCFAN_EQUORUM it
 * is the client's own: data.rpcfan.answers says who said what. Borrowed from `res`. */
RPCFAN_API struct rpcfan_slice rpcfan_result_error_json(const rpcfan_result_t *res);
/** Why it failed, in words; "" on success. Borrowed from `res`. Never holds a URL. */
RPCFAN_API const char *rpcfan_result_detail(const rpcfan_result_t *res);
/** The endpoint that gave the answer (of a split range: its last part) or the last failure; "" if
 * none was tried, or several were and disagree. Borrowed. */
RPCFAN_API const char *rpcfan_result_endpoint(const rpcfan_result_t *res);
/** How often the call was sent; what that is where it went to several endpoints or in several parts
 * is in librpcfan(3). */
RPCFAN_API unsigned rpcfan_result_attempts(const rpcfan_result_t *res);
/** From acceptance to completion, in ns. */
RPCFAN_API uint64_t rpcfan_result_latency_ns(const rpcfan_result_t *res);
/** `rpcfan_request.arg`. */
RPCFAN_API void *rpcfan_result_arg(const rpcfan_result_t *res);
/** 1 where the raw JSON holds whitespace between tokens (rpcfan_json_compact() is then needed). */
RPCFAN_API int rpcfan_result_has_space(const rpcfan_result_t *res);
/** Keep a result beyond its callback. Thread: any. @return `res`, now also owned by the caller. */
RPCFAN_API rpcfan_result_t *rpcfan_result_ref(const rpcfan_result_t *res);
/** Give a result back; NULL is ignored. Thread: any. */
RPCFAN_API void rpcfan_result_unref(rpcfan_result_t *res);

/**
 * Make a completion queue: an alternative to callbacks. Answers wait in it until they are polled
 * and count against the pending cap until then.
 * @return 0, RPCFAN_ENOMEM or RPCFAN_EIO (no descriptor). Thread: any.
 */
RPCFAN_API enum rpcfan_err rpcfan_cq_new(rpcfan_client_t *client, rpcfan_cq_t **out);
/** A descriptor that polls readable while answers wait. Owned by the queue; do not read it. */
RPCFAN_API int rpcfan_cq_fd(const rpcfan_cq_t *cq);
/**
 * Take up to `n` answers, oldest first; returns at once.
 * @param out  results, owned by the caller: rpcfan_result_unref() each.
 * @return how many. Thread: any, one at a time.
 */
RPCFAN_API size_t rpcfan_cq_poll(rpcfan_cq_t *cq, rpcfan_result_t **out, size_t n);
/** Free a queue: no call that names it may be pending. Unpolled answers are released. NULL: no-op.
 */
RPCFAN_API void rpcfan_cq_free(rpcfan_cq_t *cq);

typedef struct rpcfan_sub rpcfan_sub_t;

/** What a subscription tells. */
enum rpcfan_note_kind {
    RPCFAN_NOTE_DATA = 0,   /**< a notification: `json` is its params.result */
    RPCFAN_NOTE_UP = 1,     /**< subscribed at `endpoint`; after a GAP: again */
    RPCFAN_NOTE_GAP = 2,    /**< coverage ended: what happens until the next UP is not told, but for
                                 what is filled in afterwards (Ethereum heads and logs) */
    RPCFAN_NOTE_FILLED = 3, /**< the gap is closed: all that it held has been told */
    RPCFAN_NOTE_DROPPED =
        4,              /**< `n` notifications were dropped from the queue since the last note */
    RPCFAN_NOTE_END = 5 /**< the node refused for good; `json` is its error object. The last */
};

/** A note of a subscription. What it points to lives until rpcfan_note_release(). */
struct rpcfan_note {
    enum rpcfan_note_kind kind;
    struct rpcfan_slice json;
    uint64_t slot;        /**< Solana: the slot it is of; Ethereum: its block; 0: unknown */
    uint64_t n;           /**< DROPPED */
    const char *endpoint; /**< name; lives as long as the client */
    const char *why;      /**< GAP: static words */
    void *hold;           /**< private */
};

/** A subscription. Fill with rpcfan_sub_options_init() first. */
struct rpcfan_sub_options {
    size_t size;
    const char *network;           /**< NULL: the first */
    const char *method;            /**< "accountSubscribe", "eth_subscribe", ... */
    const char *params;            /**< raw JSON array; NULL: none */
    enum rpcfan_overflow overflow; /**< default RPCFAN_LATEST: by account or slot feed; what has no
                                        key is never replaced */
    uint64_t queue_notes;          /**< that wait at most; default 65536 */
    uint64_t queue_bytes;          /**< default 64 MiB */
    uint32_t copies;               /**< endpoints at one time: default 1, at most 2; equal
                                        notifications are told once */
};

/** Counted since the subscription began. received == taken + conflated + dropped + twice + waiting.
 */
struct rpcfan_sub_counters {
    uint64_t received, taken, conflated, dropped, twice, waiting, waiting_bytes;
    uint64_t gaps, filled;
};

/** Set the defaults. Thread: any. */
RPCFAN_API void rpcfan_sub_options_init(struct rpcfan_sub_options *o);
/**
 * Subscribe. The connection is kept, and the subscription made again, until rpcfan_unsubscribe().
 * @return 0, RPCFAN_EINVAL (no such network, bad params, no endpoint with a WebSocket),
 * RPCFAN_ENOMEM, RPCFAN_EIO (no descriptor), RPCFAN_ECLOSED. Thread: any.
 */
RPCFAN_API enum rpcfan_err rpcfan_subscribe(rpcfan_client_t *client,
                                            const struct rpcfan_sub_options *o, rpcfan_sub_t **out,
                                            struct rpcfan_error *err);
/** A descriptor that polls readable while notes wait. Owned by the subscription; do not read it. */
RPCFAN_API int rpcfan_sub_fd(const rpcfan_sub_t *sub);
/** Take up to `n` notes, oldest first; returns at once. @return how many; release each. Thread:
 * any, one at a time. */
RPCFAN_API size_t rpcfan_sub_poll(rpcfan_sub_t *sub, struct rpcfan_note *out, size_t n);
/** Release what a note holds. Thread: any. */
RPCFAN_API void rpcfan_note_release(struct rpcfan_note *note);
/** The counters. Thread: any. */
RPCFAN_API void rpcfan_sub_count(rpcfan_sub_t *sub, struct rpcfan_sub_counters *out);
/** End a subscription and free it; waiting notes are released. NULL: no-op. Before the client is
 * freed. Thread: any but the loop's. */
RPCFAN_API void rpcfan_unsubscribe(rpcfan_sub_t *sub);

/**
 * What the client knows and does: a JSON object (see librpcfan(3)), each endpoint with its breaker,
 * pause, learned caps, rates, latencies and counters, and the reasons in words.
 * @param out  NUL-terminated; owned: rpcfan_free() it.
 * @return 0, RPCFAN_ENOMEM, RPCFAN_ECLOSED.
 * Thread: any. Off the loop thread it waits for one loop turn.
 */
RPCFAN_API enum rpcfan_err rpcfan_status(rpcfan_client_t *client, char **out);

/**
 * What the client has learned of its endpoints and that is worth keeping: batch caps, range caps,
 * methods that are not supported (with the time left), the most inputs of a call that a node told.
 * @param out  a JSON object, NUL-terminated; owned: rpcfan_free() it. Holds names, no URLs.
 * @return as rpcfan_status(). Thread: any.
 */
RPCFAN_API enum rpcfan_err rpcfan_learned(rpcfan_client_t *client, char **out);
/**
 * Tell a client what an earlier one has learned. Facts about endpoints that are not there are
 * ignored, and so is what has expired.
 * @param json  as rpcfan_learned() wrote it; NUL-terminated.
 * @param age_ms  how long ago it was written.
 * @param err   names the place; may be NULL.
 * @return 0, RPCFAN_EINVAL (not such an object; nothing is taken then), RPCFAN_ENOMEM,
 * RPCFAN_ECLOSED. Thread: any.
 */
RPCFAN_API enum rpcfan_err rpcfan_learn(rpcfan_client_t *client, const char *json, uint64_t age_ms,
                                        struct rpcfan_error *err);

/**
 * Copy JSON without the whitespace between its tokens.
 * @param out  buffer of at least `len` bytes; may be `json` itself.
 * @return bytes written. The text must be valid JSON. Thread: any.
 */
RPCFAN_API size_t rpcfan_json_compact(const char *json, size_t len, char *out);

/** Free what the library allocated for you. NULL is ignored. Thread: any. */
RPCFAN_API void rpcfan_free(void *p);

#ifdef __cplusplus
}
#endif
#endif
