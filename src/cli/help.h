/* help.h - help texts on stdout. Used by main.c and the commands. */
#ifndef RF_CLI_HELP_H
#define RF_CLI_HELP_H

/** Print a help text, with the global options behind it where `globals`. @return an exit status. */
int rf_help_print(const char *text, int globals);

/** Say what is wrong with the command line and where help is. @return RF_EXIT_USAGE.
 * @param command  the command's name, or "" for the program. */
int rf_help_misuse(const char *command, const char *problem);

#endif
