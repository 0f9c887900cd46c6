/* drr.c - deficit round robin with a quantum of one unit.
 *
 * The cost of a packet is known only when it is packed, so a class with any credit may send, and
 * what it sends is charged afterwards: credit becomes debt, and it waits until the rounds have
 * paid that off. Rounds in which nobody could send are not walked through but counted: all get at
 * once as many quanta as the least indebted needs. So a packet costs one look at the ring, and one
 * at all classes where a round begins, at any cost from 1 to 2^40.
 *
 * Example: classes A (packets of 100) and B (packets of 1), both always backlogged. A sends and
 * stands at -99, B sends and stands at 0. The next rounds are B's: each gives both one unit, until
 * after 99 of them A stands at 0 again and the next round is both's. Each 100 units of A's are
 * met by 100 of B's.
 *
 * | constant | value | why                                                             |
 * |----------|-------|-----------------------------------------------------------------|
 * | QUANTUM  | 1     | the shares of two classes differ by at most one packet's cost;  |
 * |          |       | a larger one adds itself to that, and makes bursts              |
 * | DEBT_MAX | 2^40  | 10^6 calls of weight 10^6; sums stay far from overflow          |
 *
 * A class that is idle or blocked has its debt paid by the rounds too, but earns nothing: nobody
 * loses by having sent while nobody else wanted to, and nobody saves up. Its debt outlives an empty
 * queue, or a class that sends 1,000 calls and is empty would pass for one that sent nothing.
 *
 * Source: Shreedhar and Varghese, "Efficient Fair Queueing Using Deficit Round Robin"; charging
 * afterwards is surplus round robin (Adiseshu, Parulkar and Varghese). */
#include "policy/drr.h"

#define QUANTUM 1
#define DEBT_MAX (INT64_C(1) << 40)

void rf_drr_init(struct rf_drr *d)
{
    *d = (struct rf_drr){0};
}

void rf_drr_begin(struct rf_drr *d)
{
    d->blocked = 0;
}

static uint64_t with_credit(const struct rf_drr *d, uint64_t among)
{
    uint64_t found = 0;
    for (uint64_t rest = among; rest != 0; rest &= rest - 1) {
        unsigned cls = (unsigned)__builtin_ctzll(rest);
        if (d->credit[cls] > 0)
            found |= UINT64_C(1) << cls;
    }
    return found;
}

/* As many rounds as it takes until one of `among` has credit. */
static void grant(struct rf_drr *d, uint64_t among)
{
    int64_t most = -DEBT_MAX;
    for (uint64_t rest = among; rest != 0; rest &= rest - 1) {
        int64_t credit = d->credit[__builtin_ctzll(rest)];
        most = credit > most ? credit : most;
    }
    int64_t rounds = QUANTUM - most;
    uint64_t rest = among | d->owing;
    for (d->owing = 0; rest != 0; rest &= rest - 1) {
        unsigned cls = (unsigned)__builtin_ctzll(rest);
        bool earns = (among >> cls & 1) != 0;
        int64_t credit = d->credit[cls] + rounds;
        d->credit[cls] = credit > 0 && !earns ? 0 : credit;
        d->owing |= (uint64_t)(credit < 0) << cls;
    }
}

uint32_t rf_drr_next(struct rf_drr *d, uint64_t ready)
{
    uint64_t among = ready & ~d->blocked;
    if (among == 0)
        return UINT32_MAX;
    uint64_t can = with_credit(d, among);
    if (can == 0) {
        grant(d, among);
        can = with_credit(d, among);
    }
    uint64_t ahead = can & (UINT64_MAX << d->turn);
    return (uint32_t)__builtin_ctzll(ahead != 0 ? ahead : can);
}

void rf_drr_charge(struct rf_drr *d, uint32_t cls, uint64_t cost)
{
    if (cls >= RF_DRR_CLASSES)
        return;
    int64_t units = cost < (uint64_t)DEBT_MAX ? (int64_t)cost : DEBT_MAX;
    int64_t left = d->credit[cls] - (units > 0 ? units : 1);
    d->credit[cls] = left > -DEBT_MAX ? left : -DEBT_MAX;
    d->owing |= (uint64_t)(left < 0) << cls;
    d->turn = (cls + 1) % RF_DRR_CLASSES;
}

void rf_drr_blocked(struct rf_drr *d, uint32_t cls)
{
    if (cls < RF_DRR_CLASSES)
        d->blocked |= UINT64_C(1) << cls;
}
