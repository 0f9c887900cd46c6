/* members.h - the members of one JSON object, or the elements of one array, one by one, by the
 * scanner and without a tree. For texts that are whole and small. Pure. */
#ifndef RF_FEED_MEMBERS_H
#define RF_FEED_MEMBERS_H

#include "json/scan.h"

/** A walk under way; begin with rf_members_begin(). */
struct rf_members {
    struct rpcfan_slice name;  /* out: between the quotes, as written; of an element: empty */
    struct rpcfan_slice value; /* out: as it stands, quotes included */
    enum rf_tok tok;           /* out: of the value: its first token */
    bool bad;                  /* out: the text is no JSON, or is cut short */
    struct rpcfan_slice json;  /* private from here on */
    struct rf_scan scan;
    size_t pos;
    bool object;
};

/** Begin. @return RF_TOK_OBJECT, RF_TOK_ARRAY, or another token: then there is nothing to walk. */
enum rf_tok rf_members_begin(struct rf_members *m, struct rpcfan_slice json);
/** The next one. @return false at the end, or where the text is bad. */
bool rf_members_next(struct rf_members *m);
/** Whether the name is this one. */
bool rf_members_is(const struct rf_members *m, const char *name);

#endif
