/* canned.h - a server that answers each request with the same bytes. Used by tests/integration. */
#ifndef RF_TESTS_CANNED_H
#define RF_TESTS_CANNED_H

#include "nettest.h"
#include "rawserver.h"

#define CALL "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"m\",\"params\":[]}"
#define ANSWER "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":\"0x10\"}"
#define OK_HEAD "HTTP/1.1 200 OK\r\n"
#define OK_ANSWER OK_HEAD "Content-Length: 40\r\n\r\n" ANSWER
#define TEXT(t) .data = (t), .len = sizeof(t) - 1

/** What is written for each request; `end` says what comes then. */
struct canned {
    const void *data;
    size_t len;
    enum { STAY, END, RESET } end;
    bool bytewise;
    char seen[4096]; /* the last request */
};

/** The serve function of a raw server whose argument is a canned. */
void serve_canned(struct raw_conn *c, void *arg);
/** Start a canned server, and a shell that points to it but is not open yet. */
struct raw_server *canned_start(struct net *n, struct canned *k);
/** One exchange against canned bytes; the caller closes the shell and stops the server. */
struct rf_exchange *canned_ask(struct net *n, struct canned *k, struct raw_server **s);

#endif
