/* vtest.h - a virtual validator for tests: what it sends is kept, and its accounts can be written
 * by hand. Used by tests/unit/sim/test_validator*. */
#ifndef TESTS_LIB_VTEST_H
#define TESTS_LIB_VTEST_H

#include "sim/validator_int.h"

/** A frame that was sent. */
struct vtest_frame {
    uint64_t session, at_ns;
    char *text; /* owned */
    size_t len;
};

/** A validator, and what it sent. */
struct vtest {
    struct rf_validator *v;
    uint64_t now_ns;
    struct vtest_frame *frame; /* owned */
    size_t n, cap;
    uint64_t closed; /* sessions that it closed */
    int code;        /* of the last one */
    struct rf_buf answer;
};

/** Knobs of a cluster that stands still but for what a test does: no writes, forks or skips, slots
 * that take a minute, node 0 as the cluster is. */
#define VTEST_STILL "writes=0 fork=0 skip=0 confirm-hold=0 root-hold=0 slot-ms=60000 "

/** Make one; time begins with 0. */
void vtest_begin(struct vtest *t, const char *knobs, uint64_t seed);
/** Free. */
void vtest_end(struct vtest *t);
/** Let time pass. */
void vtest_run(struct vtest *t, uint64_t ms);
/** Forget the frames. */
void vtest_clear(struct vtest *t);
/** Call over HTTP. @return the answer, NUL-terminated, until the next call. @param error out: it is
 * an error object; may be NULL. */
const char *vtest_call(struct vtest *t, uint32_t node, const char *method, const char *params,
                       bool *error);
/** Send a message of session 1, which is opened where it is not. */
void vtest_send(struct vtest *t, const char *text);
/** Subscribe as session 1. @return the id of the reply. */
uint64_t vtest_subscribe(struct vtest *t, const char *method, const char *params);
/** The i-th frame that holds a text; NULL: there is none. */
const char *vtest_find(const struct vtest *t, const char *part, size_t i);
/** How many frames hold a text. */
size_t vtest_count(const struct vtest *t, const char *part);
/** A number behind a name, such as "\"slot\":". @return UINT64_MAX: there is none. */
uint64_t vtest_number(const char *text, const char *name);
/** The account object behind "account": or "value": in a notification or an answer. */
struct rpcfan_slice vtest_account(const char *text);
/** A config for subscriptions and reads, as params: ["KEY",{...}]. @return static text. */
const char *vtest_params(const char *key, const char *config);

/** Make a bank by hand, on a parent; slots of the cluster itself do not move. */
struct rf_bank *vtest_bank(struct vtest *t, uint64_t slot, uint64_t parent);
/** Write an account in it. @param lamports 0: closed. @param owner of the validator's owners. */
void vtest_write(struct vtest *t, struct rf_bank *bank, uint32_t key, uint64_t lamports,
                 uint16_t owner);
/** A bank became the one of a level. */
void vtest_reach(struct vtest *t, struct rf_bank *bank, enum rpcfan_commitment c);

#endif
