/* bell.c - an eventfd, rung and silenced. */
#include "client/bell.h"

#include <errno.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <unistd.h>

bool rf_bell_init(struct rf_bell *b)
{
    b->rung = false;
    b->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    return b->fd >= 0;
}

void rf_bell_fini(struct rf_bell *b)
{
    close(b->fd);
}

void rf_bell_set(struct rf_bell *b, bool ring)
{
    if (b->rung == ring)
        return;
    b->rung = ring;
    uint64_t count = 1;
    while ((ring ? write(b->fd, &count, sizeof count) : read(b->fd, &count, sizeof count)) < 0 &&
           errno == EINTR)
        ;
}
