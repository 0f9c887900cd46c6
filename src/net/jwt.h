/* jwt.h - the HS256 bearer token that Ethereum's engine API asks for. Called by net/http_easy.c;
 * touches nothing but its arguments. */
#ifndef RF_NET_JWT_H
#define RF_NET_JWT_H

#include "base/base.h"

#define RF_JWT_SECRET 32 /* bytes */
#define RF_JWT_TEXT 160  /* a token with its NUL always fits */
/* A node takes an `iat` within 60 s of its clock; a token is used for half of that. */
#define RF_JWT_RENEW_S 30

/**
 * Read a secret: 64 hex digits, with or without a leading 0x; space around them is ignored.
 * @return false where it is anything else.
 */
bool rf_jwt_secret(const char *hex, unsigned char secret[RF_JWT_SECRET]);

/**
 * Make a token with the one claim {"iat":...}.
 * @param iat  seconds since the epoch now.
 * @param out  out: NUL-terminated token.
 * @return false where the HMAC could not be computed. Allocates: only inside OpenSSL.
 */
bool rf_jwt_make(const unsigned char secret[RF_JWT_SECRET], int64_t iat, char out[RF_JWT_TEXT]);

#endif
