/* help.c - prints help texts. */
#include "cli/help.h"

#include <stdio.h>

#include "cli/options.h"

int rf_help_print(const char *text, int globals)
{
    fputs(text, stdout);
    if (globals) {
        fputs("\n", stdout);
        fputs(rf_global_help, stdout);
    }
    /* a part that was written before the end is told by ferror() alone */
    return fflush(stdout) == 0 && !ferror(stdout) ? RF_EXIT_OK : RF_EXIT_IO;
}

int rf_help_misuse(const char *command, const char *problem)
{
    rf_cli_say("%s%s%s", command, command[0] != '\0' ? ": " : "", problem);
    fprintf(stderr, "Try 'rpcfan %s%s--help'.\n", command, command[0] != '\0' ? " " : "");
    return RF_EXIT_USAGE;
}
