/* signals.h - SIGINT and SIGTERM as a descriptor that polls readable. The second one ends the
 * process at once. Used by commands that run long; touches the process's signal handlers. */
#ifndef RF_CLI_SIGNALS_H
#define RF_CLI_SIGNALS_H

#include "base/base.h"

/**
 * Block the two signals, so that threads made from here on never take them. Call it before the
 * client is made.
 */
void rf_signals_block(void);

/**
 * Take over the two signals in the calling thread.
 * @return a descriptor that is readable once a signal came, or -1. Owned by this file.
 */
int rf_signals_take(void);

#endif
