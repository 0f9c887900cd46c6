/* curl_class.c - the table of libcurl results.
 *
 * Three questions decide: was anything sent (the count of requests begun tells, not the code), is
 * it the configuration's fault, and is it our own doing (cap, memory). Examples:
 *   7 with 0 sends, ECONNREFUSED  -> CONNECT "connection refused"
 *   7 with 1 send                 -> RESET: a replay after a dead kept-alive connection was refused
 *   56 with 0 sends, proxy said 403 -> CONNECT "the proxy refused the tunnel" */
#include "net/curl_class.h"

#include <errno.h>

#define KNOWN 100 /* codes below have a row; 7.88.1 ends at 99 */

static const struct row {
    enum rf_transport class;
    const char *reason;
} table[KNOWN] = {
    [CURLE_OK] = {RF_T_OK, NULL},
    /* never sent */
    [CURLE_COULDNT_RESOLVE_PROXY] = {RF_T_CONNECT, "proxy name not found"},
    [CURLE_COULDNT_RESOLVE_HOST] = {RF_T_CONNECT, "name not found"},
    [CURLE_COULDNT_CONNECT] = {RF_T_CONNECT, "connect failed"},
    [CURLE_SSL_CONNECT_ERROR] = {RF_T_CONNECT, "TLS handshake failed"},
    [CURLE_NO_CONNECTION_AVAILABLE] = {RF_T_CONNECT, "no connection available"},
    [CURLE_QUIC_CONNECT_ERROR] = {RF_T_CONNECT, "QUIC connect failed"},
    [CURLE_OUT_OF_MEMORY] = {RF_T_CONNECT, "out of memory"},
    [CURLE_INTERFACE_FAILED] = {RF_T_CONNECT, "local address not usable"},
    /* sent, then broken */
    [CURLE_HTTP2] = {RF_T_RESET, "HTTP/2 framing error"},
    [CURLE_PARTIAL_FILE] = {RF_T_RESET, "the body ended early"},
    [CURLE_GOT_NOTHING] = {RF_T_RESET, "closed without an answer"},
    [CURLE_SEND_ERROR] = {RF_T_RESET, "connection broke while sending"},
    [CURLE_RECV_ERROR] = {RF_T_RESET, "connection broke while receiving"},
    [CURLE_AGAIN] = {RF_T_RESET, "connection broke"},
    [CURLE_HTTP2_STREAM] = {RF_T_RESET, "HTTP/2 stream closed"},
    [CURLE_HTTP3] = {RF_T_RESET, "HTTP/3 error"},
    [CURLE_SEND_FAIL_REWIND] = {RF_T_RESET, "connection broke while sending"},
    [CURLE_SSL_SHUTDOWN_FAILED] = {RF_T_RESET, "TLS shutdown failed"},
    [CURLE_UPLOAD_FAILED] = {RF_T_RESET, "sending failed"},
    [CURLE_READ_ERROR] = {RF_T_RESET, "sending failed"},
    [CURLE_UNRECOVERABLE_POLL] = {RF_T_RESET, "polling failed"},
    [CURLE_WRITE_ERROR] = {RF_T_RESET, "the body could not be stored"},
    [CURLE_ABORTED_BY_CALLBACK] = {RF_T_RESET, "ended early"},
    [CURLE_OPERATION_TIMEDOUT] = {RF_T_TIMEOUT, "no answer in time"},
    [CURLE_FILESIZE_EXCEEDED] = {RF_T_TOO_BIG, "the answer is over the response cap"},
    /* not HTTP */
    [CURLE_WEIRD_SERVER_REPLY] = {RF_T_MALFORMED, "not an HTTP response"},
    [CURLE_BAD_CONTENT_ENCODING] = {RF_T_MALFORMED, "the body's content coding is broken"},
    [CURLE_HTTP_RETURNED_ERROR] = {RF_T_MALFORMED, "HTTP error"},
    [CURLE_TOO_MANY_REDIRECTS] = {RF_T_CONFIG, "too many redirects"},
    /* certificates */
    [CURLE_PEER_FAILED_VERIFICATION] = {RF_T_TLS, "certificate not trusted"},
    [CURLE_SSL_CERTPROBLEM] = {RF_T_TLS, "client certificate not usable"},
    [CURLE_SSL_CIPHER] = {RF_T_TLS, "no common TLS cipher"},
    [CURLE_SSL_CACERT_BADFILE] = {RF_T_TLS, "cacert file not usable"},
    [CURLE_SSL_CRL_BADFILE] = {RF_T_TLS, "revocation list not usable"},
    [CURLE_SSL_ISSUER_ERROR] = {RF_T_TLS, "certificate issuer refused"},
    [CURLE_SSL_PINNEDPUBKEYNOTMATCH] = {RF_T_TLS, "public key is not the pinned one"},
    [CURLE_SSL_INVALIDCERTSTATUS] = {RF_T_TLS, "certificate status refused"},
    [CURLE_SSL_CLIENTCERT] = {RF_T_TLS, "the server wants a client certificate"},
    [CURLE_USE_SSL_FAILED] = {RF_T_TLS, "TLS could not be used"},
    [CURLE_SSL_ENGINE_INITFAILED] = {RF_T_TLS, "TLS engine failed"},
    [CURLE_SSL_ENGINE_NOTFOUND] = {RF_T_TLS, "TLS engine not found"},
    [CURLE_SSL_ENGINE_SETFAILED] = {RF_T_TLS, "TLS engine failed"},
    /* can never work */
    [CURLE_UNSUPPORTED_PROTOCOL] = {RF_T_CONFIG, "protocol not supported"},
    [CURLE_FAILED_INIT] = {RF_T_CONFIG, "libcurl could not be set up"},
    [CURLE_URL_MALFORMAT] = {RF_T_CONFIG, "the URL is malformed"},
    [CURLE_NOT_BUILT_IN] = {RF_T_CONFIG, "libcurl lacks a needed feature"},
    [CURLE_AUTH_ERROR] = {RF_T_CONFIG, "authentication could not be set up"},
    [CURLE_PROXY] = {RF_T_CONFIG, "the proxy refused the handshake"},
    [CURLE_LOGIN_DENIED] = {RF_T_CONFIG, "login refused"},
};

/* What belongs to other protocols, and codes of a newer libcurl: it was sent, it is no answer. */
static const struct row other = {RF_T_RESET, "unexpected libcurl result"};

static const char *name_errno(int e, const char *fallback)
{
    switch (e) {
    case ECONNREFUSED:
        return "connection refused";
    case ENETUNREACH:
    case EHOSTUNREACH:
    case ENETDOWN:
    case EHOSTDOWN:
        return "unreachable";
    case ETIMEDOUT:
        return "connect timed out";
    case EMFILE:
    case ENFILE:
        return "out of file descriptors";
    case EADDRNOTAVAIL:
        return "out of local ports";
    case EACCES:
    case EPERM:
        return "connecting is not permitted";
    case ENOENT:
        return "no such socket";
    case ECONNRESET:
        return "connection reset while connecting";
    case ENOMEM:
    case ENOBUFS:
        return "out of memory";
    default:
        return fallback;
    }
}

/* A SOCKS proxy that is down, or that cannot reach the node now, is no fault of the
 * configuration. */
static bool proxy_may_recover(long error)
{
    switch (error) {
    case CURLPX_CLOSED:
    case CURLPX_RECV_ADDRESS:
    case CURLPX_RECV_AUTH:
    case CURLPX_RECV_CONNECT:
    case CURLPX_RECV_REQACK:
    case CURLPX_SEND_AUTH:
    case CURLPX_SEND_CONNECT:
    case CURLPX_SEND_REQUEST:
    case CURLPX_REPLY_CONNECTION_REFUSED:
    case CURLPX_REPLY_GENERAL_SERVER_FAILURE:
    case CURLPX_REPLY_HOST_UNREACHABLE:
    case CURLPX_REPLY_NETWORK_UNREACHABLE:
    case CURLPX_REPLY_TTL_EXPIRED:
    case CURLPX_REQUEST_FAILED:
    case CURLPX_RESOLVE_HOST:
        return true;
    default:
        return false;
    }
}

/* Nothing was sent: which step of the way to a connection failed. */
static enum rf_transport class_unsent(CURLcode code, const struct row *row,
                                      const struct rf_curl_facts *f, const char **reason)
{
    *reason = row->reason;
    if (f->proxy_code >= 300) {
        *reason = f->proxy_code == 407 ? "the proxy wants a login" : "the proxy refused the tunnel";
        return RF_T_CONNECT;
    }
    if (code == CURLE_PROXY && proxy_may_recover(f->proxy_error)) {
        *reason = "the proxy could not reach the node";
        return RF_T_CONNECT;
    }
    if (row->class == RF_T_CONFIG || row->class == RF_T_TLS || row->class == RF_T_OK)
        return row->class;
    if (code == CURLE_OPERATION_TIMEDOUT)
        *reason = !f->connected ? "connect timed out"
                  : f->https    ? "TLS handshake timed out"
                                : "timed out before it was sent";
    else if (code == CURLE_COULDNT_CONNECT)
        *reason = name_errno(f->os_errno, row->reason);
    else if (row->class == RF_T_RESET)
        *reason = "connection broke before it was sent";
    return RF_T_CONNECT;
}

enum rf_transport rf_curl_class(CURLcode code, const struct rf_curl_facts *f, const char **reason)
{
    const struct row *row = &other;
    if ((unsigned)code < KNOWN && (code == CURLE_OK || table[code].reason != NULL))
        row = &table[code];
    if (code == CURLE_WRITE_ERROR && f->capped)
        row = &table[CURLE_FILESIZE_EXCEEDED];
    *reason = row->reason;
    if (row->class == RF_T_OK || row->class == RF_T_TOO_BIG)
        return row->class;
    if (f->sends == 0)
        return class_unsent(code, row, f, reason);
    if (code == CURLE_WRITE_ERROR && f->no_memory) {
        *reason = "out of memory";
        return RF_T_RESET;
    }
    if (code == CURLE_UNSUPPORTED_PROTOCOL) { /* HTTP/0.9: a reply without a status line */
        *reason = "not an HTTP response";
        return RF_T_MALFORMED;
    }
    if (row->class == RF_T_CONNECT || row->class == RF_T_TLS) {
        *reason = "sent, then the connection broke and no new one could be made";
        return RF_T_RESET;
    }
    return row->class;
}
