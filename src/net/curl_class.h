/* curl_class.h - what a libcurl result means for an exchange: one total table from CURLcode to
 * enum rf_transport and to static words for people. Pure. Called by net/http.c. */
#ifndef RF_NET_CURL_CLASS_H
#define RF_NET_CURL_CLASS_H

#include <curl/curl.h>

#include "core/call.h"

/** What else is known about the transfer besides its code. */
struct rf_curl_facts {
    unsigned sends;   /* times a request was begun on a connection; 0: surely not sent */
    int os_errno;     /* of the last failed system call; 0: unknown */
    long proxy_code;  /* the proxy's answer to CONNECT; 0: none */
    long proxy_error; /* a CURLproxycode, with CURLE_PROXY */
    bool connected;   /* a connection stood */
    bool https;
    bool capped;    /* our write callback ended it: over the response cap */
    bool no_memory; /* our write callback ended it: out of memory */
};

/**
 * Class and reason of a libcurl result. Total: every code, also one that this build does not know.
 * A code of the connect or TLS phase after a request was already begun (libcurl replayed it, and
 * the new connection failed) is RF_T_RESET: the node may have seen the request.
 * @param reason  out: static words; NULL with RF_T_OK.
 */
enum rf_transport rf_curl_class(CURLcode code, const struct rf_curl_facts *f, const char **reason);

#endif
