/* keccak.c - the sponge over Keccak-f[1600] with 256 bits of output: blocks of 136 bytes, 24 rounds
 * each. Lanes are 64-bit words; bytes go into them little-endian, whatever the machine is. */
#include "base/keccak.h"

#include <string.h>

#define RATE 136
#define ROUNDS 24

/* n from 1 to 63 */
static uint64_t rotate(uint64_t v, unsigned n)
{
    return v << n | v >> (64 - n);
}

/* Lane (x, y) is lane[x + 5 * y]. */
static void permute(uint64_t lane[25])
{
    static const uint64_t round_constant[ROUNDS] = {
        UINT64_C(0x0000000000000001), UINT64_C(0x0000000000008082), UINT64_C(0x800000000000808a),
        UINT64_C(0x8000000080008000), UINT64_C(0x000000000000808b), UINT64_C(0x0000000080000001),
        UINT64_C(0x8000000080008081), UINT64_C(0x8000000000008009), UINT64_C(0x000000000000008a),
        UINT64_C(0x0000000000000088), UINT64_C(0x0000000080008009), UINT64_C(0x000000008000000a),
        UINT64_C(0x000000008000808b), UINT64_C(0x800000000000008b), UINT64_C(0x8000000000008089),
        UINT64_C(0x8000000000008003), UINT64_C(0x8000000000008002), UINT64_C(0x8000000000000080),
        UINT64_C(0x000000000000800a), UINT64_C(0x800000008000000a), UINT64_C(0x8000000080008081),
        UINT64_C(0x8000000000008080), UINT64_C(0x0000000080000001), UINT64_C(0x8000000080008008)};
    /* rho and pi go along (x, y) -> (y, 2x + 3y) from (1, 0), turning by 1, 3, 6, 10, ... */
    static const uint8_t path[24] = {10, 7,  11, 17, 18, 3, 5,  16, 8,  21, 24, 4,
                                     15, 23, 19, 13, 12, 2, 20, 14, 22, 9,  6,  1};
    static const uint8_t turn[24] = {1,  3,  6,  10, 15, 21, 28, 36, 45, 55, 2,  14,
                                     27, 41, 56, 8,  25, 43, 62, 18, 39, 61, 20, 44};
    for (int round = 0; round < ROUNDS; round++) {
        uint64_t parity[5];
        for (int x = 0; x < 5; x++) /* theta */
            parity[x] = lane[x] ^ lane[x + 5] ^ lane[x + 10] ^ lane[x + 15] ^ lane[x + 20];
        for (int x = 0; x < 5; x++) {
            uint64_t mix = parity[(x + 4) % 5] ^ rotate(parity[(x + 1) % 5], 1);
            for (int i = x; i < 25; i += 5)
                lane[i] ^= mix;
        }
        uint64_t carried = lane[1];
        for (int t = 0; t < 24; t++) {
            uint64_t there = lane[path[t]];
            lane[path[t]] = rotate(carried, turn[t]);
            carried = there;
        }
        for (uint64_t *row = lane; row < lane + 25; row += 5) { /* chi */
            uint64_t first = row[0], second = row[1];
            row[0] ^= ~row[1] & row[2];
            row[1] ^= ~row[2] & row[3];
            row[2] ^= ~row[3] & row[4];
            row[3] ^= ~row[4] & first;
            row[4] ^= ~first & second;
        }
        lane[0] ^= round_constant[round]; /* iota */
    }
}

static void mix_byte(struct rf_keccak *k, uint32_t at, uint8_t byte)
{
    k->lane[at / 8] ^= (uint64_t)byte << (at % 8 * 8);
}

void rf_keccak_init(struct rf_keccak *k, uint8_t pad)
{
    *k = (struct rf_keccak){.pad = pad};
}

void rf_keccak_add(struct rf_keccak *k, const void *data, size_t n)
{
    const uint8_t *p = data;
    for (size_t i = 0; i < n; i++) {
        mix_byte(k, k->at++, p[i]);
        if (k->at == RATE) {
            permute(k->lane);
            k->at = 0;
        }
    }
}

void rf_keccak_done(struct rf_keccak *k, uint8_t out[RF_KECCAK_BYTES])
{
    mix_byte(k, k->at, k->pad);
    mix_byte(k, RATE - 1, 0x80);
    permute(k->lane);
    for (uint32_t i = 0; i < RF_KECCAK_BYTES; i++)
        out[i] = (uint8_t)(k->lane[i / 8] >> (i % 8 * 8));
}
