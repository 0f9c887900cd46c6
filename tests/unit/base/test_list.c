/* test_list.c - the intrusive list: order, removal, splicing. */
#include "base/list.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/base.h"
#include "base/rng.h"

struct item {
    int value;
    struct rf_link link;
};

static void assert_holds(const struct rf_link *head, const int *values, size_t n)
{
    const struct rf_link *l = head->next;
    for (size_t i = 0; i < n; i++, l = l->next) {
        assert_ptr_not_equal(l, head);
        const struct item *item = RF_CONTAINER(l, struct item, link);
        assert_int_equal(item->value, values[i]);
        assert_ptr_equal(l->next->prev, l);
    }
    assert_ptr_equal(l, head);
}

static void test_empty(void **state)
{
    (void)state;
    struct rf_link head;
    rf_list_init(&head);
    assert_true(rf_list_empty(&head));
    assert_null(rf_list_shift(&head));
}

static void test_order(void **state)
{
    (void)state;
    struct rf_link head;
    struct item a = {1, {0}}, b = {2, {0}}, c = {3, {0}}, d = {4, {0}};
    rf_list_init(&head);
    rf_list_push(&head, &b.link);
    rf_list_push(&head, &d.link);
    rf_list_unshift(&head, &a.link);
    rf_list_before(&d.link, &c.link);
    assert_false(rf_list_empty(&head));
    assert_holds(&head, (int[]){1, 2, 3, 4}, 4);
    assert_ptr_equal(rf_list_shift(&head), &a.link);
    assert_null(a.link.next);
    assert_holds(&head, (int[]){2, 3, 4}, 3);
}

static void test_remove_twice_is_harmless(void **state)
{
    (void)state;
    struct rf_link head;
    struct item a = {1, {0}}, b = {2, {0}}, c = {3, {0}};
    rf_list_init(&head);
    rf_list_remove(&a.link); /* on no list */
    rf_list_push(&head, &a.link);
    rf_list_push(&head, &b.link);
    rf_list_push(&head, &c.link);
    rf_list_remove(&b.link);
    rf_list_remove(&b.link);
    assert_holds(&head, (int[]){1, 3}, 2);
    rf_list_remove(&a.link);
    rf_list_remove(&c.link);
    assert_true(rf_list_empty(&head));
}

static void test_splice(void **state)
{
    (void)state;
    struct rf_link to, from;
    struct item item[4] = {{1, {0}}, {2, {0}}, {3, {0}}, {4, {0}}};
    rf_list_init(&to);
    rf_list_init(&from);
    rf_list_splice(&to, &from);
    assert_true(rf_list_empty(&to));
    rf_list_push(&from, &item[2].link);
    rf_list_push(&from, &item[3].link);
    rf_list_splice(&to, &from);
    assert_holds(&to, (int[]){3, 4}, 2);
    assert_true(rf_list_empty(&from));
    rf_list_push(&from, &item[0].link);
    rf_list_push(&from, &item[1].link);
    rf_list_splice(&to, &from);
    assert_holds(&to, (int[]){3, 4, 1, 2}, 4);
    assert_true(rf_list_empty(&from));
}

static void test_random_items_are_on_one_list(void **state)
{
    (void)state;
    enum { ITEMS = 50, LISTS = 4 };
    struct rf_rng rng;
    rf_rng_init(&rng, 1);
    struct rf_link head[LISTS];
    static struct item item[ITEMS];
    int on[ITEMS];
    for (int l = 0; l < LISTS; l++)
        rf_list_init(&head[l]);
    for (int i = 0; i < ITEMS; i++)
        on[i] = -1;
    for (int step = 0; step < 20000; step++) {
        int i = (int)rf_rng_below(&rng, ITEMS), to = (int)rf_rng_below(&rng, LISTS + 1) - 1;
        rf_list_remove(&item[i].link);
        on[i] = to;
        if (to >= 0 && step % 2 == 0)
            rf_list_push(&head[to], &item[i].link);
        else if (to >= 0)
            rf_list_unshift(&head[to], &item[i].link);
        int count = 0, want = 0;
        for (int l = 0; l < LISTS; l++) {
            for (struct rf_link *p = head[l].next; p != &head[l]; p = p->next, count++)
                assert_int_equal(on[RF_CONTAINER(p, struct item, link) - item], l);
        }
        for (int k = 0; k < ITEMS; k++)
            want += on[k] >= 0;
        assert_int_equal(count, want);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_empty),
        cmocka_unit_test(test_order),
        cmocka_unit_test(test_remove_twice_is_harmless),
        cmocka_unit_test(test_splice),
        cmocka_unit_test(test_random_items_are_on_one_list),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
