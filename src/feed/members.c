/* members.c - walks an object or an array of one level. */
#include "feed/members.h"

#include <string.h>

static enum rf_tok next_token(struct rf_members *m, uint32_t depth)
{
    return rf_scan_skip(&m->scan, m->json.data, m->json.len, &m->pos, depth);
}

enum rf_tok rf_members_begin(struct rf_members *m, struct rpcfan_slice json)
{
    m->json = json;
    m->pos = 0;
    m->bad = false;
    rf_scan_init(&m->scan, RF_SCAN_DEPTH);
    enum rf_tok tok = next_token(m, 0);
    m->object = tok == RF_TOK_OBJECT;
    return tok;
}

bool rf_members_next(struct rf_members *m)
{
    enum rf_tok tok = next_token(m, 1);
    m->name = (struct rpcfan_slice){NULL, 0};
    if (tok == RF_TOK_OBJECT_END && m->object)
        return false;
    if (tok == RF_TOK_ARRAY_END && !m->object)
        return false;
    if (m->object && tok == RF_TOK_KEY) {
        m->name.data = m->json.data + m->scan.start + 1;
        m->name.len = (size_t)(m->scan.end - m->scan.start) - 2;
        tok = next_token(m, 1);
    }
    uint64_t at = m->scan.start;
    m->tok = tok;
    if (tok <= RF_TOK_ERROR ||
        ((tok == RF_TOK_OBJECT || tok == RF_TOK_ARRAY) && next_token(m, 1) <= RF_TOK_ERROR)) {
        m->bad = true;
        return false;
    }
    m->value = (struct rpcfan_slice){m->json.data + at, (size_t)(m->scan.end - at)};
    return true;
}

bool rf_members_is(const struct rf_members *m, const char *name)
{
    return strlen(name) == m->name.len && memcmp(name, m->name.data, m->name.len) == 0;
}
