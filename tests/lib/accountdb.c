/* accountdb.c - reads the account database and hashes what is stored as the oracle does. */
#include "accountdb.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <openssl/evp.h>

#include "base/buf.h"

enum { PUBKEY, STATE, SLOT, LAMPORTS, OWNER, DATA, RENT_EPOCH, SPACE, EXECUTABLE };
static const char select_all[] = "SELECT pubkey, state, slot, lamports, owner, data, rent_epoch, "
                                 "space, executable FROM account";

static void tell(struct rf_validator *v, uint64_t now_ns, void *arg)
{
    struct account_keys *k = arg;
    const struct rf_banks *banks = rf_validator_banks(v);
    (void)now_ns;
    snprintf(k->program, sizeof k->program, "%s", rf_validator_program(v, 0));
    for (uint32_t i = 0; i < k->n; i++)
        snprintf(k->text[i], sizeof k->text[i], "%s", banks->key[i].text);
}

void account_keys_ask(struct account_keys *k, struct rf_node *node, uint32_t n)
{
    k->n = n;
    rf_node_oracle(node, tell, k);
    for (uint32_t i = 0; i < n; i++) {
        uint32_t at = i;
        for (; at > 0 && strcmp(k->text[k->sorted[at - 1]], k->text[i]) > 0; at--)
            k->sorted[at] = k->sorted[at - 1];
        k->sorted[at] = i;
    }
}

uint32_t account_keys_find(const struct account_keys *k, const char *text, size_t len)
{
    uint32_t low = 0, high = k->n;
    while (low < high) {
        uint32_t mid = low + (high - low) / 2, i = k->sorted[mid];
        int order = strncmp(k->text[i], text, len);
        if (order == 0)
            order = k->text[i][len] != '\0';
        if (order == 0)
            return i;
        if (order < 0)
            low = mid + 1;
        else
            high = mid;
    }
    fail_msg("an account that nobody asked for: %.*s", (int)len, text);
    return 0;
}

/* Written as a node would write it, and read back. */
static uint64_t hash_of(sqlite3_stmt *s)
{
    struct rf_buf b = {0};
    uint64_t hash = 0;
    int n = sqlite3_column_bytes(s, DATA);
    unsigned char *data = malloc(4 * ((size_t)n / 3 + 1) + 1);
    assert_non_null(data);
    data[0] = '\0';
    if (n > 0)
        EVP_EncodeBlock(data, sqlite3_column_blob(s, DATA), n);
    rf_buf_printf(&b, "{\"lamports\":%llu,\"owner\":\"%s\",\"executable\":%s,",
                  (unsigned long long)sqlite3_column_int64(s, LAMPORTS),
                  (const char *)sqlite3_column_text(s, OWNER),
                  sqlite3_column_int(s, EXECUTABLE) != 0 ? "true" : "false");
    rf_buf_printf(&b, "\"rentEpoch\":%llu,\"space\":%llu,\"data\":[\"%s\",\"base64\"]}",
                  (unsigned long long)sqlite3_column_int64(s, RENT_EPOCH),
                  (unsigned long long)sqlite3_column_int64(s, SPACE), (const char *)data);
    if (b.failed || !rf_validator_read((struct rpcfan_slice){b.data, b.len}, &hash))
        fail_msg("stored, and no account: %.*s", (int)b.len, b.data);
    rf_buf_fini(&b);
    free(data);
    return hash;
}

void account_reader_open(struct account_reader *r, const char *path)
{
    if (sqlite3_open_v2(path, &r->db, SQLITE_OPEN_READWRITE, NULL) != SQLITE_OK ||
        sqlite3_prepare_v2(r->db, select_all, -1, &r->all, NULL) != SQLITE_OK)
        fail_msg("%s: %s", path, sqlite3_errmsg(r->db));
}

uint32_t account_reader_all(struct account_reader *r, const struct account_keys *k,
                            struct account_row *row)
{
    int code;
    uint32_t n = 0;
    memset(row, 0, k->n * sizeof *row);
    while ((code = sqlite3_step(r->all)) == SQLITE_ROW) {
        const char *key = (const char *)sqlite3_column_text(r->all, PUBKEY);
        struct account_row *to = &row[account_keys_find(k, key, strlen(key))];
        to->there = sqlite3_column_int(r->all, STATE) == 0;
        to->slot = (uint64_t)sqlite3_column_int64(r->all, SLOT);
        to->hash = to->there ? hash_of(r->all) : 0;
        n++;
    }
    if (code != SQLITE_DONE)
        fail_msg("reading rows: %s", sqlite3_errmsg(r->db));
    sqlite3_reset(r->all);
    return n;
}

void account_reader_close(struct account_reader *r)
{
    sqlite3_finalize(r->all);
    sqlite3_close(r->db);
}
