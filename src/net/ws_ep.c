/* ws_ep.c - endpoints of the WebSocket shell: what their options say about address, headers and
 * proxy. Called by ws.c and ws_lws.c; reads the environment (proxies) and the clock (tokens).
 *
 * Happy path: once for each endpoint, when the shell is made. The token alone is made anew for each
 * connection.
 * Failure modes: what cannot work is found here. Where the user wrote a ws_url it is an error that
 * names the endpoint and the setting, never its value; where the URL was only derived from `url`,
 * the endpoint has no WebSocket, for he may not want one. */
#include "net/ws_int.h"

#include <curl/curl.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "base/mem.h"

#define NO_URL "ws_url is not ws(s)://host[:port]/path"
#define NO_LENGTH "host or path is longer than libwebsockets can send"
#define NO_PROXY "WebSockets go through http proxies only"

/* Of HTTP requests alone, or of the handshake itself. Host has its own place. */
static const char *const left_out[] = {"Host",
                                       "Connection",
                                       "Upgrade",
                                       "Content-Type",
                                       "Content-Length",
                                       "Expect",
                                       "Accept-Encoding",
                                       "Keep-Alive",
                                       "Transfer-Encoding",
                                       "Content-Encoding",
                                       "Sec-WebSocket-Key",
                                       "Sec-WebSocket-Version",
                                       "Sec-WebSocket-Extensions",
                                       "Sec-WebSocket-Protocol"};

static bool is_named(const char *line, const char *name)
{
    size_t n = strlen(name);
    return strncasecmp(line, name, n) == 0 && line[n] == ':';
}

/* The value of a header of the user's, or NULL. */
static const char *find_header(const struct rf_ws_ep *ep, const char *name)
{
    for (size_t i = 0; i < ep->o->n_headers; i++) {
        const char *line = ep->o->headers[i];
        if (line != NULL && is_named(line, name)) {
            line += strlen(name) + 1;
            return line + strspn(line, " \t");
        }
    }
    return NULL;
}

static bool is_left_out(const char *line)
{
    for (size_t i = 0; i < RF_COUNT(left_out); i++) {
        if (is_named(line, left_out[i]))
            return true;
    }
    return strchr(line, ':') == NULL || strpbrk(line, "\r\n") != NULL;
}

/* Basic authentication, as libcurl does it for a URL with a user. */
static void add_basic(struct rf_buf *b, const char *user, const char *password)
{
    struct rf_buf plain = {0};
    rf_buf_printf(&plain, "%s:%s", user, password != NULL ? password : "");
    size_t room = 4 * ((plain.len + 2) / 3) + 1;
    rf_buf_str(b, "Authorization: Basic ");
    if (!plain.failed && rf_buf_reserve(b, room)) {
        unsigned char *out = (unsigned char *)b->data + b->len;
        b->len += (size_t)EVP_EncodeBlock(out, (unsigned char *)plain.data, (int)plain.len);
    }
    rf_buf_str(b, "\r\n");
    b->failed = b->failed || plain.failed;
    rf_buf_fini(&plain);
}

static bool set_headers(struct rf_ws_ep *ep, const char *user, const char *password)
{
    struct rf_buf *b = &ep->headers;
    if (find_header(ep, "User-Agent") == NULL)
        rf_buf_str(b, "User-Agent: rpcfan/" RPCFAN_VERSION "\r\n");
    if (user != NULL && !ep->has_jwt && find_header(ep, "Authorization") == NULL)
        add_basic(b, user, password);
    for (size_t i = 0; i < ep->o->n_headers; i++) {
        const char *line = ep->o->headers[i];
        if (line == NULL || is_left_out(line))
            continue;
        rf_buf_str(b, line);
        rf_buf_str(b, "\r\n");
    }
    return !b->failed;
}

bool rf_ws_ep_headers(struct rf_ws_ep *ep, unsigned char **p, size_t room)
{
    static const char bearer[] = "Authorization: Bearer ";
    char token[RF_JWT_TEXT] = "";
    if (ep->has_jwt && !rf_jwt_make(ep->jwt_secret, (int64_t)time(NULL), token))
        return false;
    if (room < ep->headers.len + sizeof bearer + sizeof token)
        return false;
    if (ep->headers.len > 0)
        memcpy(*p, ep->headers.data, ep->headers.len);
    *p += ep->headers.len;
    if (ep->has_jwt)
        *p += snprintf((char *)*p, sizeof bearer + sizeof token, "%s%s\r\n", bearer, token);
    return true;
}

char *rf_ws_next_address(char *list, char out[RF_WS_ADDRESS])
{
    size_t n = strcspn(list, ",");
    char *rest = list[n] == ',' ? list + n + 1 : NULL;
    if (*list == '[') {
        list++;
        n = n >= 2 ? n - 2 : 0;
    }
    n = n < RF_WS_ADDRESS ? n : RF_WS_ADDRESS - 1;
    memcpy(out, list, n);
    out[n] = '\0';
    return rest;
}

void rf_ws_prefer(char *list, const char *address)
{
    char one[RF_WS_ADDRESS];
    for (char *at = list, *rest; at != NULL && *address != '\0'; at = rest) {
        rest = rf_ws_next_address(at, one);
        if (strcmp(one, address) != 0)
            continue;
        char saved[RF_WS_ADDRESS + 2];
        size_t n = rest != NULL ? (size_t)(rest - at - 1) : strlen(at);
        size_t before = (size_t)(at - list);
        if (before == 0 || n >= sizeof saved)
            return;
        saved[n] = '\0';
        memcpy(saved, at, n); /* those in front of it move back by its length and a comma */
        memmove(list + n + 1, list, before - 1);
        memcpy(list, saved, n);
        list[n] = ',';
        return;
    }
}

static enum rpcfan_err no_memory(struct rpcfan_error *err)
{
    return rf_fail(err, RPCFAN_ENOMEM, "out of memory");
}

/* It cannot work: an error where the user asked for it, otherwise no WebSocket here. */
static enum rpcfan_err refuse(struct rf_ws_ep *ep, struct rpcfan_error *err, const char *words)
{
    ep->none = words;
    return ep->o->ws_url != NULL ? rf_fail(err, RPCFAN_ECONFIG, "%s", words) : RPCFAN_OK;
}

static char *unbracket(const char *host)
{
    size_t n = strlen(host);
    return n >= 2 && *host == '[' ? rf_memdup(host + 1, n - 2) : rf_strdup(host);
}

/* Where to connect to: the proxy, or the node itself. */
static enum rpcfan_err set_dial(struct rf_ws *w, struct rf_ws_ep *ep, const char *host,
                                uint16_t port, struct rpcfan_error *err)
{
    ep->dial_host = unbracket(host);
    ep->dial_port = port;
    if (ep->dial_host == NULL)
        return no_memory(err);
    if (rf_host_is_numeric(ep->dial_host))
        return RPCFAN_OK;
    ep->dns = rf_dns_name(&w->dns, ep->dial_host);
    return ep->dns != NULL ? RPCFAN_OK : no_memory(err);
}

static char *join_auth(const char *user, const char *password)
{
    struct rf_buf b = {0};
    if (user != NULL)
        rf_buf_printf(&b, "%s:%s@", user, password != NULL ? password : "");
    rf_buf_char(&b, '\0');
    if (b.failed)
        rf_buf_fini(&b);
    return b.data;
}

static enum rpcfan_err use_proxy(struct rf_ws *w, struct rf_ws_ep *ep, const struct rf_proxy *proxy,
                                 struct rpcfan_error *err)
{
    char *scheme = NULL, *host = NULL, *user = NULL, *password = NULL;
    CURLU *u = curl_url();
    enum rpcfan_err e;
    if (u == NULL)
        return no_memory(err);
    if (curl_url_set(u, CURLUPART_URL, proxy->url, CURLU_NON_SUPPORT_SCHEME) != CURLUE_OK ||
        curl_url_get(u, CURLUPART_SCHEME, &scheme, 0) != CURLUE_OK || strcmp(scheme, "http") != 0 ||
        curl_url_get(u, CURLUPART_HOST, &host, CURLU_PUNYCODE) != CURLUE_OK) {
        e = refuse(ep, err, NO_PROXY);
        goto out;
    }
    curl_url_get(u, CURLUPART_USER, &user, CURLU_URLDECODE);
    curl_url_get(u, CURLUPART_PASSWORD, &password, CURLU_URLDECODE);
    ep->proxy_auth = join_auth(user, password);
    e = ep->proxy_auth != NULL ? set_dial(w, ep, host, proxy->port, err) : no_memory(err);
out:
    curl_free(password);
    curl_free(user);
    curl_free(host);
    curl_free(scheme);
    curl_url_cleanup(u);
    return e;
}

static enum rpcfan_err set_route(struct rf_ws *w, struct rf_ws_ep *ep, struct rpcfan_error *err)
{
    struct rf_proxy proxy;
    const char *url = ep->o->proxy;
    if (ep->o->unix_socket != NULL)
        url = "";
    else if (url == NULL)
        url = rf_proxy_from_env(rf_proxy_getenv, ep->tls, ep->host);
    enum rpcfan_err e = rf_proxy_parse(url, &proxy);
    if (e == RPCFAN_ENOMEM)
        return no_memory(err);
    if (e != RPCFAN_OK)
        return refuse(ep, err, NO_PROXY);
    e = *proxy.url != '\0' ? use_proxy(w, ep, &proxy, err)
                           : set_dial(w, ep, ep->host, ep->port, err);
    rf_proxy_fini(&proxy);
    return e;
}

static bool is_tls(const char *scheme, bool derived, bool *tls)
{
    static const char *const plain[] = {"ws", "http"}, *const secure[] = {"wss", "https"};
    *tls = strcasecmp(scheme, secure[0]) == 0 || (derived && strcasecmp(scheme, secure[1]) == 0);
    return *tls || strcasecmp(scheme, plain[0]) == 0 ||
           (derived && strcasecmp(scheme, plain[1]) == 0);
}

static char *join_path(const char *path, const char *query)
{
    struct rf_buf b = {0};
    rf_buf_str(&b, path != NULL && *path != '\0' ? path : "/");
    if (query != NULL) {
        rf_buf_char(&b, '?');
        rf_buf_str(&b, query);
    }
    rf_buf_char(&b, '\0');
    if (b.failed)
        rf_buf_fini(&b);
    return b.data;
}

static char *join_host(const struct rf_ws_ep *ep, const char *host)
{
    const char *own = find_header(ep, "Host");
    char text[RF_WS_HOST_MAX * 4];
    if (own != NULL)
        return rf_strdup(own);
    if (ep->port == (ep->tls ? 443 : 80))
        return rf_strdup(host);
    snprintf(text, sizeof text, "%s:%u", host, (unsigned)ep->port);
    return rf_strdup(text);
}

/* What a URL is made of. */
struct parts {
    char *scheme, *host, *port, *path, *query, *user, *password;
};

static bool take_apart(CURLU *u, const char *url, struct parts *p)
{
    if (curl_url_set(u, CURLUPART_URL, url, CURLU_NON_SUPPORT_SCHEME) != CURLUE_OK ||
        curl_url_get(u, CURLUPART_SCHEME, &p->scheme, 0) != CURLUE_OK ||
        curl_url_get(u, CURLUPART_HOST, &p->host, CURLU_PUNYCODE) != CURLUE_OK || *p->host == '\0')
        return false;
    curl_url_get(u, CURLUPART_PORT, &p->port, 0);
    curl_url_get(u, CURLUPART_PATH, &p->path, 0);
    curl_url_get(u, CURLUPART_QUERY, &p->query, 0);
    curl_url_get(u, CURLUPART_USER, &p->user, CURLU_URLDECODE);
    curl_url_get(u, CURLUPART_PASSWORD, &p->password, CURLU_URLDECODE);
    return true;
}

static void free_parts(struct parts *p)
{
    curl_free(p->scheme);
    curl_free(p->host);
    curl_free(p->port);
    curl_free(p->path);
    curl_free(p->query);
    curl_free(p->user);
    curl_free(p->password);
}

static enum rpcfan_err set_parts(struct rf_ws_ep *ep, const struct parts *p,
                                 struct rpcfan_error *err)
{
    ep->port = p->port != NULL ? (uint16_t)strtoul(p->port, NULL, 10) : ep->tls ? 443 : 80;
    ep->host = unbracket(p->host);
    ep->path = join_path(p->path, p->query);
    ep->host_header = join_host(ep, p->host);
    if (ep->host == NULL || ep->path == NULL || ep->host_header == NULL ||
        !set_headers(ep, p->user, p->password))
        return no_memory(err);
    ep->numeric = rf_host_is_numeric(ep->host);
    if (strlen(ep->host_header) > RF_WS_HOST_MAX || strlen(ep->path) > RF_WS_PATH_MAX ||
        ep->headers.len > RF_WS_BUFFER / 2)
        return refuse(ep, err, NO_LENGTH);
    return RPCFAN_OK;
}

static enum rpcfan_err set_url(struct rf_ws *w, struct rf_ws_ep *ep, struct rpcfan_error *err)
{
    struct parts p = {0};
    bool derived = ep->o->ws_url == NULL;
    const char *url = derived ? ep->o->url : ep->o->ws_url;
    if (url == NULL || *url == '\0' || (derived && ep->o->unix_socket != NULL)) {
        ep->none = "the endpoint has no WebSocket";
        return RPCFAN_OK;
    }
    CURLU *u = curl_url();
    if (u == NULL)
        return no_memory(err);
    enum rpcfan_err e;
    if (!take_apart(u, url, &p) || !is_tls(p.scheme, derived, &ep->tls))
        e = refuse(ep, err, NO_URL);
    else
        e = set_parts(ep, &p, err);
    free_parts(&p);
    curl_url_cleanup(u);
    return e == RPCFAN_OK && ep->none == NULL ? set_route(w, ep, err) : e;
}

enum rpcfan_err rf_ws_ep_init(struct rf_ws *w, struct rf_ws_ep *ep, uint32_t index,
                              struct rpcfan_error *err)
{
    ep->o = w->o.endpoints[index];
    ep->has_jwt = ep->o->jwt_secret != NULL;
    enum rpcfan_err e = RPCFAN_OK;
    if (ep->has_jwt && !rf_jwt_secret(ep->o->jwt_secret, ep->jwt_secret))
        e = rf_fail(err, RPCFAN_ECONFIG, "the JWT secret is not 64 hex digits");
    if (e == RPCFAN_OK)
        e = set_url(w, ep, err);
    if (e != RPCFAN_OK && ep->o->name != NULL)
        rf_fail_prefix(err, "endpoint %s: ", ep->o->name);
    else if (e != RPCFAN_OK)
        rf_fail_prefix(err, "endpoint %u: ", (unsigned)index + 1);
    return e;
}

void rf_ws_ep_fini(struct rf_ws_ep *ep)
{
    rf_free(ep->host);
    rf_free(ep->host_header);
    rf_free(ep->path);
    rf_free(ep->proxy_auth);
    rf_free(ep->dial_host);
    rf_buf_fini(&ep->headers);
    SSL_CTX_free(ep->ssl);
    *ep = (struct rf_ws_ep){0};
}
