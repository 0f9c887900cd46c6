#include "feed/feed_int.h"
bool rf_feed_pending_init(struct rf_feed *f)
{
    (void)f;
    return true;
}
void rf_feed_pending_add(struct rf_feed *f, uint32_t number, const struct rf_feed_news *n, bool bad)
{
    (void)f;
    (void)number;
    (void)n;
    (void)bad;
}
void rf_feed_pending_root(struct rf_feed *f, uint64_t slot)
{
    (void)f;
    (void)slot;
}
void rf_feed_pending_fini(struct rf_feed *f)
{
    (void)f;
}
bool rf_feed_forks_init(struct rf_feed *f)
{
    (void)f;
    return true;
}
void rf_feed_forks_slot(struct rf_feed *f, uint64_t slot, uint64_t parent, uint64_t root)
{
    (void)f;
    (void)slot;
    (void)parent;
    (void)root;
}
void rf_feed_forks_log(struct rf_feed *f, uint32_t number, uint64_t slot)
{
    (void)f;
    (void)number;
    (void)slot;
}
void rf_feed_forks_fini(struct rf_feed *f)
{
    (void)f;
}
