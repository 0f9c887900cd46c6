/* commands.h - the option tables of the commands that take part in the sorting of global options.
 * Used by main.c; defined in each cmd_<name>.c. */
#ifndef RF_CLI_COMMANDS_H
#define RF_CLI_COMMANDS_H

#include "cli/args.h"

extern const struct rf_arg_spec rf_call_spec[];
extern const size_t rf_call_spec_n;
extern const struct rf_arg_spec rf_batch_spec[];
extern const size_t rf_batch_spec_n;
extern const struct rf_arg_spec rf_explain_spec[];
extern const size_t rf_explain_spec_n;
extern const struct rf_arg_spec rf_subscribe_spec[];
extern const size_t rf_subscribe_spec_n;
extern const struct rf_arg_spec rf_index_spec[];
extern const size_t rf_index_spec_n;

#endif
