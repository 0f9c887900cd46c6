/* proxy.c - the choice of a proxy, after curl(1)'s rules for the environment. */
#include "net/proxy.h"

#include <arpa/inet.h>
#include <curl/curl.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/buf.h"
#include "base/mem.h"

#define HOST_MAX 256

const char *rf_proxy_getenv(const char *name)
{
    return getenv(name);
}

static const char *first_set(rf_getenv_fn env, const char *a, const char *b)
{
    const char *v = env(a);
    if (v == NULL || *v == '\0')
        v = b != NULL ? env(b) : NULL;
    return v != NULL && *v != '\0' ? v : NULL;
}

const char *rf_proxy_from_env(rf_getenv_fn env, bool https, const char *host)
{
    const char *proxy =
        https ? first_set(env, "https_proxy", "HTTPS_PROXY") : first_set(env, "http_proxy", NULL);
    if (proxy == NULL)
        proxy = first_set(env, "all_proxy", "ALL_PROXY");
    const char *bypass = first_set(env, "no_proxy", "NO_PROXY");
    if (proxy == NULL || (bypass != NULL && rf_proxy_bypassed(bypass, host)))
        return NULL;
    return proxy;
}

/* An address as bytes. @return its length (4 or 16), or 0 where the text is none. */
static size_t read_address(const char *text, unsigned char out[16])
{
    char plain[HOST_MAX];
    size_t n = strlen(text);
    if (n >= 2 && text[0] == '[' && text[n - 1] == ']') {
        text++;
        n -= 2;
    }
    if (n >= sizeof plain)
        return 0;
    memcpy(plain, text, n);
    plain[n] = '\0';
    char *zone = strchr(plain, '%');
    if (zone != NULL)
        *zone = '\0';
    if (zone == NULL && inet_pton(AF_INET, plain, out) == 1)
        return 4;
    return inet_pton(AF_INET6, plain, out) == 1 ? 16 : 0;
}

bool rf_host_is_numeric(const char *host)
{
    unsigned char bytes[16];
    return read_address(host, bytes) != 0;
}

static bool same_bits(const unsigned char *a, const unsigned char *b, size_t bits)
{
    size_t whole = bits / 8;
    if (memcmp(a, b, whole) != 0)
        return false;
    unsigned mask = 0xff00u >> (bits % 8) & 0xffu;
    return bits % 8 == 0 || ((a[whole] ^ b[whole]) & mask) == 0;
}

/* One entry of a no_proxy list against an address: equal, or in the block. */
static bool match_address(char *entry, const unsigned char *addr, size_t len)
{
    unsigned char net[16];
    size_t bits = len * 8;
    char *slash = strchr(entry, '/');
    if (slash != NULL) {
        char *end;
        *slash = '\0';
        unsigned long n = strtoul(slash + 1, &end, 10);
        if (end == slash + 1 || *end != '\0' || n > bits)
            return false;
        bits = n;
    }
    return read_address(entry, net) == len && same_bits(net, addr, bits);
}

/* One entry against a name: equal, or the name ends with a dot and the entry. */
static bool match_name(const char *entry, const char *host)
{
    size_t h = strlen(host), e = strlen(entry);
    if (h > 0 && host[h - 1] == '.')
        h--;
    if (e > 0 && entry[e - 1] == '.')
        e--;
    if (e > 0 && entry[0] == '.') {
        entry++;
        e--;
    }
    if (e == 0 || e > h || strncasecmp(host + h - e, entry, e) != 0)
        return false;
    return h == e || host[h - e - 1] == '.';
}

bool rf_proxy_bypassed(const char *list, const char *host)
{
    unsigned char addr[16];
    size_t len = read_address(host, addr);
    for (const char *p = list; *p != '\0';) {
        char entry[HOST_MAX];
        size_t n = strcspn(p, ", \t");
        if (n == 1 && *p == '*')
            return true;
        if (n > 0 && n < sizeof entry) {
            memcpy(entry, p, n);
            entry[n] = '\0';
            if (len > 0 ? match_address(entry, addr, len) : match_name(entry, host))
                return true;
        }
        p += n;
        p += strspn(p, ", \t");
    }
    return false;
}

static bool set_scheme(CURLU *u, uint16_t *port)
{
    static const struct {
        const char *given, *used;
        uint16_t port;
    } schemes[] = {{"http", "http", 1080},      {"https", "https", 443},
                   {"socks4", "socks4a", 1080}, {"socks4a", "socks4a", 1080},
                   {"socks5", "socks5h", 1080}, {"socks5h", "socks5h", 1080}};
    char *scheme = NULL;
    bool ok = false;
    if (curl_url_get(u, CURLUPART_SCHEME, &scheme, 0) != CURLUE_OK)
        return false;
    for (size_t i = 0; i < RF_COUNT(schemes) && !ok; i++) {
        if (strcasecmp(scheme, schemes[i].given) != 0)
            continue;
        *port = schemes[i].port;
        ok = curl_url_set(u, CURLUPART_SCHEME, schemes[i].used, CURLU_NON_SUPPORT_SCHEME) ==
             CURLUE_OK;
    }
    curl_free(scheme);
    return ok;
}

static bool parse_url(CURLU *u, const char *url)
{
    if (strstr(url, "://") != NULL)
        return curl_url_set(u, CURLUPART_URL, url, CURLU_NON_SUPPORT_SCHEME) == CURLUE_OK;
    size_t n = strlen(url) + sizeof "http://";
    char *full = rf_alloc(n);
    if (full == NULL)
        return false;
    memcpy(full, "http://", 7);
    memcpy(full + 7, url, n - 8);
    bool ok = curl_url_set(u, CURLUPART_URL, full, 0) == CURLUE_OK;
    rf_free(full);
    return ok;
}

enum rpcfan_err rf_proxy_parse(const char *url, struct rf_proxy *out)
{
    *out = (struct rf_proxy){0};
    if (url == NULL || *url == '\0') {
        out->url = rf_strdup("");
        return out->url != NULL ? RPCFAN_OK : RPCFAN_ENOMEM;
    }
    enum rpcfan_err e = RPCFAN_ECONFIG;
    char *host = NULL, *port = NULL, *full = NULL;
    CURLU *u = curl_url();
    if (u == NULL)
        return RPCFAN_ENOMEM;
    if (!parse_url(u, url) || !set_scheme(u, &out->port) ||
        curl_url_get(u, CURLUPART_HOST, &host, CURLU_PUNYCODE) != CURLUE_OK || *host == '\0')
        goto out;
    if (curl_url_get(u, CURLUPART_PORT, &port, 0) == CURLUE_OK)
        out->port = (uint16_t)strtoul(port, NULL, 10);
    char number[24];
    number[rf_u64_text(out->port, number)] = '\0';
    if (curl_url_set(u, CURLUPART_PORT, number, 0) != CURLUE_OK ||
        curl_url_get(u, CURLUPART_URL, &full, CURLU_NON_SUPPORT_SCHEME) != CURLUE_OK)
        goto out;
    e = RPCFAN_ENOMEM;
    out->url = rf_strdup(full);
    out->host = rf_host_is_numeric(host) ? NULL : rf_strdup(host);
    if (out->url != NULL && (out->host != NULL || rf_host_is_numeric(host)))
        e = RPCFAN_OK;
out:
    curl_free(full);
    curl_free(port);
    curl_free(host);
    curl_url_cleanup(u);
    if (e != RPCFAN_OK)
        rf_proxy_fini(out);
    return e;
}

void rf_proxy_fini(struct rf_proxy *p)
{
    rf_free(p->url);
    rf_free(p->host);
    *p = (struct rf_proxy){0};
}
