/* proxy.h - which proxy an endpoint goes through. libcurl's own reading of the environment is
 * turned off, because the proxy's host has to be known in order to be looked up off the loop.
 * Called by net/http_easy.c; reads the environment, touches nothing else. */
#ifndef RF_NET_PROXY_H
#define RF_NET_PROXY_H

#include "base/base.h"

/** Where environment variables come from: getenv(), or a table in tests. */
typedef const char *(*rf_getenv_fn)(const char *name);

/** getenv() as an rf_getenv_fn. */
const char *rf_proxy_getenv(const char *name);

/** A proxy in parts. Strings are owned; rf_proxy_fini() frees them. */
struct rf_proxy {
    char *url;  /* for CURLOPT_PROXY; "" for none; may hold a password: never shown */
    char *host; /* to look up; NULL: none, or numeric */
    uint16_t port;
};

/**
 * The proxy of the environment for a URL: http_proxy (lower case only, as CGI programs get
 * HTTP_PROXY from strangers), https_proxy or HTTPS_PROXY, all_proxy or ALL_PROXY, unless
 * no_proxy or NO_PROXY names the host.
 * @param https  whether the URL's scheme is https.
 * @param host   of the URL, without brackets.
 * @return borrowed from the environment; NULL: none.
 */
const char *rf_proxy_from_env(rf_getenv_fn env, bool https, const char *host);

/**
 * Whether a no_proxy list names a host: `*`, a name (itself and all below it; a leading dot is
 * ignored), an address, or an address block such as 10.0.0.0/8. Separated by commas or space.
 */
bool rf_proxy_bypassed(const char *list, const char *host);

/**
 * Take a proxy URL apart. socks4 and socks5 become socks4a and socks5h: the proxy looks the name
 * up, since libcurl would do it on the loop. Without a scheme it is http; without a port 1080
 * (https: 443).
 * @param url  "" or NULL: no proxy.
 * @param out  overwritten.
 * @return 0, RPCFAN_ECONFIG (not a proxy URL) or RPCFAN_ENOMEM.
 */
enum rpcfan_err rf_proxy_parse(const char *url, struct rf_proxy *out);

/** Free the strings. */
void rf_proxy_fini(struct rf_proxy *p);

/** Whether a host is an IPv4 or IPv6 address (brackets and zone allowed), which needs no lookup. */
bool rf_host_is_numeric(const char *host);

#endif
