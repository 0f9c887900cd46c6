/* vdist.h - distributions of time, drawn from a seeded generator: how long a virtual node works and
 * how long its wires are. Used by sim/vnode. Touches nothing else. */
#ifndef RF_SIM_VDIST_H
#define RF_SIM_VDIST_H

#include "base/base.h"
#include "base/rng.h"

enum rf_vdist_kind {
    RF_VDIST_CONST,      /* base_ns */
    RF_VDIST_UNIFORM,    /* base_ns + U(0, span_ns) */
    RF_VDIST_EXPONENTIAL, /* base_ns + Exp(mean span_ns) */
    RF_VDIST_LOGNORMAL   /* median base_ns, `sigma` of its logarithm */
};

/** Zeroed it is the constant 0. On top of any kind: `slow_permille` of the draws are late by
 * slow_ns + U(0, slow_span_ns); 10 of them make the bimodal "1 % slow". */
struct rf_vdist {
    enum rf_vdist_kind kind;
    uint64_t base_ns, span_ns;
    double sigma;
    unsigned slow_permille;
    uint64_t slow_ns, slow_span_ns;
};

/** Draw a time, at most an hour. */
uint64_t rf_vdist_draw(const struct rf_vdist *d, struct rf_rng *rng);
/** Whether it is all zero: nothing was asked for. */
bool rf_vdist_none(const struct rf_vdist *d);

#endif
