/* http_easy.c - endpoints and their easy handles. Called by http.c.
 *
 * All options that never change are set once, when an easy handle is made. A request then sets its
 * body and, where they differ from the last time, its timeouts, the header list (a renewed token)
 * and the addresses. Lists that libcurl may still read are counted: a transfer that runs keeps the
 * one it was begun with.
 *
 * Failure modes: a bad URL, header, secret, proxy or cacert is found when the endpoint is made, and
 * the message names the endpoint and the setting, never its value. */
#include "net/http_int.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"

static const char *const own_headers[] = {"Content-Type: application/json", "Expect:"};
static const char *const framing[] = {"Content-Length", "Transfer-Encoding", "Connection",
                                      "Expect"};

void rf_slist_unref(struct rf_slist *s)
{
    if (s == NULL || --s->refs > 0)
        return;
    curl_slist_free_all(s->list);
    rf_free(s);
}

static struct rf_slist *new_slist(void)
{
    struct rf_slist *s = rf_alloc(sizeof *s);
    if (s != NULL)
        s->refs = 1;
    return s;
}

static bool add_line(struct rf_slist *s, const char *line)
{
    struct curl_slist *longer = curl_slist_append(s->list, line);
    if (longer != NULL)
        s->list = longer;
    return longer != NULL;
}

/* The length of a header's name, or 0 where the line is not "Name: value" on one line. */
static size_t name_length(const char *line)
{
    static const char token[] = "!#$%&'*+-.^_`|~0123456789"
                                "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
    size_t n = strspn(line, token);
    return line[n] == ':' && strpbrk(line, "\r\n") == NULL ? n : 0;
}

static bool is_named(const char *line, const char *name)
{
    size_t n = strlen(name);
    return name_length(line) == n && strncasecmp(line, name, n) == 0;
}

static bool has_header(const struct rf_http_ep *ep, const char *line)
{
    char name[32];
    size_t n = name_length(line);
    if (n >= sizeof name)
        return false;
    memcpy(name, line, n);
    name[n] = '\0';
    for (size_t i = 0; i < ep->o->n_headers; i++) {
        if (is_named(ep->o->headers[i], name))
            return true;
    }
    return false;
}

static enum rpcfan_err check_headers(const struct rf_http_ep *ep, struct rpcfan_error *err)
{
    for (size_t i = 0; i < ep->o->n_headers; i++) {
        const char *line = ep->o->headers[i];
        if (line == NULL || name_length(line) == 0)
            return rf_fail(err, RPCFAN_ECONFIG, "header %zu is not \"Name: value\" on one line",
                           i + 1);
        for (size_t k = 0; k < RF_COUNT(framing); k++) {
            if (is_named(line, framing[k]))
                return rf_fail(err, RPCFAN_ECONFIG, "header %zu: %s is set by the client itself",
                               i + 1, framing[k]);
        }
        if (ep->has_jwt && is_named(line, "Authorization"))
            return rf_fail(err, RPCFAN_ECONFIG,
                           "header %zu: Authorization and a JWT secret "
                           "exclude each other",
                           i + 1);
    }
    return RPCFAN_OK;
}

/* libcurl takes "Name:" for "leave this header out"; an empty value is written "Name;". */
static bool add_user_header(struct rf_slist *s, const char *line)
{
    size_t n = name_length(line);
    if (line[n + 1 + strspn(line + n + 1, " \t")] != '\0')
        return add_line(s, line);
    char *empty = rf_memdup(line, n + 1);
    if (empty == NULL)
        return false;
    empty[n] = ';';
    bool ok = add_line(s, empty);
    rf_free(empty);
    return ok;
}

static struct rf_slist *build_headers(const struct rf_http_ep *ep)
{
    struct rf_slist *s = new_slist();
    bool ok = s != NULL;
    for (size_t i = 0; i < RF_COUNT(own_headers) && ok; i++)
        ok = has_header(ep, own_headers[i]) || add_line(s, own_headers[i]);
    for (size_t i = 0; i < ep->o->n_headers && ok; i++)
        ok = add_user_header(s, ep->o->headers[i]);
    if (ok && ep->has_jwt) {
        static const char prefix[] = "Authorization: Bearer ";
        char line[sizeof prefix + RF_JWT_TEXT];
        memcpy(line, prefix, sizeof prefix);
        ok = rf_jwt_make(ep->jwt_secret, ep->jwt_made_s, line + sizeof prefix - 1) &&
             add_line(s, line);
    }
    if (ok)
        return s;
    rf_slist_unref(s);
    return NULL;
}

/* Make a new token where the old one has aged, or the clock was set back. */
static bool renew_token(struct rf_http_ep *ep)
{
    int64_t now = (int64_t)time(NULL);
    if (now >= ep->jwt_made_s && now - ep->jwt_made_s < RF_JWT_RENEW_S)
        return true;
    int64_t before = ep->jwt_made_s;
    ep->jwt_made_s = now;
    struct rf_slist *s = build_headers(ep);
    if (s == NULL) {
        ep->jwt_made_s = before;
        return false;
    }
    rf_slist_unref(ep->headers);
    ep->headers = s;
    return true;
}

bool rf_ep_resolve(struct rf_http_ep *ep, const char *addresses, uint32_t generation)
{
    if (ep->resolve_generation == generation)
        return true;
    struct rf_buf line = {0};
    rf_buf_printf(&line, "%s:%u:%s", ep->dns_host, (unsigned)ep->dns_port, addresses);
    struct rf_slist *s = new_slist();
    bool ok = s != NULL && !line.failed && add_line(s, line.data);
    rf_buf_fini(&line);
    if (!ok) {
        rf_slist_unref(s);
        return false;
    }
    rf_slist_unref(ep->resolve);
    ep->resolve = s;
    ep->resolve_generation = generation;
    return true;
}

/* What is looked up for an endpoint: the proxy's host, or else the URL's, or nothing. */
static bool set_lookup(struct rf_http *h, struct rf_http_ep *ep, const char *host, uint16_t port)
{
    const char *name = host;
    if (*ep->proxy.url != '\0') {
        name = ep->proxy.host;
        port = ep->proxy.port;
    }
    if (name == NULL || ep->o->unix_socket != NULL || rf_host_is_numeric(name))
        return true;
    ep->dns_host = rf_strdup(name);
    ep->dns_port = port;
    ep->dns = rf_dns_name(&h->dns, name);
    return ep->dns_host != NULL && ep->dns != NULL;
}

static enum rpcfan_err parse_url(struct rf_http *h, struct rf_http_ep *ep, struct rpcfan_error *err)
{
    char *scheme = NULL, *host = NULL, *port = NULL;
    enum rpcfan_err e = RPCFAN_ENOMEM;
    CURLU *u = curl_url();
    if (u == NULL)
        return rf_fail(err, e, "out of memory");
    if (curl_url_set(u, CURLUPART_URL, ep->o->url == NULL ? "" : ep->o->url, 0) != CURLUE_OK ||
        curl_url_get(u, CURLUPART_SCHEME, &scheme, 0) != CURLUE_OK ||
        (strcmp(scheme, "http") != 0 && strcmp(scheme, "https") != 0) ||
        curl_url_get(u, CURLUPART_HOST, &host, CURLU_PUNYCODE) != CURLUE_OK ||
        curl_url_get(u, CURLUPART_PORT, &port, CURLU_DEFAULT_PORT) != CURLUE_OK) {
        e = rf_fail(err, RPCFAN_ECONFIG, "the URL is not http(s)://host[:port]/path");
        goto out;
    }
    ep->https = strcmp(scheme, "https") == 0;
    const char *proxy = ep->o->proxy;
    if (ep->o->unix_socket != NULL)
        proxy = "";
    else if (proxy == NULL)
        proxy = rf_proxy_from_env(rf_proxy_getenv, ep->https, host);
    e = rf_proxy_parse(proxy, &ep->proxy);
    if (e != RPCFAN_OK)
        rf_fail(err, e,
                "the proxy%s is not scheme://host[:port] with scheme http, https, socks4a "
                "or socks5h",
                ep->o->proxy == NULL ? " of the environment" : "");
    else if (!set_lookup(h, ep, host, (uint16_t)strtoul(port, NULL, 10)))
        e = rf_fail(err, RPCFAN_ENOMEM, "out of memory");
out:
    curl_free(port);
    curl_free(host);
    curl_free(scheme);
    curl_url_cleanup(u);
    return e;
}

enum rpcfan_err rf_ep_init(struct rf_http *h, struct rf_http_ep *ep, uint32_t index,
                           struct rpcfan_error *err)
{
    const struct rpcfan_endpoint_options *o = h->o.endpoints[index];
    ep->o = o;
    ep->has_jwt = o->jwt_secret != NULL;
    rf_list_init(&ep->pool);
    enum rpcfan_err e = check_headers(ep, err);
    if (e == RPCFAN_OK && ep->has_jwt && !rf_jwt_secret(o->jwt_secret, ep->jwt_secret))
        e = rf_fail(err, RPCFAN_ECONFIG, "the JWT secret is not 64 hex digits");
    if (e == RPCFAN_OK && o->cacert != NULL && access(o->cacert, R_OK) != 0)
        e = rf_fail(err, RPCFAN_ECONFIG, "the cacert file cannot be read");
    if (e == RPCFAN_OK)
        e = parse_url(h, ep, err);
    if (e == RPCFAN_OK) {
        ep->jwt_made_s = (int64_t)time(NULL);
        ep->headers = build_headers(ep);
        if (ep->headers == NULL)
            e = rf_fail(err, RPCFAN_ENOMEM, "out of memory");
    }
    if (e != RPCFAN_OK && o->name != NULL)
        rf_fail_prefix(err, "endpoint %s: ", o->name);
    else if (e != RPCFAN_OK)
        rf_fail_prefix(err, "endpoint %u: ", (unsigned)index + 1);
    return e;
}

static void free_xfer(struct rf_xfer *xf)
{
    curl_easy_cleanup(xf->easy);
    rf_slist_unref(xf->headers);
    rf_slist_unref(xf->resolve);
    rf_free(xf);
}

void rf_ep_fini(struct rf_http_ep *ep)
{
    if (ep->o == NULL)
        return;
    for (struct rf_link *l; (l = rf_list_shift(&ep->pool)) != NULL;)
        free_xfer(RF_CONTAINER(l, struct rf_xfer, link));
    rf_slist_unref(ep->headers);
    rf_slist_unref(ep->resolve);
    rf_free(ep->dns_host);
    rf_proxy_fini(&ep->proxy);
    *ep = (struct rf_http_ep){0};
}

/* CURLOPT_PREREQFUNCTION: libcurl has a connection and is about to write a request to it. More than
 * one such moment in a transfer is a replay, of which libcurl says nothing else. */
static int count_send(void *arg, char *primary_ip, char *local_ip, int primary_port, int local_port)
{
    (void)primary_ip;
    (void)local_ip;
    (void)primary_port;
    (void)local_port;
    struct rf_xfer *xf = arg;
    xf->sends++;
    return CURL_PREREQFUNC_OK;
}

static bool set_callbacks(struct rf_xfer *xf)
{
    CURL *c = xf->easy;
    bool ok = curl_easy_setopt(c, CURLOPT_PRIVATE, (char *)xf) == CURLE_OK;
    ok &= curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, rf_xfer_write) == CURLE_OK;
    ok &= curl_easy_setopt(c, CURLOPT_WRITEDATA, xf) == CURLE_OK;
    ok &= curl_easy_setopt(c, CURLOPT_HEADERFUNCTION, rf_xfer_header) == CURLE_OK;
    ok &= curl_easy_setopt(c, CURLOPT_HEADERDATA, xf) == CURLE_OK;
    ok &= curl_easy_setopt(c, CURLOPT_PREREQFUNCTION, count_send) == CURLE_OK;
    ok &= curl_easy_setopt(c, CURLOPT_PREREQDATA, xf) == CURLE_OK;
    ok &= curl_easy_setopt(c, CURLOPT_OPENSOCKETFUNCTION, rf_multi_open_socket) == CURLE_OK;
    ok &= curl_easy_setopt(c, CURLOPT_OPENSOCKETDATA, xf) == CURLE_OK;
    ok &= curl_easy_setopt(c, CURLOPT_CLOSESOCKETFUNCTION, rf_multi_close_socket) == CURLE_OK;
    ok &= curl_easy_setopt(c, CURLOPT_CLOSESOCKETDATA, xf->h) == CURLE_OK;
    return ok;
}

static bool set_request(struct rf_xfer *xf)
{
    const struct rpcfan_endpoint_options *o = xf->ep->o;
    CURL *c = xf->easy;
    bool ok = curl_easy_setopt(c, CURLOPT_URL, o->url) == CURLE_OK;
    ok &= curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "http,https") == CURLE_OK;
    ok &= curl_easy_setopt(c, CURLOPT_POST, 1L) == CURLE_OK;
    ok &= curl_easy_setopt(c, CURLOPT_USERAGENT, "rpcfan/" RPCFAN_VERSION) == CURLE_OK;
    ok &= curl_easy_setopt(c, CURLOPT_ACCEPT_ENCODING, "") == CURLE_OK;
    ok &= curl_easy_setopt(c, CURLOPT_FOLLOWLOCATION, 0L) == CURLE_OK;
    ok &= curl_easy_setopt(c, CURLOPT_FAILONERROR, 0L) == CURLE_OK;
    ok &= curl_easy_setopt(c, CURLOPT_MAXFILESIZE_LARGE,
                           (curl_off_t)rf_min_u64(o->response_bytes, INT64_MAX)) == CURLE_OK;
    ok &= curl_easy_setopt(c, CURLOPT_BUFFERSIZE, RF_HTTP_BUFFER) == CURLE_OK;
    ok &= curl_easy_setopt(c, CURLOPT_NOPROGRESS, 1L) == CURLE_OK;
    ok &= curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L) == CURLE_OK;
    ok &= curl_easy_setopt(c, CURLOPT_QUICK_EXIT, 1L) == CURLE_OK;
    return ok;
}

static bool set_connection(struct rf_xfer *xf)
{
    const struct rpcfan_endpoint_options *o = xf->ep->o;
    CURL *c = xf->easy;
    long version = o->http2 ? CURL_HTTP_VERSION_2TLS : CURL_HTTP_VERSION_1_1;
    bool ok = curl_easy_setopt(c, CURLOPT_HTTP_VERSION, version) == CURLE_OK;
    ok &= curl_easy_setopt(c, CURLOPT_PIPEWAIT, o->http2 ? 1L : 0L) == CURLE_OK;
    ok &= curl_easy_setopt(c, CURLOPT_PROXY, xf->ep->proxy.url) == CURLE_OK;
    ok &= curl_easy_setopt(c, CURLOPT_NOPROXY, "") == CURLE_OK;
    ok &= curl_easy_setopt(c, CURLOPT_UNIX_SOCKET_PATH, o->unix_socket) == CURLE_OK;
    ok &= curl_easy_setopt(c, CURLOPT_TCP_NODELAY, 1L) == CURLE_OK;
    ok &= curl_easy_setopt(c, CURLOPT_TCP_KEEPALIVE, 1L) == CURLE_OK;
    /* Whole seconds, rounded down to stay below the peer's own limit; 0 would mean no limit. */
    ok &=
        curl_easy_setopt(c, CURLOPT_MAXAGE_CONN,
                         (long)rf_max_u64(1, rf_min_u64(o->idle_ms / 1000, INT32_MAX))) == CURLE_OK;
    ok &= curl_easy_setopt(c, CURLOPT_MAXLIFETIME_CONN, RF_HTTP_LIFETIME_S) == CURLE_OK;
    /* Addresses are ours to renew: libcurl must never find one expired and look it up itself. */
    ok &= curl_easy_setopt(c, CURLOPT_DNS_CACHE_TIMEOUT, -1L) == CURLE_OK;
    if (o->cacert != NULL) {
        ok &= curl_easy_setopt(c, CURLOPT_CAINFO, o->cacert) == CURLE_OK;
        ok &= curl_easy_setopt(c, CURLOPT_PROXY_CAINFO, o->cacert) == CURLE_OK;
    }
    ok &= curl_easy_setopt(c, CURLOPT_SSL_VERIFYPEER, o->tls_insecure ? 0L : 1L) == CURLE_OK;
    ok &= curl_easy_setopt(c, CURLOPT_SSL_VERIFYHOST, o->tls_insecure ? 0L : 2L) == CURLE_OK;
    return ok;
}

struct rf_xfer *rf_ep_take(struct rf_http *h, struct rf_http_ep *ep)
{
    struct rf_link *l = rf_list_shift(&ep->pool);
    if (l != NULL)
        return RF_CONTAINER(l, struct rf_xfer, link);
    struct rf_xfer *xf = rf_alloc(sizeof *xf);
    if (xf == NULL)
        return NULL;
    xf->h = h;
    xf->ep = ep;
    xf->timeout_ms = xf->connect_ms = -1;
    xf->easy = curl_easy_init();
    if (xf->easy != NULL && set_callbacks(xf) && set_request(xf) && set_connection(xf))
        return xf;
    free_xfer(xf);
    return NULL;
}

void rf_ep_give(struct rf_xfer *xf)
{
    /* libcurl 7.88 counts replays over the life of an easy handle and gives the sixth up, however
     * many good transfers lie between: one that has replayed is not used again. */
    if (xf->sends > 1) {
        free_xfer(xf);
        return;
    }
    xf->state = RF_XFER_IDLE;
    xf->ex = NULL;
    rf_list_unshift(&xf->ep->pool, &xf->link);
}

static bool swap_list(CURL *easy, CURLoption option, struct rf_slist **have, struct rf_slist *want)
{
    if (*have == want)
        return true;
    if (curl_easy_setopt(easy, option, want->list) != CURLE_OK)
        return false;
    want->refs++;
    rf_slist_unref(*have);
    *have = want;
    return true;
}

static bool set_long(CURL *easy, CURLoption option, long *have, long want)
{
    if (*have == want)
        return true;
    *have = want;
    return curl_easy_setopt(easy, option, want) == CURLE_OK;
}

/* A streamed answer has no cap; over HTTP/2 it has a connection of its own, see http_stream.c. */
static bool set_streaming(struct rf_xfer *xf, bool streaming)
{
    const struct rpcfan_endpoint_options *o = xf->ep->o;
    CURL *c = xf->easy;
    if (xf->streaming == streaming)
        return true;
    uint64_t cap = streaming ? 0 : rf_min_u64(o->response_bytes, INT64_MAX);
    bool ok = curl_easy_setopt(c, CURLOPT_MAXFILESIZE_LARGE, (curl_off_t)cap) == CURLE_OK;
    if (o->http2) {
        long version = streaming ? CURL_HTTP_VERSION_1_1 : CURL_HTTP_VERSION_2TLS;
        ok &= curl_easy_setopt(c, CURLOPT_HTTP_VERSION, version) == CURLE_OK;
        ok &= curl_easy_setopt(c, CURLOPT_FORBID_REUSE, streaming ? 1L : 0L) == CURLE_OK;
    }
    xf->streaming = streaming;
    return ok;
}

bool rf_xfer_prepare(struct rf_xfer *xf, long timeout_ms, long connect_ms)
{
    const struct rf_exchange *ex = xf->ex;
    struct rf_http_ep *ep = xf->ep;
    CURL *c = xf->easy;
    bool ok = !ep->has_jwt || renew_token(ep);
    ok = ok && swap_list(c, CURLOPT_HTTPHEADER, &xf->headers, ep->headers);
    if (ep->dns != NULL)
        ok = ok && swap_list(c, CURLOPT_RESOLVE, &xf->resolve, ep->resolve);
    ok = ok && set_long(c, CURLOPT_TIMEOUT_MS, &xf->timeout_ms, timeout_ms);
    ok = ok && set_long(c, CURLOPT_CONNECTTIMEOUT_MS, &xf->connect_ms, connect_ms);
    ok = ok && set_streaming(xf, ex->stream);
    bool fresh = ex->fresh || (ex->stream && ep->o->http2);
    if (ok && xf->fresh != fresh) {
        ok = curl_easy_setopt(c, CURLOPT_FRESH_CONNECT, fresh ? 1L : 0L) == CURLE_OK;
        xf->fresh = fresh;
    }
    /* The size first: without it libcurl would measure the body as a string. */
    ok = ok &&
         curl_easy_setopt(c, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)ex->body.len) == CURLE_OK;
    const char *body = ex->body.data != NULL ? ex->body.data : ""; /* NULL would mean a callback */
    return ok && curl_easy_setopt(c, CURLOPT_POSTFIELDS, body) == CURLE_OK;
}
