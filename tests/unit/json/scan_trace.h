/* scan_trace.h - everything that a scan says about a text, for comparing runs over different
 * chunks. Included by the tests and fuzzers of src/json; each chunk is copied to memory of its
 * exact size, so that a sanitizer sees any read outside of it. */
#ifndef TEST_JSON_SCAN_TRACE_H
#define TEST_JSON_SCAN_TRACE_H

#include <stdlib.h>
#include <string.h>

#include "json/scan.h"

struct trace_step {
    enum rf_tok tok;
    uint64_t start, end, offset;
    uint32_t depth;
    bool escaped, integer, space, done;
};

struct trace {
    struct trace_step *step;
    size_t n, cap;
    enum rpcfan_err err;
    uint64_t offset;
    const char *why;
};

/** How a text is scanned: where the chunks end, and what is reported. */
struct trace_plan {
    uint32_t max_depth, report_depth;
    const size_t *cut; /* ascending offsets, each the end of a chunk */
    size_t n_cut;
};

static inline void trace_fini(struct trace *t)
{
    free(t->step);
    *t = (struct trace){0};
}

static inline void trace_add(struct trace *t, struct rf_scan *s, enum rf_tok tok)
{
    if (t->n == t->cap) {
        size_t cap = t->cap == 0 ? 64 : t->cap * 2;
        struct trace_step *step = realloc(t->step, cap * sizeof *step);
        if (step == NULL)
            abort();
        t->step = step;
        t->cap = cap;
    }
    t->step[t->n++] =
        (struct trace_step){.tok = tok,
                            .start = s->start,
                            .end = s->end,
                            .offset = s->offset,
                            .depth = s->depth,
                            .escaped = (tok == RF_TOK_KEY || tok == RF_TOK_STRING) && s->escaped,
                            .integer = tok == RF_TOK_NUMBER && s->integer,
                            .space = s->space,
                            .done = s->done};
    s->space = false;
}

/** One chunk. @return false: the scan has ended in an error. */
static inline bool trace_chunk(struct trace *t, struct rf_scan *s, const char *text, size_t len,
                               uint32_t report_depth)
{
    char *copy = malloc(len > 0 ? len : 1);
    if (copy == NULL)
        abort();
    if (len > 0)
        memcpy(copy, text, len);
    size_t pos = 0;
    enum rf_tok tok;
    while ((tok = rf_scan_skip(s, copy, len, &pos, report_depth)) > RF_TOK_ERROR)
        trace_add(t, s, tok);
    bool sound = tok == RF_TOK_MORE && pos == len;
    if (tok == RF_TOK_ERROR && rf_scan_next(s, copy, len, &pos) != RF_TOK_ERROR)
        abort(); /* an error stays */
    free(copy);
    return sound;
}

/** Scan a text. @param t zeroed or finished. */
static inline void trace_text(struct trace *t, const char *text, size_t len,
                              const struct trace_plan *plan)
{
    struct rf_scan s;
    size_t at = 0;
    bool sound = true;
    rf_scan_init(&s, plan->max_depth);
    for (size_t i = 0; i <= plan->n_cut && sound; i++) {
        size_t to = i < plan->n_cut ? plan->cut[i] : len;
        sound = trace_chunk(t, &s, text + at, to - at, plan->report_depth);
        at = to;
    }
    int number = 0;
    t->err = rf_scan_finish(&s, &number);
    if (number && s.depth <= plan->report_depth)
        trace_add(t, &s, RF_TOK_NUMBER);
    t->offset = s.offset;
    t->why = rf_scan_error(&s);
}

/** Whether two scans said the same. */
static inline bool trace_same(const struct trace *a, const struct trace *b)
{
    if (a->n != b->n || a->err != b->err || a->offset != b->offset || a->why != b->why)
        return false;
    for (size_t i = 0; i < a->n; i++) {
        const struct trace_step *x = &a->step[i], *y = &b->step[i];
        if (x->tok != y->tok || x->start != y->start || x->end != y->end ||
            x->offset != y->offset || x->depth != y->depth || x->escaped != y->escaped ||
            x->integer != y->integer || x->space != y->space || x->done != y->done)
            return false;
    }
    return true;
}

#endif
