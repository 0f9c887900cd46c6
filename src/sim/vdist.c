/* vdist.c - inverse transform for the exponential, Box and Muller for the lognormal. */
#include "sim/vdist.h"

#include <math.h>

#define LONGEST_NS (3600 * RF_SEC)
#define TWO_PI 6.283185307179586

/* Uniform in (0, 1]. */
static double unit(struct rf_rng *rng)
{
    return ((double)(rf_rng_next(rng) >> 11) + 1.0) / 9007199254740992.0;
}

static uint64_t clamp_ns(double ns)
{
    return ns < (double)LONGEST_NS ? (uint64_t)ns : LONGEST_NS;
}

static double normal(struct rf_rng *rng)
{
    double r = sqrt(-2.0 * log(unit(rng)));
    return r * cos(TWO_PI * unit(rng));
}

uint64_t rf_vdist_draw(const struct rf_vdist *d, struct rf_rng *rng)
{
    uint64_t ns = d->base_ns;
    if (d->kind == RF_VDIST_UNIFORM)
        ns += rf_rng_below(rng, d->span_ns);
    else if (d->kind == RF_VDIST_EXPONENTIAL)
        ns += clamp_ns(-log(unit(rng)) * (double)d->span_ns);
    else if (d->kind == RF_VDIST_LOGNORMAL)
        ns = clamp_ns((double)d->base_ns * exp(d->sigma * normal(rng)));
    if (d->slow_permille > 0 && rf_rng_below(rng, 1000) < d->slow_permille)
        ns += d->slow_ns + rf_rng_below(rng, d->slow_span_ns);
    return rf_min_u64(ns, LONGEST_NS);
}

bool rf_vdist_none(const struct rf_vdist *d)
{
    return d->kind == RF_VDIST_CONST && d->base_ns == 0 && d->slow_permille == 0;
}
