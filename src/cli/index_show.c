/* index_show.c - status line, verdict and summary of `rpcfan index`. */
#include "cli/index_show.h"

#include <string.h>

#include "cli/options.h"
#include "json/rpc.h"

static unsigned long long ull(uint64_t v)
{
    return (unsigned long long)v;
}

static void add_number(struct rf_buf *b, const char *before, uint64_t v, const char *after)
{
    rf_buf_str(b, before);
    rf_progress_number(b, v);
    rf_buf_str(b, after);
}

void rf_index_show_line(struct rf_buf *b, const struct rpcfan_feed_status *st, uint64_t rate)
{
    bool snapshot = strcmp(st->state, "snapshot") == 0;
    rf_buf_str(b, st->state);
    if (snapshot)
        add_number(b, " ", st->snapshot_rows, " read");
    add_number(b, "  ", st->accounts, " accounts");
    add_number(b, "  ", rate, "/s");
    if (st->watermark > 0) {
        add_number(b, "  lag ", rf_time_sub(st->tip, st->watermark), " slots");
        rf_buf_printf(b, "  watermark %llu", ull(st->watermark));
    }
    add_number(b, "  ", st->repairs, " repairs");
    add_number(b, "  queue ", st->queue_events, "");
    if (st->dropped > 0)
        add_number(b, "  ", st->dropped, " dropped");
}

static uint64_t events_of(const struct rf_index_counts *c)
{
    uint64_t n = c->same + c->differs + c->missing + c->behind;
    for (size_t i = 0; i < RF_COUNT(c->kind); i++)
        n += c->kind[i];
    return n;
}

void rf_index_show(struct rf_index *x)
{
    uint64_t now_ns = rpcfan_now_ns();
    struct rf_buf b = {0};
    if (x->feed == NULL || !rf_progress_due(&x->progress, now_ns))
        return;
    rpcfan_feed_status(x->feed, &x->status);
    rf_progress_measure(&x->progress, events_of(&x->count), now_ns);
    rf_index_show_line(&b, &x->status, x->progress.rate);
    rf_progress_draw(&x->progress, b.data, b.len, now_ns);
    rf_buf_fini(&b);
}

void rf_index_show_verdict(const struct rf_index *x)
{
    const struct rf_index_counts *c = &x->count;
    rf_cli_say("verify: %llu the same, %llu differ, %llu missing, %llu extra; the database is "
               "complete to slot %llu, the chain was read at slot %llu%s",
               ull(c->same), ull(c->differs), ull(c->missing), ull(c->extra),
               ull(rf_db_checkpoint(x->db)->watermark), ull(c->read_slot),
               c->differs + c->missing + c->extra > 0
                   ? "; what changed in between differs: run 'rpcfan index --once' first"
                   : "");
    if (c->behind > 0)
        rf_cli_say("verify: of %llu accounts the node has an older state than the database: ask "
                   "one that is further, or wait",
                   ull(c->behind));
}

static uint64_t per_second(uint64_t n, uint64_t ns)
{
    return (uint64_t)((double)n * (double)RF_SEC / (double)rf_max_u64(ns, 1));
}

static void add_text(struct rf_buf *b, const struct rf_index *x)
{
    const struct rf_index_counts *c = &x->count;
    const struct rpcfan_feed_status *st = &x->status;
    rf_buf_printf(b, "accounts:  %llu; watermark %llu, tip %llu%s\n", ull(st->accounts),
                  ull(st->watermark), ull(st->tip), x->follow.interrupted ? "; interrupted" : "");
    rf_buf_printf(b,
                  "events:    %llu: %llu snapshot, %llu create, %llu update, %llu close, %llu "
                  "left; %llu malformed\n",
                  ull(events_of(c)), ull(c->kind[0]), ull(c->kind[1]), ull(c->kind[2]),
                  ull(c->kind[3]), ull(c->kind[4]), ull(c->malformed));
    rf_buf_printf(b, "time:      %.3f s, %llu events/s\n", (double)c->wall_ns / 1e9,
                  ull(per_second(events_of(c), c->wall_ns)));
    rf_buf_printf(b,
                  "stream:    %llu notifications, %llu without news, %llu stale; %llu gaps, "
                  "%llu repairs, %llu missed\n",
                  ull(st->notes), ull(st->same), ull(st->stale), ull(st->gaps), ull(st->repairs),
                  ull(st->missed));
    rf_buf_printf(b, "queue:     %llu conflated, %llu dropped; %llu calls\n", ull(st->conflated),
                  ull(st->dropped), ull(st->calls));
    if (x->db != NULL)
        rf_buf_printf(b,
                      "database:  %llu rows written, %llu stale, %llu commits; checkpoint at slot "
                      "%llu\n",
                      ull(rf_db_counters(x->db)->rows), ull(rf_db_counters(x->db)->stale),
                      ull(rf_db_counters(x->db)->commits), ull(rf_db_checkpoint(x->db)->watermark));
}

static void add_json(struct rf_buf *b, const struct rf_index *x)
{
    const struct rf_index_counts *c = &x->count;
    const struct rpcfan_feed_status *st = &x->status;
    rf_buf_printf(b,
                  "{\"accounts\":%llu,\"watermark\":%llu,\"tip\":%llu,\"interrupted\":%s,"
                  "\"events\":{\"snapshot\":%llu,\"create\":%llu,\"update\":%llu,\"close\":%llu,"
                  "\"left\":%llu},\"malformed\":%llu,\"wall_s\":%.3f,\"events_per_s\":%llu,",
                  ull(st->accounts), ull(st->watermark), ull(st->tip),
                  x->follow.interrupted ? "true" : "false", ull(c->kind[0]), ull(c->kind[1]),
                  ull(c->kind[2]), ull(c->kind[3]), ull(c->kind[4]), ull(c->malformed),
                  (double)c->wall_ns / 1e9, ull(per_second(events_of(c), c->wall_ns)));
    rf_buf_printf(b,
                  "\"notifications\":%llu,\"same\":%llu,\"stale\":%llu,\"gaps\":%llu,"
                  "\"repairs\":%llu,\"missed\":%llu,\"conflated\":%llu,\"dropped\":%llu,"
                  "\"calls\":%llu",
                  ull(st->notes), ull(st->same), ull(st->stale), ull(st->gaps), ull(st->repairs),
                  ull(st->missed), ull(st->conflated), ull(st->dropped), ull(st->calls));
    if (x->o->verify)
        rf_buf_printf(b,
                      ",\"verify\":{\"same\":%llu,\"differs\":%llu,\"missing\":%llu,"
                      "\"extra\":%llu,\"behind\":%llu,\"slot\":%llu}",
                      ull(c->same), ull(c->differs), ull(c->missing), ull(c->extra), ull(c->behind),
                      ull(c->read_slot));
    if (x->db != NULL)
        rf_buf_printf(b,
                      ",\"database\":{\"rows\":%llu,\"stale\":%llu,\"commits\":%llu,"
                      "\"watermark\":%llu,\"seq\":%llu}",
                      ull(rf_db_counters(x->db)->rows), ull(rf_db_counters(x->db)->stale),
                      ull(rf_db_counters(x->db)->commits), ull(rf_db_checkpoint(x->db)->watermark),
                      ull(rf_db_checkpoint(x->db)->seq));
    rf_buf_str(b, "}\n");
}

void rf_index_show_summary(const struct rf_index *x)
{
    struct rf_buf b = {0};
    if (x->o->summary == RF_INDEX_JSON)
        add_json(&b, x);
    else if (x->o->summary == RF_INDEX_TEXT)
        add_text(&b, x);
    rf_stderr_write(b.data, b.len);
    rf_buf_fini(&b);
}
