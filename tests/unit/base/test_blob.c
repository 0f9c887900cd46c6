/* test_blob.c - the shared body: growth, trimming, and owners on several threads. */
#include "base/blob.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"

static void test_grows_and_keeps(void **state)
{
    (void)state;
    struct rf_blob *b = rf_blob_new(0);
    assert_non_null(b);
    for (int i = 0; i < 10000; i++)
        assert_true(rf_blob_add(b, "0123456789", 10));
    assert_int_equal(b->len, 100000);
    for (size_t i = 0; i < b->len; i++)
        assert_int_equal(b->data[i], '0' + (char)(i % 10));
    rf_blob_unref(b);
}

static void test_new_out_of_memory(void **state)
{
    (void)state;
    for (uint64_t n = 1; n <= 2; n++) {
        rf_alloc_fail_at(n);
        assert_null(rf_blob_new(1000));
        rf_alloc_fail_at(0);
    }
    rf_blob_unref(NULL);
}

static void test_small_is_one_allocation_and_grows(void **state)
{
    (void)state;
    char bytes[100];
    memset(bytes, 'y', sizeof bytes);
    uint64_t before = rf_alloc_count();
    struct rf_blob *b = rf_blob_new(100);
    assert_true(rf_blob_add(b, bytes, 10));
    rf_blob_trim(b); /* there is nothing to give back */
    assert_int_equal(rf_alloc_count() - before, 1);
    assert_true(rf_blob_add(b, bytes, 90));
    assert_int_equal(rf_alloc_count() - before, 1);
    assert_true(rf_blob_add(b, "z", 1));
    assert_memory_equal(b->data, bytes, 100);
    assert_int_equal(b->data[100], 'z');
    rf_blob_unref(b);
}

static void test_add_out_of_memory_keeps_what_was(void **state)
{
    (void)state;
    struct rf_blob *b = rf_blob_new(4);
    assert_true(rf_blob_add(b, "abcd", 4));
    rf_alloc_fail_at(1);
    assert_false(rf_blob_add(b, "e", 1));
    rf_alloc_fail_at(0);
    assert_int_equal(b->len, 4);
    assert_memory_equal(b->data, "abcd", 4);
    assert_true(rf_blob_add(b, "e", 1));
    assert_memory_equal(b->data, "abcde", 5);
    rf_blob_unref(b);
}

static void test_trim_only_where_it_pays(void **state)
{
    (void)state;
    struct rf_blob *b = rf_blob_new(1000);
    char bytes[1000];
    memset(bytes, 'x', sizeof bytes);
    assert_true(rf_blob_add(b, bytes, 800));
    rf_blob_trim(b);
    assert_int_equal(b->cap, 1000); /* a fifth unused: left */
    b->len = 700;
    rf_alloc_fail_at(1);
    rf_blob_trim(b);
    rf_alloc_fail_at(0);
    assert_int_equal(b->cap, 1000); /* no memory: as it was */
    rf_blob_trim(b);
    assert_int_equal(b->cap, 700);
    assert_memory_equal(b->data, bytes, 700);
    rf_blob_unref(b);
}

static void *share(void *arg)
{
    for (int i = 0; i < 100000; i++) {
        struct rf_blob *b = arg;
        rf_blob_ref(b, 1);
        if (b->data[0] != 'z')
            return NULL;
        rf_blob_unref(b);
    }
    rf_blob_unref(arg); /* the reference this thread was given */
    return arg;
}

static void test_owners_on_several_threads(void **state)
{
    (void)state;
    struct rf_blob *b = rf_blob_new(1);
    assert_true(rf_blob_add(b, "z", 1));
    pthread_t thread[4];
    for (size_t i = 0; i < RF_COUNT(thread); i++) {
        rf_blob_ref(b, 1);
        assert_int_equal(pthread_create(&thread[i], NULL, share, b), 0);
    }
    for (size_t i = 0; i < RF_COUNT(thread); i++) {
        void *done;
        pthread_join(thread[i], &done);
        assert_ptr_equal(done, b);
    }
    assert_int_equal(atomic_load(&b->refs), 1);
    rf_blob_unref(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_grows_and_keeps),
        cmocka_unit_test(test_new_out_of_memory),
        cmocka_unit_test(test_small_is_one_allocation_and_grows),
        cmocka_unit_test(test_add_out_of_memory_keeps_what_was),
        cmocka_unit_test(test_trim_only_where_it_pays),
        cmocka_unit_test(test_owners_on_several_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
