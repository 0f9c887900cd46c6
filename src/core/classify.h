/* classify.h - what an answer means: a table of rules, one verdict.
 *
 * Input is everything known of the answer, the method and the chain family included, because the
 * same code means different things to different nodes. Called by core/settle. Pure. */
#ifndef RF_CORE_CLASSIFY_H
#define RF_CORE_CLASSIFY_H

#include "core/call.h"

/** What happened, in the words of the rule table. */
enum rf_class {
    RF_CLASS_OK,
    RF_CLASS_RATE,         /* throttled: the endpoint pauses, the call goes again */
    RF_CLASS_CONC,         /* too many at once: likewise */
    RF_CLASS_QUOTA,        /* day or month budget gone: endpoint benched */
    RF_CLASS_PLAN,         /* the plan does not permit this call: other endpoint */
    RF_CLASS_AUTH,         /* key, origin or address refused: endpoint benched */
    RF_CLASS_SPLIT_RANGE,  /* block range or result count too big */
    RF_CLASS_SPLIT_FILTER, /* too many addresses, topics or keys in one call */
    RF_CLASS_SPLIT_BATCH,  /* too many members, or the body too big */
    RF_CLASS_TOO_BIG,      /* the response is over somebody's cap */
    RF_CLASS_UNSUPPORTED,  /* method or module absent here */
    RF_CLASS_SHAPE,        /* the method is known here, but not in this form */
    RF_CLASS_MISSING,      /* this node lacks the block or state (yet) */
    RF_CLASS_TAG,          /* this node does not know the block tag */
    RF_CLASS_SKIPPED,      /* no block in that slot; or this node's history has a hole */
    RF_CLASS_BEHIND,       /* the node says that it lags */
    RF_CLASS_WAIT,         /* the node does not have it yet, but shortly will */
    RF_CLASS_REVERT,       /* the EVM's outcome: final */
    RF_CLASS_CLIENT,       /* a bad request: final */
    RF_CLASS_APP,          /* any other error that is an answer: final */
    RF_CLASS_TX_KNOWN,     /* the transaction is there already */
    RF_CLASS_TX_NONCE,     /* the nonce is used up: by this transaction, or by another */
    RF_CLASS_TX_REJECT,    /* the transaction is refused: final */
    RF_CLASS_SERVER,       /* 5xx, internal error */
    RF_CLASS_CONNECT,      /* never reached */
    RF_CLASS_TIMEOUT,      /* sent, no answer in time */
    RF_CLASS_RESET,        /* sent, then broken */
    RF_CLASS_TLS,          /* certificate refused, or configuration that cannot work */
    RF_CLASS_MALFORMED,    /* HTML, bad JSON, wrong ids */
    RF_CLASS_ABORTED,      /* we ended it */
    RF_CLASS_COUNT
};

/** What is done about it. */
enum rf_action {
    RF_ACT_DELIVER,   /* it is the answer */
    RF_ACT_REQUEUE,   /* again, when the endpoint's pause is over; no try is counted */
    RF_ACT_BENCH,     /* the endpoint is out for minutes; another one answers */
    RF_ACT_ELSEWHERE, /* another endpoint, at no charge; delivered where all have said so */
    RF_ACT_LATER,     /* another endpoint at once, or this one after verdict.again_ns */
    RF_ACT_SPLIT,     /* again in a smaller batch; delivered where it was alone */
    RF_ACT_RETRY      /* again while tries, budget and deadline last */
};

/** Everything that is known of an answer. */
struct rf_answer {
    enum rpcfan_family family;
    struct rpcfan_slice method; /* len 0: not known, or several */
    struct rpcfan_slice params; /* raw JSON; len 0: not known */
    enum rf_transport transport;
    int status;                /* HTTP status, or a WebSocket's close code (1000 and up) */
    bool batch;                /* it answers a batch as a whole, or a member of one */
    struct rpcfan_slice error; /* raw JSON of the error member; len 0: none */
    struct rpcfan_slice body;  /* the body where it is no JSON-RPC; len 0: none */
    uint64_t retry_after_ns;   /* RF_NEVER: none */
};

struct rf_rule;
struct rf_rules;

/** The judgement. Numbers that the text does not hold are 0, times RF_NEVER. */
struct rf_verdict {
    enum rf_class class;
    const char *rule;          /* id of the rule that matched; lives as long as the rules */
    const struct rf_rule *row; /* the rule; NULL: transport, status or a mixed batch decided */
    uint64_t hint_ns;          /* come back after */
    uint64_t again_ns;         /* WAIT: the node should have it after */
    uint64_t told_bytes;       /* body cap */
    uint64_t told_blocks;      /* SPLIT_RANGE: most blocks of a range */
    struct {
        uint64_t from, to;
        bool any;
    } told_range;            /* SPLIT_RANGE: a range that the node would serve */
    uint64_t told_count;     /* RATE: so many in ... */
    uint64_t told_window_ns; /* ... so much time */
    uint64_t behind;         /* BEHIND: slots */
    uint32_t told_batch;     /* batch cap */
    uint32_t told_inputs;    /* SPLIT_FILTER: most addresses, topics or keys */
    bool told_credits;       /* told_count counts credits, not calls */
    bool by_bytes;           /* SPLIT_BATCH: the body was too big, not the count */
    bool vague;              /* SPLIT_BATCH: may as well be one bad call in it */
    bool account;            /* the account or key as a whole is limited, not this endpoint alone */
    bool method_only;        /* RATE: this method alone is limited */
    bool sender;             /* RATE: the sender of the transaction is; elsewhere it is the same */
    bool daily;              /* QUOTA: until midnight UTC */
    bool by_results;         /* SPLIT_RANGE: the results are too many, not the blocks */
    bool plan_limit;         /* SPLIT_RANGE: the plan sets the cap; others may allow more */
    bool maybe_range;        /* SERVER, TOO_BIG: a smaller block range may help */
};

/** Judge an answer. Total: every input gets one verdict. Allocates: never. */
struct rf_verdict rf_classify(const struct rf_rules *rules, const struct rf_answer *a);
/** What is done about a class. */
enum rf_action rf_class_action(enum rf_class c);
/** Its name in lower case, such as "rate"; static. */
const char *rf_class_name(enum rf_class c);
/** The error that a call ends with where a class is delivered. */
enum rpcfan_err rf_class_err(enum rf_class c);
/** The class of a name, where a rule may give it: not "ok", and not what only a transport knows.
 * @return false where there is none. */
bool rf_class_find(const char *name, enum rf_class *out);

#endif
