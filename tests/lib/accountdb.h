/* accountdb.h - the database of `rpcfan index` as anybody else sees it, in the terms of the virtual
 * validator: which of its accounts are there, and the oracle's hash of the bytes that are stored.
 */
#ifndef RF_TESTS_ACCOUNTDB_H
#define RF_TESTS_ACCOUNTDB_H

#include <sqlite3.h>

#include "sim/node.h"
#include "sim/validator.h"

#define ACCOUNTDB_KEYS 400

/** The accounts of a validator's first program. */
struct account_keys {
    uint32_t n;
    char program[48];
    char text[ACCOUNTDB_KEYS][48];
    uint32_t sorted[ACCOUNTDB_KEYS]; /* by text */
};

/** An account as the database has it. */
struct account_row {
    bool there;
    uint64_t hash, slot; /* hash: the oracle's; 0 where it is not there */
};

/** Open for reading alone. */
struct account_reader {
    sqlite3 *db;
    sqlite3_stmt *all;
};

/** Ask the validator of a node. @param n at most ACCOUNTDB_KEYS, and as many as it has. */
void account_keys_ask(struct account_keys *k, struct rf_node *node, uint32_t n);
/** The number of a key; fails the test where it is none of them. */
uint32_t account_keys_find(const struct account_keys *k, const char *text, size_t len);

/** Open a database; fails the test where that cannot be. */
void account_reader_open(struct account_reader *r, const char *path);
/** Read what is committed. @param row one for each key, which this fills. @return how many rows the
 * file has. */
uint32_t account_reader_all(struct account_reader *r, const struct account_keys *k,
                            struct account_row *row);
/** Close. */
void account_reader_close(struct account_reader *r);

#endif
