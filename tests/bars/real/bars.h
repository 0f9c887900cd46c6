/* bars.h - what the bars over real sockets share: rows of the report, a crowd of checked calls, a
 * meter of loop turns, a fake node in a process of its own, and the shim under the system's calls.
 * Used by tests/bars/real only. */
#ifndef RF_TESTS_BARS_H
#define RF_TESTS_BARS_H

#include <pthread.h>
#include <uv.h>

#include "base/base.h"
#include "base/rng.h"
#include "sim/node.h"

#define CROWD_NODES 5
#define CROWD_SECONDS 1024

/** A row: figures up to `limit` pass. Thread: any, one at a time. */
void bars_at_most(const char *bar, const char *scenario, const char *measure, double limit,
                  double figure);
/** A row: figures from `limit` on pass. */
void bars_at_least(const char *bar, const char *scenario, const char *measure, double limit,
                   double figure);
/** Text that belongs to the row above. */
void bars_note(const char *fmt, ...) RF_PRINTF(1, 2);
/** Say what is wrong with the machine or the test itself, and end the process with 2. */
void bars_die(const char *fmt, ...) RF_PRINTF(1, 2) __attribute__((noreturn));

/** Open descriptors of the process. */
unsigned bars_fds(void);
/** Handles of a loop that are not closed. */
unsigned bars_handles(uv_loop_t *loop);
/** Resident memory of the process in bytes. */
uint64_t bars_rss(void);
/** Sort, and give the quantile: 0.99 for the 99th of 100. @return 0 where n is 0. */
uint64_t bars_quantile(uint64_t *v, size_t n, double q);
/** An array of `n` zeroed elements; never NULL. */
void *bars_alloc(size_t n, size_t size);

/** The longest time that a loop did not turn, by a timer of 1 ms on it. */
struct beat {
    uv_timer_t timer;
    int sched_fd; /* the thread's times as the kernel's scheduler keeps them */
    uint64_t last_ns, last_cpu_ns, last_wait_ns;
    /* the worst turn: wall time, the thread's own CPU time in it, and wall time without the part in
     * which the thread could have run and others were running */
    uint64_t wall_ns, cpu_ns, own_ns;
    uint64_t longest_wall_ns; /* of all turns, whatever their own time was */
};

/** Begin. Thread: the loop's. */
void beat_start(struct beat *b, uv_loop_t *loop);
/** End; the loop must run once more. */
void beat_stop(struct beat *b);
/** Forget the worst turn so far. */
void beat_reset(struct beat *b);

struct asked;

/** Calls from one loop in one thread. Fill in what stands above `results`, and run. */
struct crowd {
    const char *name;
    unsigned n_nodes;
    const char *script[CROWD_NODES]; /* NULL: a node without faults */
    const char *url[CROWD_NODES];    /* takes the place of a node; NULL: start one */
    struct rpcfan_options options;
    struct rpcfan_network_options network;
    struct rpcfan_endpoint_options endpoint[CROWD_NODES];
    struct rpcfan_limit limit;               /* of the first endpoint; count 0: none */
    unsigned backlog;                        /* so many calls are kept waiting */
    unsigned per_s;                          /* or so many are offered a second */
    uint64_t run_ns;                         /* no further calls from then on */
    uint64_t calls_max;                      /* nor behind so many; 0: any number */
    uint64_t deadline_lo_ms, deadline_hi_ms; /* drawn from call to call; 0: the network's */
    bool drain;                              /* wait for all answers at the end */
    bool keep;                               /* latencies, lateness, answers a call */
    bool beat_on;                            /* measure turns of the loop */
    void (*each_second)(struct crowd *c, unsigned second); /* or NULL */
    void *arg;
    /* results */
    struct rf_node *node[CROWD_NODES];
    rpcfan_client_t *client;
    uint64_t busy, started, answered, ok, wrong;
    uint64_t by_err[RPCFAN_ERR_COUNT];
    uint64_t ok_at[CROWD_SECONDS]; /* good answers second by second, on the first node's clock */
    uint64_t *latency_ns;          /* of good answers, in their order; `ok` of them; owned */
    uint64_t *late_ns;             /* callback behind deadline, of calls that ran out of time */
    uint64_t n_late, cap;
    uint8_t *times;        /* answers of each call; owned */
    uint64_t *deadline_ns; /* of each call; owned */
    struct asked *kept;    /* with `keep`: what each call was given; owned */
    uint64_t live_end;     /* calls that the core still held at the end */
    uint64_t in_flight_end;
    unsigned fds_before, fds_after, handles_left;
    int loop_close;
    struct beat beat;
    uint64_t begun_ns, ended_ns;
    uint64_t most_waiting; /* calls accepted and not yet answered */
    uv_loop_t loop;
    uv_timer_t timer;
    unsigned seconds;
    bool closing;
    pthread_t thread;
    struct rf_rng rng;
};

/** Set the defaults and make the nodes' places. */
void crowd_init(struct crowd *c, const char *name, unsigned n_nodes);
/** Start the nodes; then their URLs are in `endpoint`. Also done by crowd_run(). */
void crowd_nodes(struct crowd *c);
/** Run to the end in this thread. */
void crowd_run(struct crowd *c);
/** Run all in a thread each, and wait. */
void crowd_run_all(struct crowd *c, size_t n);
/** Stop the nodes and free. */
void crowd_fini(struct crowd *c);
/** Sum of a node's seconds [from, to). */
struct rf_node_second crowd_sum(const struct crowd *c, unsigned node, unsigned from, unsigned to);
/** Good answers in seconds [from, to). */
uint64_t crowd_ok(const struct crowd *c, unsigned from, unsigned to);
/** A number in the client's status by its path, as fixture_status() of tests/lib. */
double crowd_status(struct crowd *c, const char *path);

/** A fake node in a process of its own, so that its memory and clock are not ours. */
struct child {
    int pid, out;
    char url[128];
};

/** Start `rpcfan sim` with this script. */
void child_start(struct child *c, const char *script);
/** End it. */
void child_stop(struct child *c);
/** Requests that it has read, as its status says. */
uint64_t child_requests(const struct child *c);

/** Hold back all lookups of names that end in .hung (shim.c), or let them go. Thread: any. */
void shim_hang_names(bool hang);
/** Move the wall clock of this process by so many seconds against the system's. Thread: any. */
void shim_clock(int64_t seconds);
/** Look for deadlines in what is sent: requests whose params are ["t<ns>"]. From now on. */
void shim_watch_sends(bool on);
/** How many such calls were sent, how many of them at or past their deadline, and the latest. */
void shim_sends(uint64_t *sent, uint64_t *late, uint64_t *worst_ns);

/** The bars; each prints its rows. */
void bars_limits(void);   /* 1 2 3 4 */
void bars_faults(void);   /* 6 7 11 */
void bars_tail(void);     /* 8 */
void bars_overload(void); /* 13 */
void bars_deadline(void); /* 14 */
void bars_shocks(void);   /* 15 */

/** Where the command stands. */
extern const char *bars_command;
/** Minutes that bar 13 lasts. */
extern double bars_minutes;

#endif
