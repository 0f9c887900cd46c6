/* walk.h - steps through the members and elements of JSON text that is valid already, or is the
 * beginning of such a text: a slot out of a result, a key out of a notification, without a tree.
 * Called by core/need, the feeds and the client. Pure; allocates never; not for text that nobody
 * has scanned. */
#ifndef RF_JSON_WALK_H
#define RF_JSON_WALK_H

#include "base/base.h"

/** A place in an array or object, or in front of one. */
struct rf_walk {
    const char *p, *end;
};

/** Step into an array or object. @param open '[' or '{'. @return false where the text is something
 * else. */
bool rf_walk_enter(struct rf_walk *w, struct rpcfan_slice text, char open);
/** The next element; false at the end and where the text ends early. */
bool rf_walk_element(struct rf_walk *w, struct rpcfan_slice *value);
/** Step to the next key and over its colon. The name is left without its quotes, raw. */
bool rf_walk_name(struct rf_walk *w, struct rpcfan_slice *name);
/** The value at this place. @return false where the text ends before it does. */
bool rf_walk_value(struct rf_walk *w, struct rpcfan_slice *out);
/** A member's value in an object; false, and `value` is left alone, where it is absent. @param key
 * `len` bytes, without escapes. */
bool rf_walk_member(struct rpcfan_slice object, const char *key, size_t len,
                    struct rpcfan_slice *value);
/** rf_walk_member() with a key that is a literal. */
#define RF_WALK_MEMBER(object, key, value) rf_walk_member(object, key, sizeof(key) - 1, value)
/** An element of an array by its index; len 0: absent. */
struct rpcfan_slice rf_walk_at(struct rpcfan_slice array, unsigned index);
/** Read 436, "436" or "0x1b4". Longer than 64 bits in hex is a hash, with leading zeros too.
 * @return false where it is none of these, or over 64 bits. */
bool rf_walk_number(struct rpcfan_slice s, uint64_t *out);

#endif
