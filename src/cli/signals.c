/* signals.c - turns SIGINT and SIGTERM into a readable descriptor. */
#include "cli/signals.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include "cli/cli.h"

static int pipe_fd[2] = {-1, -1};
static volatile sig_atomic_t seen;

/* Async-signal-safe: write() and _exit() only. */
static void on_signal(int sig)
{
    (void)sig;
    if (seen)
        _exit(RF_EXIT_INTERRUPT);
    seen = 1;
    ssize_t n = write(pipe_fd[1], "!", 1);
    (void)n; /* the pipe is empty before the first signal: it cannot be full */
}

static void mask(int how)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    pthread_sigmask(how, &set, NULL);
}

void rf_signals_block(void)
{
    mask(SIG_BLOCK);
}

int rf_signals_take(void)
{
    struct sigaction sa = {.sa_handler = on_signal};
    if (pipe(pipe_fd) != 0)
        return -1;
    for (int i = 0; i < 2; i++) {
        fcntl(pipe_fd[i], F_SETFD, FD_CLOEXEC);
        fcntl(pipe_fd[i], F_SETFL, O_NONBLOCK);
    }
    sigemptyset(&sa.sa_mask);
    sigaction(SIGINT, &sa, NULL);
    sigaction(SIGTERM, &sa, NULL);
    mask(SIG_UNBLOCK);
    return pipe_fd[0];
}
