/* node_ws_frame.c - RFC 6455 frames. Called by node_ws*.c. Pure.
 *
 * A frame: a byte of FIN, three reserved bits and opcode; a byte of mask bit and length (126: two
 * bytes of length follow, 127: eight); the mask where its bit is set; the payload. */
#include "sim/node_ws_frame.h"

#include <openssl/evp.h>
#include <openssl/sha.h>
#include <string.h>

#define GUID "258EAFA5-E914-47DA-95CA-C5AB0DC85B11" /* RFC 6455 1.3 */
#define FIN 0x80u
#define MASKED 0x80u

static uint64_t big_endian(const unsigned char *p, unsigned n)
{
    uint64_t v = 0;
    for (unsigned i = 0; i < n; i++)
        v = v << 8 | p[i];
    return v;
}

enum rf_ws_found rf_ws_frame_read(const char *from, size_t len, struct rf_ws_frame *out)
{
    const unsigned char *p = (const unsigned char *)from;
    if (len < 2)
        return RF_WS_MORE;
    unsigned opcode = p[0] & 15u, length = p[1] & 127u;
    unsigned more = length == 127 ? 8 : length == 126 ? 2 : 0;
    bool control = opcode >= RF_WS_CLOSE;
    out->fin = (p[0] & FIN) != 0;
    if ((p[0] & 0x70u) != 0 || (opcode > RF_WS_BINARY && !control) || opcode > RF_WS_PONG ||
        (p[1] & MASKED) == 0 || (control && (!out->fin || more > 0)))
        return RF_WS_BAD;
    if (len < 2 + more + 4)
        return RF_WS_MORE;
    out->opcode = (uint8_t)opcode;
    out->len = more == 0 ? length : big_endian(p + 2, more);
    out->head = 2 + more + 4;
    memcpy(out->mask, p + 2 + more, 4);
    bool shorter = (more == 2 && out->len < 126) || (more == 8 && out->len < 65536);
    return shorter || out->len >> 63 != 0 ? RF_WS_BAD : RF_WS_FRAME;
}

void rf_ws_unmask(char *payload, size_t len, const unsigned char mask[4])
{
    for (size_t i = 0; i < len; i++)
        payload[i] = (char)((unsigned char)payload[i] ^ mask[i & 3]);
}

size_t rf_ws_frame_head(unsigned opcode, bool fin, uint64_t len, unsigned char *out)
{
    unsigned more = len < 126 ? 0 : len < 65536 ? 2 : 8;
    out[0] = (unsigned char)((fin ? FIN : 0u) | opcode);
    out[1] = (unsigned char)(more == 0 ? len : more == 2 ? 126 : 127);
    for (unsigned i = 0; i < more; i++)
        out[2 + i] = (unsigned char)(len >> 8 * (more - 1 - i));
    return 2 + more;
}

void rf_ws_frame_add(struct rf_buf *out, unsigned opcode, bool fin, const char *data, size_t len)
{
    unsigned char head[RF_WS_HEAD_MAX];
    size_t n = rf_ws_frame_head(opcode, fin, len, head);
    if (!rf_buf_reserve(out, n + len))
        return;
    rf_buf_add(out, head, n);
    rf_buf_add(out, data, len);
}

void rf_ws_frame_close(struct rf_buf *out, unsigned code, const char *reason)
{
    char payload[RF_WS_CONTROL_MAX] = {(char)(code >> 8), (char)(code & 255)};
    size_t len = code == 0 ? 0 : 2;
    if (code != 0 && reason != NULL) {
        size_t n = strlen(reason);
        n = n < sizeof payload - 2 ? n : sizeof payload - 2;
        memcpy(payload + 2, reason, n);
        len += n;
    }
    rf_ws_frame_add(out, RF_WS_CLOSE, true, payload, len);
}

/* A frame whose first two header bytes are changed by `first` and `second`; then, with a mask bit,
 * a mask of zeros, which leaves the payload as it is. */
static void odd_frame(struct rf_buf *out, unsigned first, unsigned second, const char *data,
                      size_t len)
{
    unsigned char head[RF_WS_HEAD_MAX + 4] = {0};
    size_t n = rf_ws_frame_head(RF_WS_TEXT, true, len, head);
    head[0] = (unsigned char)(head[0] ^ first);
    head[1] = (unsigned char)(head[1] ^ second);
    rf_buf_add(out, head, n + (second != 0 ? 4 : 0));
    rf_buf_add(out, data, len);
}

void rf_ws_frame_bad(struct rf_buf *out, enum rf_ws_bad kind, const char *data, size_t len)
{
    static const unsigned char endless[RF_WS_HEAD_MAX] = {FIN | RF_WS_TEXT, 127, 0x80};
    static const char filler[RF_WS_CONTROL_MAX + 1] = {0};
    switch (kind) {
    case RF_WS_BAD_RSV:
        odd_frame(out, 0x40, 0, data, len);
        break;
    case RF_WS_BAD_OPCODE:
        odd_frame(out, RF_WS_TEXT ^ 3u, 0, data, len);
        break;
    case RF_WS_BAD_MASK:
        odd_frame(out, 0, MASKED, data, len);
        break;
    case RF_WS_BAD_LENGTH:
        rf_buf_add(out, endless, sizeof endless);
        rf_buf_add(out, data, len);
        break;
    case RF_WS_BAD_CONTINUATION:
        rf_ws_frame_add(out, RF_WS_CONTINUATION, true, data, len);
        break;
    case RF_WS_BAD_INTERLEAVED:
        rf_ws_frame_add(out, RF_WS_TEXT, false, data, len / 2);
        rf_ws_frame_add(out, RF_WS_TEXT, true, data, len);
        break;
    case RF_WS_BAD_CONTROL:
        rf_ws_frame_add(out, RF_WS_PING, true, filler, sizeof filler);
        break;
    case RF_WS_BAD_KINDS:
        break;
    }
}

bool rf_ws_key_good(const char *key, size_t len)
{
    unsigned char bytes[RF_WS_KEY_LEN];
    /* 16 bytes are 22 digits and two pads; the decoder gives 18 and takes pads for zeros. */
    return len == RF_WS_KEY_LEN && key[22] == '=' && key[23] == '=' && key[21] != '=' &&
           EVP_DecodeBlock(bytes, (const unsigned char *)key, RF_WS_KEY_LEN) == 18;
}

void rf_ws_accept(const char *key, char *out)
{
    unsigned char text[RF_WS_KEY_LEN + sizeof GUID - 1], hash[SHA_DIGEST_LENGTH];
    memcpy(text, key, RF_WS_KEY_LEN);
    memcpy(text + RF_WS_KEY_LEN, GUID, sizeof GUID - 1);
    SHA1(text, sizeof text, hash);
    EVP_EncodeBlock((unsigned char *)out, hash, sizeof hash);
}
