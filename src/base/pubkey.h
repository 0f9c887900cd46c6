/* pubkey.h - keys of Solana: 32 bytes and their Base58, fast. base58.h does the same for any length
 * and is what tests compare with. rpcfan_key_text() and rpcfan_key_read() are these. Pure. */
#ifndef RF_BASE_PUBKEY_H
#define RF_BASE_PUBKEY_H

#include "base/base.h"

#define RF_PUBKEY_BYTES 32
/** Letters of a key at most. */
#define RF_PUBKEY_TEXT 44

/** Write a key. @param out at least RF_PUBKEY_TEXT bytes; no NUL is added. @return the letters. */
size_t rf_pubkey_encode(const uint8_t key[RF_PUBKEY_BYTES], char *out);

/** Read a key. @return false where the text is not exactly 32 bytes in Base58. */
bool rf_pubkey_decode(const char *text, size_t len, uint8_t key[RF_PUBKEY_BYTES]);

#endif
