/* certs.h - a CA of the test's own, and a server's certificate by it. Used by tests/integration. */
#ifndef RF_TESTS_CERTS_H
#define RF_TESTS_CERTS_H

#include <openssl/ssl.h>

#define CERTS_FILE 64

/** Make both. @param names  subject alternative names as OpenSSL writes them: "DNS:a,IP:127.0.0.1".
 * @param ca_file  out: where the CA's certificate was written; unlink() it.
 * @return owned: SSL_CTX_free(). Fails the test where OpenSSL does. */
SSL_CTX *certs_make(const char *names, char ca_file[CERTS_FILE]);

#endif
