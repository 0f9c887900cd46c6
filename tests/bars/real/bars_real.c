/* bars_real.c - the bars that can be shown over real sockets on one machine, against the fake node.
 * Called by tests/bars/real/run.
 *
 *   bars_real NAME...   NAME is limits, faults, tail, overload, deadline or shocks
 *
 * Each bar prints rows: its number, what was done, what was measured, the bar, the figure.
 * Exit status: 0 all bars met, 1 one missed, 2 the machine or the program is at fault. */
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <curl/curl.h>

#include "bars.h"

const char *bars_command;
double bars_minutes = 2;
static unsigned missed;

static void row(const char *bar, const char *scenario, const char *measure, const char *limit,
                double figure, bool met)
{
    printf("%-4s %-37s %-30s %12s %12.4g  %s\n", bar, scenario, measure, limit, figure,
           met ? "ok" : "MISSED");
    fflush(stdout);
    missed += !met;
}

void bars_at_most(const char *bar, const char *scenario, const char *measure, double limit,
                  double figure)
{
    char text[32];
    snprintf(text, sizeof text, "<= %.4g", limit);
    row(bar, scenario, measure, text, figure, figure <= limit);
}

void bars_at_least(const char *bar, const char *scenario, const char *measure, double limit,
                   double figure)
{
    char text[32];
    snprintf(text, sizeof text, ">= %.4g", limit);
    row(bar, scenario, measure, text, figure, figure >= limit);
}

void bars_note(const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    fputs("     - ", stdout);
    vprintf(fmt, ap);
    putchar('\n');
    fflush(stdout);
    va_end(ap);
}

void bars_die(const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    fputs("bars_real: ", stderr);
    vfprintf(stderr, fmt, ap);
    fputc('\n', stderr);
    va_end(ap);
    _exit(2);
}

void *bars_alloc(size_t n, size_t size)
{
    void *p = calloc(n, size);
    if (p == NULL)
        bars_die("out of memory");
    return p;
}

unsigned bars_fds(void)
{
    unsigned n = 0;
    DIR *d = opendir("/proc/self/fd");
    if (d == NULL)
        bars_die("no /proc");
    while (readdir(d) != NULL)
        n++;
    closedir(d);
    return n;
}

static void count_handle(uv_handle_t *handle, void *arg)
{
    unsigned *n = arg;
    *n += !uv_is_closing(handle);
}

unsigned bars_handles(uv_loop_t *loop)
{
    unsigned n = 0;
    uv_walk(loop, count_handle, &n);
    return n;
}

uint64_t bars_rss(void)
{
    unsigned long long total = 0, resident = 0;
    FILE *f = fopen("/proc/self/statm", "re");
    if (f == NULL || fscanf(f, "%llu %llu", &total, &resident) != 2)
        bars_die("no /proc/self/statm");
    fclose(f);
    return resident * (uint64_t)sysconf(_SC_PAGESIZE);
}

static int by_size(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

uint64_t bars_quantile(uint64_t *v, size_t n, double q)
{
    if (n == 0)
        return 0;
    qsort(v, n, sizeof *v, by_size);
    size_t at = (size_t)(q * (double)n);
    return v[at < n ? at : n - 1];
}

void child_start(struct child *c, const char *script)
{
    extern char **environ;
    char path[] = "/tmp/bars-XXXXXX";
    int fd = mkstemp(path), pipes[2];
    if (fd < 0 || write(fd, script, strlen(script)) != (ssize_t)strlen(script) ||
        pipe2(pipes, O_CLOEXEC) != 0)
        bars_die("no script for the node");
    close(fd);
    char *argv[] = {(char *)(uintptr_t)bars_command,
                    (char *)(uintptr_t) "sim",
                    (char *)(uintptr_t) "--quiet",
                    (char *)(uintptr_t) "--listen=127.0.0.1:0",
                    (char *)(uintptr_t) "--script",
                    path,
                    NULL};
    posix_spawn_file_actions_t fa;
    posix_spawn_file_actions_init(&fa);
    posix_spawn_file_actions_adddup2(&fa, pipes[1], STDOUT_FILENO);
    if (posix_spawn(&c->pid, bars_command, &fa, NULL, argv, environ) != 0)
        bars_die("%s does not start", bars_command);
    posix_spawn_file_actions_destroy(&fa);
    close(pipes[1]);
    FILE *f = fdopen(pipes[0], "r");
    if (f == NULL || fscanf(f, "listening on %127s", c->url) != 1)
        bars_die("%s sim does not serve", bars_command);
    fclose(f);
    unlink(path);
}

void child_stop(struct child *c)
{
    kill(c->pid, SIGTERM);
    waitpid(c->pid, NULL, 0);
}

static size_t take_text(char *data, size_t size, size_t n, void *arg)
{
    char *text = arg;
    size_t len = strlen(text), more = size * n < 1000 - len ? size * n : 1000 - len;
    memcpy(text + len, data, more);
    text[len + more] = '\0';
    return size * n;
}

uint64_t child_requests(const struct child *c)
{
    char text[1024] = "";
    CURL *easy = curl_easy_init();
    curl_easy_setopt(easy, CURLOPT_URL, c->url);
    curl_easy_setopt(easy, CURLOPT_PROXY, "");
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, take_text);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, text);
    CURLcode rc = curl_easy_perform(easy);
    curl_easy_cleanup(easy);
    const char *at = strstr(text, "\"requests\":");
    if (rc != CURLE_OK || at == NULL)
        bars_die("the node tells no counters");
    return strtoull(at + 11, NULL, 10);
}

/* The command stands three directories above this program unless RPCFAN says otherwise. */
static void find_command(const char *self)
{
    static char path[4096];
    const char *slash = strrchr(self, '/');
    int dir = slash == NULL ? 0 : (int)(slash - self) + 1;
    snprintf(path, sizeof path, "%.*s../../../rpcfan", dir, self);
    bars_command = getenv("RPCFAN") != NULL ? getenv("RPCFAN") : path;
    if (access(bars_command, X_OK) != 0)
        bars_die("%s is missing: make all", bars_command);
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        void (*run)(void);
    } table[] = {{"limits", bars_limits},     {"faults", bars_faults},     {"tail", bars_tail},
                 {"overload", bars_overload}, {"deadline", bars_deadline}, {"shocks", bars_shocks}};
    const char *minutes = getenv("BAR13_MINUTES");
    find_command(argv[0]);
    if (minutes != NULL && *minutes != '\0')
        bars_minutes = strtod(minutes, NULL);
    if (!(bars_minutes >= 0.2 && bars_minutes <= 15))
        bars_die("BAR13_MINUTES: want 0.2 to 15");
    curl_global_init(CURL_GLOBAL_DEFAULT);
    signal(SIGPIPE, SIG_IGN);
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    uv_loop_t loop; /* the first of a process opens a pipe for good */
    uv_loop_init(&loop);
    uv_loop_close(&loop);
    for (int i = 1; i < argc; i++) {
        size_t k = 0;
        while (k < RF_COUNT(table) && strcmp(table[k].name, argv[i]) != 0)
            k++;
        if (k == RF_COUNT(table))
            bars_die("'%s' is no group of bars", argv[i]);
        table[k].run();
    }
    curl_global_cleanup();
    return missed > 0;
}
