/* jwt.c - header.claims.signature, each base64url without padding (RFC 7515, RFC 7519). */
#include "net/jwt.h"

#include <inttypes.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>
#include <string.h>

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

bool rf_jwt_secret(const char *hex, unsigned char secret[RF_JWT_SECRET])
{
    while (is_space(*hex))
        hex++;
    if (hex[0] == '0' && (hex[1] == 'x' || hex[1] == 'X'))
        hex += 2;
    for (size_t i = 0; i < RF_JWT_SECRET; i++) {
        int high = hex_digit(hex[0]);
        int low = high < 0 ? -1 : hex_digit(hex[1]);
        if (low < 0)
            return false;
        secret[i] = (unsigned char)(high << 4 | low);
        hex += 2;
    }
    while (is_space(*hex))
        hex++;
    return *hex == '\0';
}

/* base64url of n bytes; writes a NUL. @return characters written. */
static size_t encode(const void *data, size_t n, char *out)
{
    int len = EVP_EncodeBlock((unsigned char *)out, data, (int)n);
    size_t end = len > 0 ? (size_t)len : 0;
    while (end > 0 && out[end - 1] == '=')
        end--;
    out[end] = '\0';
    for (size_t i = 0; i < end; i++) {
        if (out[i] == '+')
            out[i] = '-';
        else if (out[i] == '/')
            out[i] = '_';
    }
    return end;
}

bool rf_jwt_make(const unsigned char secret[RF_JWT_SECRET], int64_t iat, char out[RF_JWT_TEXT])
{
    static const char header[] = "{\"alg\":\"HS256\",\"typ\":\"JWT\"}";
    char claims[40];
    int n = snprintf(claims, sizeof claims, "{\"iat\":%" PRId64 "}", iat);
    if (n < 0 || (size_t)n >= sizeof claims)
        return false;
    size_t len = encode(header, sizeof header - 1, out);
    out[len++] = '.';
    len += encode(claims, (size_t)n, out + len);
    unsigned char mac[EVP_MAX_MD_SIZE];
    unsigned mac_len = 0;
    if (HMAC(EVP_sha256(), secret, RF_JWT_SECRET, (const unsigned char *)out, len, mac, &mac_len) ==
        NULL)
        return false;
    out[len++] = '.';
    encode(mac, mac_len, out + len);
    return true;
}
