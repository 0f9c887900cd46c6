/* ws_tls.c - TLS contexts that libwebsockets is given ready-made. Called by ws_lws.c; called back
 * by OpenSSL.
 *
 * Why not its own: 4.1.6 trusts certificates in "../share" of the working directory beside the
 * system's, takes the certificate's name from a text cut at 127 characters or the first colon,
 * keeps its data under process-wide indices that each new context changes (a handshake then fails,
 * and the older context's memory is lost), and lets OpenSSL write to a broken connection, so that
 * it has to have SIGPIPE ignored in the whole process.
 *
 * Happy path: begin_handshake() is called by OpenSSL before the first byte of each connection and
 * sets the names and whom to trust. guard_write() keeps SIGPIPE from the thread during a write.
 * Failure modes: a cacert file that is not one ends the connection with words that say so. */
#include "net/ws_int.h"

#include <dirent.h>
#include <errno.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

/* Of the write that is under way in this thread. */
static _Thread_local struct {
    sigset_t before;
    bool pending; /* the signal was somebody else's already */
} guard;

static void begin_write(void)
{
    sigset_t pipe_signal, pending;
    sigemptyset(&pipe_signal);
    sigaddset(&pipe_signal, SIGPIPE);
    sigpending(&pending);
    guard.pending = sigismember(&pending, SIGPIPE) == 1;
    pthread_sigmask(SIG_BLOCK, &pipe_signal, &guard.before);
}

static void end_write(void)
{
    int saved = errno; /* OpenSSL looks at it next */
    if (!guard.pending) {
        static const struct timespec now = {0, 0};
        sigset_t pipe_signal;
        sigemptyset(&pipe_signal);
        sigaddset(&pipe_signal, SIGPIPE);
        while (sigtimedwait(&pipe_signal, NULL, &now) < 0 && errno == EINTR)
            ;
    }
    pthread_sigmask(SIG_SETMASK, &guard.before, NULL);
    errno = saved;
}

/* A BIO's callback: around each write to the socket. */
static long guard_write(BIO *bio, int what, const char *data, size_t len, int argi, long argl,
                        int result, size_t *done)
{
    (void)bio;
    (void)data;
    (void)len;
    (void)argi;
    (void)argl;
    (void)done;
    if (what == BIO_CB_WRITE)
        begin_write();
    else if (what == (BIO_CB_WRITE | BIO_CB_RETURN))
        end_write();
    return result;
}

/* tls_insecure: whatever is wrong with a certificate, it is taken. The error is cleared, because
 * libwebsockets asks for it afterwards. */
static int accept_any(int ok, X509_STORE_CTX *chain)
{
    (void)ok;
    X509_STORE_CTX_set_error(chain, X509_V_OK);
    return 1;
}

static void begin_handshake(const SSL *ssl, int where, int result)
{
    (void)result;
    if ((where & SSL_CB_HANDSHAKE_START) == 0)
        return;
    SSL *s = (SSL *)(uintptr_t)ssl; /* OpenSSL's callback is const; its setters are not */
    const struct rf_ws_ep *ep = SSL_CTX_get_app_data(SSL_get_SSL_CTX(s));
    BIO_set_callback_ex(SSL_get_wbio(s), guard_write);
    SSL_set_verify(s, SSL_VERIFY_PEER, ep->o->tls_insecure ? accept_any : NULL);
    X509_VERIFY_PARAM *names = SSL_get0_param(s);
    if (ep->numeric) { /* addresses are not sent as names */
        SSL_set_tlsext_host_name(s, NULL);
        X509_VERIFY_PARAM_set1_host(names, NULL, 0);
        X509_VERIFY_PARAM_set1_ip_asc(names, ep->host);
    } else {
        SSL_set_tlsext_host_name(s, ep->host);
        X509_VERIFY_PARAM_set1_host(names, ep->host, 0);
    }
}

/* Whether a directory has certificates under the hash of their names ("5ed36f99.0"). */
static bool is_hashed(const char *dir)
{
    bool found = false;
    DIR *d = opendir(dir);
    for (struct dirent *e; d != NULL && !found && (e = readdir(d)) != NULL;)
        found = strlen(e->d_name) == 10 && strcmp(e->d_name + 8, ".0") == 0;
    if (d != NULL)
        closedir(d);
    return found;
}

/* The system's certificates. Reading all of them takes 20 ms, and the loop would stand still: from
 * a hashed directory OpenSSL takes the one that it needs. */
static bool trust_system(SSL_CTX *ctx)
{
    const char *file = getenv(X509_get_default_cert_file_env());
    const char *dir = getenv(X509_get_default_cert_dir_env());
    if (file != NULL)
        return SSL_CTX_set_default_verify_paths(ctx) == 1;
    if (dir == NULL)
        dir = X509_get_default_cert_dir();
    if (is_hashed(dir))
        return SSL_CTX_load_verify_dir(ctx, dir) == 1;
    return SSL_CTX_set_default_verify_paths(ctx) == 1;
}

bool rf_ws_tls_init(struct rf_ws_ep *ep, const char **why)
{
    if (ep->ssl != NULL)
        return true;
    *why = "TLS could not be set up";
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
    if (ctx == NULL)
        return false;
    SSL_CTX_set_app_data(ctx, ep);
    SSL_CTX_set_info_callback(ctx, begin_handshake);
    bool ok;
    if (ep->o->cacert != NULL) {
        *why = "cacert file not usable";
        ok = SSL_CTX_load_verify_file(ctx, ep->o->cacert) == 1;
    } else {
        ok = trust_system(ctx);
    }
    if (!ok) {
        SSL_CTX_free(ctx);
        return false;
    }
    ep->ssl = ctx;
    return true;
}
