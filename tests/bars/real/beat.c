/* beat.c - how long a loop did not turn. A timer of 1 ms on the loop notes the time since its last
 * call; what a turn took is in between.
 *
 * On a busy machine a thread that could run waits for a processor, and the wall time of a turn says
 * nothing of the program. The thread's CPU time alone will not do either: a turn that blocks, which
 * is what is looked for, uses none. So the time in which the thread was ready and others ran is
 * taken off; the kernel's scheduler keeps it (the second figure of schedstat). */
#include <fcntl.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "bars.h"

static void read_thread(const struct beat *b, uint64_t *cpu_ns, uint64_t *wait_ns)
{
    char text[96];
    struct timespec ts;
    unsigned long long ran = 0, waited = 0;
    ssize_t n = b->sched_fd < 0 ? -1 : pread(b->sched_fd, text, sizeof text - 1, 0);
    text[n > 0 ? n : 0] = '\0';
    if (n <= 0 || sscanf(text, "%llu %llu", &ran, &waited) != 2)
        waited = 0;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
    *cpu_ns = (uint64_t)ts.tv_sec * RF_SEC + (uint64_t)ts.tv_nsec;
    *wait_ns = waited;
}

static void on_beat(uv_timer_t *t)
{
    struct beat *b = t->data;
    uint64_t cpu_ns, wait_ns, now_ns = uv_hrtime();
    read_thread(b, &cpu_ns, &wait_ns);
    if (b->last_ns != 0) {
        uint64_t wall_ns = now_ns - b->last_ns;
        uint64_t own_ns =
            rf_max_u64(rf_time_sub(wall_ns, wait_ns - b->last_wait_ns), cpu_ns - b->last_cpu_ns);
        b->longest_wall_ns = rf_max_u64(b->longest_wall_ns, wall_ns);
        if (own_ns > b->own_ns) {
            b->own_ns = own_ns;
            b->wall_ns = wall_ns;
            b->cpu_ns = cpu_ns - b->last_cpu_ns;
        }
    }
    b->last_ns = now_ns;
    b->last_cpu_ns = cpu_ns;
    b->last_wait_ns = wait_ns;
}

void beat_start(struct beat *b, uv_loop_t *loop)
{
    *b = (struct beat){0};
    b->sched_fd = open("/proc/thread-self/schedstat", O_RDONLY | O_CLOEXEC);
    uv_timer_init(loop, &b->timer);
    b->timer.data = b;
    uv_timer_start(&b->timer, on_beat, 1, 1);
}

void beat_reset(struct beat *b)
{
    b->last_ns = b->wall_ns = b->cpu_ns = b->own_ns = b->longest_wall_ns = 0;
}

void beat_stop(struct beat *b)
{
    if (b->sched_fd >= 0)
        close(b->sched_fd);
    uv_close((uv_handle_t *)&b->timer, NULL);
}
