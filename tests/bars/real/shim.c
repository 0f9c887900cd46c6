/* shim.c - the system's calls that the bars stand in front of: names that hang, a wall clock that
 * is moved, and a look at what is sent. Linked into the program, so that libcurl, libuv and the C
 * library's users in this process come here first; everything else goes on to the system. */
#include <dlfcn.h>
#include <netdb.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include "bars.h"

#define OUTSIDE __attribute__((visibility("default")))

typedef int lookup_fn(const char *, const char *, const struct addrinfo *, struct addrinfo **);
typedef ssize_t send_fn(int, const void *, size_t, int);
typedef int clock_fn(clockid_t, struct timespec *);

static lookup_fn *real_lookup;
static send_fn *real_send;
static clock_fn *real_clock;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t let_go = PTHREAD_COND_INITIALIZER;
static bool hanging;
static _Atomic int64_t shift_s;
static atomic_bool watching;
static _Atomic uint64_t n_sent, n_late, worst_late_ns;

/* A data pointer for a function's: POSIX says that they are the same. */
static void find(const char *name, void *fn)
{
    void *p = dlsym(RTLD_NEXT, name);
    memcpy(fn, &p, sizeof p);
}

__attribute__((constructor)) static void find_all(void)
{
    find("getaddrinfo", &real_lookup);
    find("send", &real_send);
    find("clock_gettime", &real_clock);
}

void shim_hang_names(bool hang)
{
    pthread_mutex_lock(&lock);
    hanging = hang;
    pthread_cond_broadcast(&let_go);
    pthread_mutex_unlock(&lock);
}

OUTSIDE int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints,
                        struct addrinfo **out)
{
    size_t len = node == NULL ? 0 : strlen(node);
    if (len < 5 || strcmp(node + len - 5, ".hung") != 0)
        return real_lookup(node, service, hints, out);
    pthread_mutex_lock(&lock);
    while (hanging)
        pthread_cond_wait(&let_go, &lock);
    pthread_mutex_unlock(&lock);
    return EAI_AGAIN;
}

void shim_clock(int64_t seconds)
{
    atomic_store(&shift_s, seconds);
}

OUTSIDE int clock_gettime(clockid_t id, struct timespec *ts)
{
    int rc = real_clock != NULL ? real_clock(id, ts) : (int)syscall(SYS_clock_gettime, id, ts);
    if (rc == 0 && (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE))
        ts->tv_sec += atomic_load(&shift_s);
    return rc;
}

OUTSIDE time_t time(time_t *out)
{
    struct timespec ts;
    clock_gettime(CLOCK_REALTIME, &ts);
    if (out != NULL)
        *out = ts.tv_sec;
    return ts.tv_sec;
}

OUTSIDE int gettimeofday(struct timeval *restrict tv, void *restrict tz)
{
    struct timespec ts;
    (void)tz;
    clock_gettime(CLOCK_REALTIME, &ts);
    tv->tv_sec = ts.tv_sec;
    tv->tv_usec = ts.tv_nsec / 1000;
    return 0;
}

void shim_watch_sends(bool on)
{
    atomic_store(&watching, on);
}

void shim_sends(uint64_t *sent, uint64_t *late, uint64_t *worst_ns)
{
    *sent = atomic_load(&n_sent);
    *late = atomic_load(&n_late);
    *worst_ns = atomic_load(&worst_late_ns);
}

static void look(const char *data, size_t len)
{
    static const char mark[] = "[\"t";
    uint64_t now_ns = uv_hrtime();
    const char *end = data + len;
    for (const char *p = data; (p = memmem(p, (size_t)(end - p), mark, 3)) != NULL; p += 3) {
        uint64_t deadline_ns = 0;
        for (const char *d = p + 3; d < end && *d >= '0' && *d <= '9'; d++)
            deadline_ns = deadline_ns * 10 + (uint64_t)(*d - '0');
        atomic_fetch_add(&n_sent, 1);
        if (now_ns < deadline_ns)
            continue;
        atomic_fetch_add(&n_late, 1);
        if (now_ns - deadline_ns > atomic_load(&worst_late_ns))
            atomic_store(&worst_late_ns, now_ns - deadline_ns);
    }
}

OUTSIDE ssize_t send(int fd, const void *data, size_t len, int flags)
{
    if (atomic_load(&watching))
        look(data, len);
    return real_send(fd, data, len, flags);
}
