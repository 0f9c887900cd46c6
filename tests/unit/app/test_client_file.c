/* test_client_file.c - a client made from a configuration file. Runs in the project's root. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "rpcfan/rpcfan.h"

/* The file reaches the client: its status knows the names, and a call goes where they say. */
static void test_client_has_the_files_endpoints(void **state)
{
    (void)state;
    rpcfan_client_t *client = NULL;
    struct rpcfan_error err = {0};
    char *status = NULL;
    if (rpcfan_client_from_file("configs/local-node.yaml", NULL, &client, &err) != RPCFAN_OK)
        fail_msg("%s", err.text);
    assert_int_equal(rpcfan_status(client, &status), RPCFAN_OK);
    assert_non_null(strstr(status, "\"name\":\"local\""));
    assert_non_null(strstr(status, "\"name\":\"node\""));
    assert_non_null(strstr(status, "\"in_flight_max\":32"));
    assert_null(strstr(status, "127.0.0.1"));
    rpcfan_free(status);
    rpcfan_client_free(client);
}

static void test_client_refusals(void **state)
{
    (void)state;
    rpcfan_client_t *client = NULL;
    struct rpcfan_error err = {0};
    assert_int_equal(rpcfan_client_from_file("configs/none.yaml", NULL, &client, &err), RPCFAN_EIO);
    assert_memory_equal(err.text, "configs/none.yaml: ", 19);
    assert_int_equal(rpcfan_client_from_file("Makefile", NULL, &client, &err), RPCFAN_ECONFIG);
    assert_memory_equal(err.text, "Makefile:", 9);
    assert_int_equal(rpcfan_client_from_file(NULL, NULL, &client, &err), RPCFAN_EINVAL);
    assert_int_equal(rpcfan_client_from_file("configs/none.yaml", NULL, NULL, &err), RPCFAN_EINVAL);
    assert_null(client);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_client_has_the_files_endpoints),
        cmocka_unit_test(test_client_refusals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
