/* params.h - params of a call out of words of the command line. Called by cmd_call and
 * cmd_subscribe; touches nothing. */
#ifndef RF_CLI_PARAMS_H
#define RF_CLI_PARAMS_H

#include "base/buf.h"

/** Add a word to `[PARAM,...`: as it is where it is JSON, else as a string. The bracket at the end
 * is added by rf_params_end(). */
void rf_params_add(struct rf_buf *params, const char *text);

/** Close the array; no words make no params at all. */
void rf_params_end(struct rf_buf *params);

#endif
