/* index_show.h - what `rpcfan index` tells of itself on stderr: the status line, the verdict of
 * --verify, the summary. Called by index_run, index_verify and cmd_index. */
#ifndef RF_CLI_INDEX_SHOW_H
#define RF_CLI_INDEX_SHOW_H

#include "cli/index_run.h"

/** Draw the status line where it is time to. */
void rf_index_show(struct rf_index *x);

/** Append its text: accounts, events a second, lag in slots, watermark, repairs, queue. */
void rf_index_show_line(struct rf_buf *b, const struct rpcfan_feed_status *st, uint64_t rate);

/** Say what --verify came to. */
void rf_index_show_verdict(const struct rf_index *x);

/** Tell the summary where one was asked for. */
void rf_index_show_summary(const struct rf_index *x);

#endif
