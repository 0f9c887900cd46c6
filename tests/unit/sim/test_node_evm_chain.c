/* test_node_evm_chain.c - blocks that are found by their hashes, reorganisations, and logs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "sim/node_evm.h"

#define HASH_LEN 68 /* quoted */

static void hash_of(const struct rf_node_chain *c, uint64_t n, uint64_t version, char *out)
{
    struct rf_buf text = {0};
    rf_node_evm_key_hex(&text, "", rf_node_evm_digest(c, n, version), 0, 32);
    assert_int_equal(text.len, HASH_LEN);
    memcpy(out, text.data, HASH_LEN);
    rf_buf_fini(&text);
}

/* Where `key` stands in a block, and that its value is `hash`. */
static void assert_block_has(const struct rf_node_chain *c, uint64_t n, uint64_t version,
                             const char *key, const char *hash)
{
    struct rf_buf text = {0};
    rf_node_evm_block(c, n, version, true, &text);
    rf_buf_char(&text, '\0');
    const char *p = strstr(text.data, key);
    assert_non_null(p);
    assert_memory_equal(p + strlen(key), hash, HASH_LEN);
    rf_buf_fini(&text);
}

static void test_versions_of_the_worked_example(void **state)
{
    (void)state;
    struct rf_node_chain c = {
        .chain_id = 1, .base = 100, .head = 109, .reorg_depth = 3, .reorg_every = 10};
    for (uint64_t n = 90; n <= 109; n++)
        assert_int_equal(rf_node_evm_version(&c, n), 0);
    c.head = 110;
    assert_int_equal(rf_node_evm_replaced(&c, 110), 3);
    assert_int_equal(rf_node_evm_replaced(&c, 109), 0);
    assert_int_equal(rf_node_evm_replaced(&c, 100), 0);
    for (uint64_t n = 90; n <= 110; n++)
        assert_int_equal(rf_node_evm_version(&c, n), n >= 107 && n <= 109);
    c.head = 1000; /* and it stays so */
    for (uint64_t n = 107; n <= 110; n++)
        assert_int_equal(rf_node_evm_version(&c, n), n < 110);
    /* Deeper than they are apart: a block is replaced more than once. */
    c = (struct rf_node_chain){.base = 0, .head = 6, .reorg_depth = 4, .reorg_every = 2};
    assert_int_equal(rf_node_evm_version(&c, 2), 2); /* at 4 and at 6 */
    assert_int_equal(rf_node_evm_version(&c, 3), 2);
    assert_int_equal(rf_node_evm_version(&c, 1), 2); /* at 2 and at 4 */
    assert_int_equal(rf_node_evm_version(&c, 5), 1);
    assert_int_equal(rf_node_evm_version(&c, 6), 0);
}

static void test_hash_finds_its_block(void **state)
{
    (void)state;
    struct rf_node_chain c = {
        .chain_id = 137, .base = 1000, .head = 1050, .reorg_depth = 4, .reorg_every = 2};
    char hash[HASH_LEN];
    uint64_t n, version, found = 0;
    for (uint64_t i = 0; i <= 1050; i++) {
        for (uint64_t v = 0; v <= rf_node_evm_version(&c, i); v++) {
            hash_of(&c, i, v, hash);
            assert_true(rf_node_evm_find(&c, (struct rpcfan_slice){hash, HASH_LEN}, &n, &version));
            assert_int_equal(n, i);
            assert_int_equal(version, v);
            found++;
        }
        hash_of(&c, i, rf_node_evm_version(&c, i) + 1, hash); /* not made yet */
        assert_false(rf_node_evm_find(&c, (struct rpcfan_slice){hash, HASH_LEN}, &n, &version));
    }
    assert_true(found > 1100);
    hash_of(&c, 7, 0, hash);
    hash[60] = hash[60] == '0' ? '1' : '0'; /* the first bytes are right, the rest is not */
    assert_false(rf_node_evm_find(&c, (struct rpcfan_slice){hash, HASH_LEN}, &n, &version));
    assert_false(rf_node_evm_find(&c, (struct rpcfan_slice){"\"0x12\"", 6}, &n, &version));
}

static void test_parents_link_at_every_head(void **state)
{
    (void)state;
    char parent[HASH_LEN];
    struct rf_node_chain c = {
        .chain_id = 1, .base = 50, .head = 50, .reorg_depth = 5, .reorg_every = 3};
    for (; c.head < 90; c.head++) {
        for (uint64_t n = 40; n <= c.head; n++) {
            hash_of(&c, n - 1, rf_node_evm_version(&c, n - 1), parent);
            assert_block_has(&c, n, rf_node_evm_version(&c, n), "\"parentHash\":", parent);
        }
    }
}

static void test_logs_match_their_filters(void **state)
{
    (void)state;
    struct rf_node_chain c = {
        .chain_id = 1, .head = 100, .logs = 8, .log_addresses = 3, .log_topics = 2};
    struct rf_node_evm_filter all = {0};
    unsigned total = 0, by_address = 0, by_topic = 0;
    char address[48], topic[72];
    struct rf_buf out = {0};
    for (uint64_t n = 1; n <= 20; n++) {
        assert_int_equal(rf_node_evm_log_count(&c, n, 0), 8);
        for (unsigned i = 0; i < 8; i++) {
            total += rf_node_evm_log(&c, &all, n, i, false, &out);
            for (unsigned a = 1; a <= 3; a++) {
                snprintf(address, sizeof address, "\"0x%040x\"", a);
                struct rf_node_evm_filter f = {.address = {address, 44}};
                by_address += rf_node_evm_log(&c, &f, n, i, false, &out);
            }
            for (unsigned t = 1; t <= 2; t++) {
                snprintf(topic, sizeof topic, "[\"0x%064x\"]", t);
                struct rf_node_evm_filter f = {.topics = {topic, 70}};
                by_topic += rf_node_evm_log(&c, &f, n, i, true, &out);
            }
        }
    }
    assert_int_equal(total, 160);
    assert_int_equal(by_address, 160); /* each log has one of the addresses */
    assert_int_equal(by_topic, 160);
    struct rf_node_evm_filter several = {
        .topics = {"[null,null]", 11},
        .address = {"[\"0x0000000000000000000000000000000000000001\","
                    "\"0x0000000000000000000000000000000000000002\"]",
                    91}};
    unsigned some = 0, none = 0;
    for (unsigned i = 0; i < 8; i++) {
        some += rf_node_evm_log(&c, &several, 5, i, false, &out);
        struct rf_node_evm_filter other = {
            .address = {"\"0x00000000000000000000000000000000000000ff\"", 44}};
        none += rf_node_evm_log(&c, &other, 5, i, false, &out);
    }
    assert_true(some > 0 && some <= 8);
    assert_int_equal(none, 0);
    rf_buf_fini(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_versions_of_the_worked_example),
        cmocka_unit_test(test_hash_finds_its_block),
        cmocka_unit_test(test_parents_link_at_every_head),
        cmocka_unit_test(test_logs_match_their_filters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
