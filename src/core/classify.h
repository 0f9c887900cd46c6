/* classify.h - what an answer means: one table of rules, one verdict.
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
    RF_CLASS_SPLIT_FILTER, /* too many addresses or topics */
    RF_CLASS_SPLIT_BATCH,  /* too many members, or the body too big */
    RF_CLASS_TOO_BIG,      /* the response is over somebody's cap */
    RF_CLASS_UNSUPPORTED,  /* method or module absent here */
    RF_CLASS_MISSING,      /* this node lacks the block or state (yet) */
    RF_CLASS_BEHIND,       /* the node says that it lags */
    RF_CLASS_REVERT,       /* the EVM's outcome: final */
    RF_CLASS_CLIENT,       /* a bad request: final */
    RF_CLASS_APP,          /* any other error that is an answer: final */
    RF_CLASS_TX_KNOWN,     /* the transaction is there already */
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
    RF_ACT_SPLIT,     /* again in a smaller batch; delivered where it was alone */
    RF_ACT_RETRY      /* again while tries, budget and deadline last */
};

/** Everything that is known of an answer. */
struct rf_answer {
    enum rpcfan_family family;
    struct rpcfan_slice method;
    enum rf_transport transport;
    int status;
    bool batch;                /* it answers a batch as a whole, or a member of one */
    struct rpcfan_slice error; /* raw JSON of the error member; len 0: none */
    struct rpcfan_slice body;  /* the body where it is no JSON-RPC; len 0: none */
    uint64_t retry_after_ns;   /* RF_NEVER: none */
};

/** The judgement. */
struct rf_verdict {
    enum rf_class class;
    const char *rule;    /* id of the rule that matched; static */
    uint64_t hint_ns;    /* come back after; RF_NEVER: nothing was said */
    uint32_t told_batch; /* batch cap in the text; 0: none */
    uint64_t told_bytes; /* body cap in the text; 0: none */
    bool by_bytes;       /* SPLIT_BATCH: the body was too big, not the count */
    bool vague;          /* SPLIT_BATCH: may as well be one bad call in it */
};

/** One row of the table. A row matches where all that it names matches; the first match wins. */
struct rf_rule {
    const char *id;
    int status;       /* 0: any */
    int64_t code;     /* RF_RULE_ANY: any */
    const char *text; /* lower-case substring of the error or body; NULL: any */
    uint8_t families; /* bits 1 << rpcfan_family; 0: all */
    bool batch_only;  /* only where a batch was sent */
    enum rf_class class;
};

#define RF_RULE_ANY INT64_MIN

/** The table and its length. */
extern const struct rf_rule rf_rules[];
extern const size_t rf_rules_count;

/** Judge an answer. Total: every input gets one verdict. Allocates: never. */
struct rf_verdict rf_classify(const struct rf_answer *a);
/** What is done about a class. */
enum rf_action rf_class_action(enum rf_class c);
/** Its name in lower case, such as "rate"; static. */
const char *rf_class_name(enum rf_class c);
/** The error that a call ends with where a class is delivered. */
enum rpcfan_err rf_class_err(enum rf_class c);

#endif
