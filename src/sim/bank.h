/* bank.h - the bank tree of a virtual Solana cluster: slots, their parents, what each wrote, and
 * the state of every account in every bank.
 *
 * An account is an array of versions, oldest first, each with the slot of the bank that wrote it;
 * banks share them. The state in a bank is the newest version that one of its ancestors wrote, and
 * a bank knows its ancestors as bits, so that this costs no walk. Below the root one chain is left;
 * what it replaced is kept for some more slots, so that the oracle can say what was once true.
 *
 * Used by sim/validator* and, as the oracle, by tests. Pure. */
#ifndef RF_SIM_BANK_H
#define RF_SIM_BANK_H

#include "base/base.h"
#include "rpcfan/feed.h"

/** Slots between the oldest bank that is kept and the newest one, at most. */
#define RF_BANK_SPAN 1024
/** No key. */
#define RF_BANK_NONE UINT32_MAX

/** An account, as one bank left it. */
struct rf_bank_state {
    uint64_t slot;     /* of the bank that wrote it */
    uint64_t hash;     /* of its content, see rf_account_hash(); 0: closed */
    uint64_t lamports; /* 0: closed */
    uint64_t content;  /* seed of its data */
    uint32_t size;     /* bytes of data */
    uint16_t owner;    /* index of a program, see sim/validator.h */
    bool orphan;       /* its bank is not on the rooted chain; set once the root has passed it */
};

/** An account that exists, did once, or may. */
struct rf_bank_key {
    uint8_t id[32];
    char text[45]; /* base58, NUL-terminated */
    uint8_t text_len;
    bool cut;      /* its oldest versions are forgotten */
    uint16_t home; /* the program that owns it when it is made */
    uint32_t n, cap;
    struct rf_bank_state *version; /* owned; by slot */
};

/** One bank. */
struct rf_bank {
    uint64_t slot, parent, height;
    bool used, frozen;
    uint32_t n_wrote, cap_wrote;
    uint32_t *wrote;                      /* owned; the keys it wrote */
    uint64_t ancestor[RF_BANK_SPAN / 64]; /* bit i: slot - i is one, itself included */
};

/** The tree. */
struct rf_banks {
    struct rf_bank *ring; /* owned; by slot modulo 2 * RF_BANK_SPAN */
    struct rf_bank_key *key;
    uint32_t n_keys, cap_keys;
    uint32_t *index; /* owned; hash table of keys, index + 1 */
    uint32_t n_index;
    uint64_t history;              /* slots below the floor that the oracle remembers */
    uint64_t tip, confirmed, root; /* of the cluster */
    uint64_t floor;                /* the oldest bank that is kept */
    uint64_t versions, no_memory;  /* now; writes lost for want of memory */
};

/** Set up an empty tree. @param history slots below the floor that are remembered. @return false
 * when out of memory. */
bool rf_banks_init(struct rf_banks *b, uint64_t history);
/** Free. */
void rf_banks_fini(struct rf_banks *b);

/** Add a key that nothing has written yet. @return its index; RF_BANK_NONE: out of memory. */
uint32_t rf_banks_add_key(struct rf_banks *b, const uint8_t id[32], uint16_t home);
/** The index of a key, or RF_BANK_NONE. */
uint32_t rf_banks_find(const struct rf_banks *b, const uint8_t id[32]);

/** Make a bank; slots rise. @param parent its slot; the slot itself for the first bank. */
struct rf_bank *rf_banks_create(struct rf_banks *b, uint64_t slot, uint64_t parent);
/** Write an account, once in a bank, before any younger bank is made. @param s its slot is set
 * here. */
void rf_banks_write(struct rf_banks *b, struct rf_bank *bank, uint32_t key,
                    const struct rf_bank_state *s);
/** The root moves up to a bank: what is not on its chain becomes orphan. */
void rf_banks_set_root(struct rf_banks *b, uint64_t slot);
/** Nobody looks at banks below any more. */
void rf_banks_set_floor(struct rf_banks *b, uint64_t slot);

/** A bank that is kept, or NULL: skipped, not made yet, or pruned. */
struct rf_bank *rf_banks_get(const struct rf_banks *b, uint64_t slot);
/** Whether the bank of `slot` is `bank` or an ancestor of it; slots that had none are not. */
bool rf_bank_on_chain(const struct rf_bank *bank, uint64_t slot);
/** Whether a version is of a bank's chain: the bank or an ancestor wrote it. */
bool rf_banks_of_chain(const struct rf_bank *bank, const struct rf_bank_state *s);
/** An account in a bank. @return borrowed until the next write; NULL: nothing ever wrote it. Closed
 * accounts are states with no lamports. */
const struct rf_bank_state *rf_banks_state(const struct rf_banks *b, const struct rf_bank *bank,
                                           uint32_t key);

/** The bank of a commitment level, of the cluster. Never NULL after the first root. */
struct rf_bank *rf_banks_at(const struct rf_banks *b, enum rpcfan_commitment c);
/** Is this the state that is looked for? @param s NULL: nothing had written it. */
typedef bool (*rf_bank_is)(void *arg, const struct rf_bank_state *s);
/**
 * Whether an account was, at some slot from `from` up to the bank's, in a state for which `is` is
 * true, on the chain of `bank`. Remembers `history` slots below the floor; a state older than that
 * counts only where it is still the newest at `from`.
 */
bool rf_banks_held(const struct rf_banks *b, const struct rf_bank *bank, uint32_t key,
                   uint64_t from, rf_bank_is is, void *arg);
/** Whether any bank, orphans and unrooted ones included, had a state for which `is` is true. */
bool rf_banks_ever(const struct rf_banks *b, uint32_t key, rf_bank_is is, void *arg);
/** Whether an account with this content hash (0: none) existed in a bank of a commitment level:
 * processed means any bank at all. */
bool rf_banks_existed(const struct rf_banks *b, uint32_t key, uint64_t hash,
                      enum rpcfan_commitment c);

#endif
