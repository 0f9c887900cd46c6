/* test_sim_subs.c - what the fake node tells on a WebSocket: heads, logs, reorganisations and
 * pending transactions of the EVM chain, and the synthetic program; each against what the same node
 * says over HTTP. */
#include "sim_client.h"

#include <jansson.h>
#include <uv.h>

#include "base/base64.h"
#include "sim/node_program.h"
#include "wsclient.h"

#define PROGRAM "TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA"
#define ETH_SUBSCRIBE(id, params)                                                                  \
    "{\"jsonrpc\":\"2.0\",\"id\":" id ",\"method\":\"eth_subscribe\",\"params\":[" params "]}"

static struct wsc w;

static int setup_subs(void **state)
{
    w = (struct wsc){.fd = -1};
    return setup_node(state);
}

static int teardown_subs(void **state)
{
    wsc_close(&w);
    return teardown_node(state);
}

static void open_ws(void)
{
    assert_true(wsc_open(&w, rf_node_port(node), "/", ""));
}

/* The next message as a tree; json_decref() it. rentEpoch is more than jansson's integers hold. */
static json_t *next(void)
{
    const char *text = wsc_text(&w);
    assert_non_null(text);
    json_t *tree = json_loads(text, JSON_DECODE_INT_AS_REAL, NULL);
    assert_non_null(tree);
    return tree;
}

/* The result of a call over HTTP. */
static json_t *ask(const char *method, const char *params)
{
    char body[400];
    snprintf(body, sizeof body, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"%s\",\"params\":%s}",
             method, params);
    json_t *tree = json_loads(post(body), JSON_DECODE_INT_AS_REAL, NULL),
           *result = json_object_get(tree, "result");
    if (result == NULL)
        fail_msg("%s %s: %s", method, params, last.body.data);
    json_incref(result);
    json_decref(tree);
    return result;
}

static const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    assert_non_null(text);
    return text;
}

static uint64_t number_of(const json_t *object, const char *key)
{
    return strtoull(text_of(object, key), NULL, 16);
}

static const json_t *result_of(const json_t *note)
{
    return json_object_get(json_object_get(note, "params"), "result");
}

/* A chain that a client keeps of what it was told. */
struct kept {
    char hash[200][67];
    uint64_t first, n, replaced;
};

static void keep(struct kept *k, const json_t *head)
{
    uint64_t n = number_of(head, "number");
    if (k->n == 0)
        k->first = n;
    if (n < k->first)
        return; /* a block from before the subscription was replaced */
    assert_true(n <= k->first + k->n && n - k->first < 200);
    k->replaced += n < k->first + k->n;
    if (n > k->first)
        assert_string_equal(text_of(head, "parentHash"), k->hash[n - 1 - k->first]);
    snprintf(k->hash[n - k->first], sizeof k->hash[0], "%s", text_of(head, "hash"));
    if (n == k->first + k->n)
        k->n++;
}

static void test_heads_link_through_reorganisations(void **state)
{
    (void)state;
    static struct kept k;
    char params[100];
    open_ws();
    script("family evm\nblock-time 5ms\nreorg 3 every=10");
    assert_non_null(strstr(wsc_call(&w, ETH_SUBSCRIBE("1", "\"newHeads\"")), "\"result\":\"0x"));
    while (k.n < 60) {
        json_t *note = next();
        assert_string_equal(text_of(note, "method"), "eth_subscription");
        keep(&k, result_of(note));
        json_decref(note);
    }
    assert_true(k.replaced >= 12 && k.replaced <= 21);
    for (uint64_t i = 0; i < k.n - 4; i++) { /* those that no later reorganisation could reach */
        snprintf(params, sizeof params, "[\"0x%llx\",false]", (unsigned long long)(k.first + i));
        json_t *block = ask("eth_getBlockByNumber", params);
        uint64_t head = k.first + k.n;
        if (head - (k.first + i) > 13)
            assert_string_equal(text_of(block, "hash"), k.hash[i]);
        json_decref(block);
        snprintf(params, sizeof params, "[\"%s\",false]", k.hash[i]);
        block = ask("eth_getBlockByHash", params);
        assert_int_equal(number_of(block, "number"), k.first + i);
        json_decref(block);
    }
}

/* What a client keeps of logs: those told and not taken back, as "block hash/index". */
struct logs {
    char key[4000][80];
    bool gone[4000];
    unsigned n, removed;
    uint64_t low, high;
};

static void keep_log(struct logs *l, const json_t *log)
{
    char key[80];
    snprintf(key, sizeof key, "%s/%s", text_of(log, "blockHash"), text_of(log, "logIndex"));
    uint64_t n = number_of(log, "blockNumber");
    l->low = l->n == 0 ? n : l->low;
    l->high = n > l->high ? n : l->high;
    unsigned i = 0;
    while (i < l->n && (l->gone[i] || strcmp(l->key[i], key) != 0))
        i++;
    if (json_is_true(json_object_get(log, "removed"))) {
        if (i == l->n)
            return; /* of a block from before the subscription */
        l->gone[i] = true;
        l->removed++;
        return;
    }
    assert_int_equal(i, l->n); /* none is told twice */
    assert_true(l->n < 4000);
    snprintf(l->key[l->n++], sizeof l->key[0], "%s", key);
}

static void test_logs_come_to_what_get_logs_says(void **state)
{
    (void)state;
    static struct logs l;
    char params[300];
    open_ws();
    script("family evm\nblock-time 5ms\nreorg 4 every=7\nlogs 6 addresses=2 topics=3");
    wsc_call(&w, ETH_SUBSCRIBE("1", "\"logs\",{\"address\":"
                                    "\"0x0000000000000000000000000000000000000001\",\"topics\":[["
                                    "\"0x0000000000000000000000000000000000000000000000000000000000"
                                    "000001\",\"0x000000000000000000000000000000000000000000000000"
                                    "0000000000000002\"]]}"));
    while (l.high < l.low + 50) {
        json_t *note = next();
        keep_log(&l, result_of(note));
        json_decref(note);
    }
    assert_true(l.removed > 0);
    /* Blocks that are final on both sides. */
    unsigned same = 0;
    for (uint64_t n = l.low + 1; n < l.low + 35; n++) {
        snprintf(params, sizeof params,
                 "[{\"fromBlock\":\"0x%llx\",\"toBlock\":\"0x%llx\",\"address\":"
                 "[\"0x0000000000000000000000000000000000000001\"],\"topics\":[[\"0x%064x\","
                 "\"0x%064x\"]]}]",
                 (unsigned long long)n, (unsigned long long)n, 1, 2);
        json_t *logs = ask("eth_getLogs", params), *log;
        size_t i;
        json_array_foreach(logs, i, log)
        {
            char key[80];
            snprintf(key, sizeof key, "%s/%s", text_of(log, "blockHash"), text_of(log, "logIndex"));
            unsigned at = 0;
            while (at < l.n && (l.gone[at] || strcmp(l.key[at], key) != 0))
                at++;
            assert_true(at < l.n);
            same++;
        }
        json_decref(logs);
    }
    assert_true(same > 30);
}

static void test_pending_transactions_are_in_the_next_block(void **state)
{
    (void)state;
    char params[100];
    open_ws();
    script("family evm\nblock-time 20ms");
    wsc_call(&w, ETH_SUBSCRIBE("1", "\"newPendingTransactions\""));
    json_t *note = next();
    char hash[80];
    snprintf(hash, sizeof hash, "%s", json_string_value(result_of(note)));
    json_decref(note);
    json_t *head = ask("eth_blockNumber", "[]");
    uint64_t n = strtoull(json_string_value(head), NULL, 16);
    json_decref(head);
    bool found = false;
    for (uint64_t at = n - 2; at < n + 40 && !found;) {
        snprintf(params, sizeof params, "[\"0x%llx\",false]", (unsigned long long)at);
        json_t *block = ask("eth_getBlockByNumber", params);
        if (json_is_object(block)) {
            char *text = json_dumps(block, 0);
            found = strstr(text, hash) != NULL;
            free(text);
            at++;
        }
        json_decref(block);
    }
    assert_true(found);
}

static void test_subscriptions_end_and_are_limited(void **state)
{
    (void)state;
    open_ws();
    script("family evm\nws subscriptions=2 ids=small");
    assert_non_null(strstr(wsc_call(&w, ETH_SUBSCRIBE("1", "\"newHeads\"")), "\"result\":\"0x1\""));
    assert_non_null(strstr(wsc_call(&w, ETH_SUBSCRIBE("1", "\"syncing\"")), "\"result\":\"0x2\""));
    assert_non_null(strstr(wsc_call(&w, ETH_SUBSCRIBE("1", "\"newHeads\"")), "limit reached"));
    assert_int_equal(counters().subscriptions, 2);
    assert_non_null(strstr(wsc_call(&w, "{\"id\":1,\"method\":\"eth_unsubscribe\",\"params\":"
                                        "[\"0x1\"]}"),
                           "\"result\":true"));
    assert_non_null(strstr(wsc_call(&w, "{\"id\":1,\"method\":\"eth_unsubscribe\",\"params\":"
                                        "[\"0x1\"]}"),
                           "subscription not found"));
    assert_non_null(strstr(wsc_call(&w, ETH_SUBSCRIBE("1", "\"newMoons\"")), "-32602"));
    assert_non_null(strstr(wsc_call(&w, "{\"id\":1,\"method\":\"slotSubscribe\"}"), "-32601"));
    assert_int_equal(counters().subscriptions, 1);
    wsc_close(&w);
    while (counters().subscriptions > 0)
        ;
    open_ws(); /* a new connection counts its ids anew */
    assert_non_null(strstr(wsc_call(&w, ETH_SUBSCRIBE("1", "\"logs\"")), "\"result\":\"0x1\""));
    /* Over HTTP there are none. */
    const char *text = post(ETH_SUBSCRIBE("1", "\"newHeads\""));
    assert_non_null(strstr(text, "\"code\":-32601,\"message\":\"notifications not supported\""));
}

#define ACCOUNTS 50

static void test_program_tells_every_write_in_the_order_of_slots(void **state)
{
    (void)state;
    enum { WRITES = 2000 };
    uint64_t version[ACCOUNTS] = {0}, slot = 0, seen = 0, slots = 0;
    const struct rf_node_program_conf p = {.n = ACCOUNTS};
    open_ws();
    script("block-time 20ms\nprogram 50 writes=10000 from=300ms to=500ms");
    wsc_call(&w, "[{\"id\":1,\"method\":\"slotSubscribe\"},{\"id\":2,\"method\":\"rootSubscribe\"},"
                 "{\"id\":3,\"method\":\"programSubscribe\",\"params\":[\"" PROGRAM "\"]}]");
    while (seen < WRITES) {
        json_t *note = next();
        const json_t *result = result_of(note);
        const char *method = text_of(note, "method");
        if (strcmp(method, "slotNotification") == 0) {
            uint64_t s = (uint64_t)json_number_value(json_object_get(result, "slot"));
            assert_true(slot == 0 || s > slot);
            slot = s;
            slots++;
        } else if (strcmp(method, "programNotification") == 0) {
            const json_t *value = json_object_get(result, "value");
            const json_t *context = json_object_get(result, "context");
            const json_t *account = json_object_get(value, "account");
            const char *data =
                json_string_value(json_array_get(json_object_get(account, "data"), 0));
            uint8_t bytes[200];
            size_t n;
            char key[64];
            snprintf(key, sizeof key, "\"%s\"", text_of(value, "pubkey"));
            uint64_t i;
            assert_true(rf_program_find(&p, (struct rpcfan_slice){key, strlen(key)}, &i));
            assert_int_equal(i, seen % ACCOUNTS);
            assert_true(rf_base64_decode(data, strlen(data), bytes, sizeof bytes, &n));
            assert_int_equal(n, 165);
            assert_int_equal(bytes[0], i);
            assert_int_equal(bytes[8], ++version[i]);
            assert_string_equal(text_of(account, "owner"), PROGRAM);
            if (slots > 0)
                assert_int_equal((uint64_t)json_number_value(json_object_get(context, "slot")),
                                 slot);
            seen++;
        }
        json_decref(note);
    }
    assert_true(slots >= 9);
    assert_true(counters().ws_notes >= WRITES);
}

static void test_program_over_http_agrees(void **state)
{
    (void)state;
    struct rf_buf key = {0}, body = {0};
    const struct rf_node_program_conf p = {.n = ACCOUNTS, .bytes = 165, .writes = 100000};
    script("program 50 writes=100000 to=1ms");
    uint64_t slot = 0;
    while (slot == 0) { /* until the writes are over, which is after a millisecond */
        json_t *all = ask("getProgramAccounts", "[\"" PROGRAM "\",{\"withContext\":true}]");
        json_t *rows = json_object_get(all, "value"), *row;
        size_t i, whole = 0;
        assert_int_equal(json_array_size(rows), ACCOUNTS);
        json_array_foreach(rows, i, row)
        {
            uint64_t lamports = (uint64_t)json_number_value(
                json_object_get(json_object_get(row, "account"), "lamports"));
            whole += lamports == 1000000 + rf_program_version(&p, i, 100);
        }
        if (whole == ACCOUNTS)
            slot = (uint64_t)json_number_value(
                json_object_get(json_object_get(all, "context"), "slot"));
        json_decref(all);
    }
    rf_program_key_text(3, &key);
    rf_buf_char(&key, '\0');
    rf_buf_printf(&body, "[[%s,\"" PROGRAM "\"]]", key.data);
    rf_buf_char(&body, '\0');
    json_t *many = ask("getMultipleAccounts", body.data);
    json_t *first = json_array_get(json_object_get(many, "value"), 0);
    assert_int_equal((uint64_t)json_number_value(json_object_get(first, "lamports")), 1000002);
    assert_true(json_is_null(json_array_get(json_object_get(many, "value"), 1)));
    json_decref(many);
    rf_buf_reset(&body, 0);
    rf_buf_printf(&body, "[%s,{\"minContextSlot\":1,\"dataSlice\":{\"offset\":8,\"length\":1}}]",
                  key.data);
    rf_buf_char(&body, '\0');
    json_t *one = ask("getAccountInfo", body.data);
    json_t *data = json_object_get(json_object_get(one, "value"), "data");
    assert_string_equal(json_string_value(json_array_get(data, 0)), "Ag==");
    json_decref(one);
    assert_non_null(strstr(post("{\"id\":1,\"method\":\"getProgramAccounts\",\"params\":[\"" PROGRAM
                                "\",{\"minContextSlot\":99999999}]}"),
                           "-32016"));
    json_t *other = ask("getProgramAccounts", "[\"11111111111111111111111111111111\"]");
    assert_int_equal(json_array_size(other), 0);
    json_decref(other);
    json_t *name = ask("sim_program", "[]");
    assert_string_equal(json_string_value(name), PROGRAM);
    json_decref(name);
    rf_buf_fini(&key);
    rf_buf_fini(&body);
}

/* Counts rows, and keeps the memory of none. */
struct rows {
    uint64_t bytes, n;
    char tail[64], head[64];
};

static size_t count_rows(char *data, size_t size, size_t n, void *arg)
{
    struct rows *r = arg;
    n *= size;
    for (size_t i = 0; i < n && r->bytes + i < sizeof r->head; i++)
        r->head[r->bytes + i] = data[i];
    for (char *p = data; (p = memchr(p, '{', (size_t)(data + n - p))) != NULL; p++)
        r->n++;
    size_t keep = n < 32 ? n : 32;
    memmove(r->tail, r->tail + keep, 32 - keep);
    memcpy(r->tail + 32 - keep, data + n - keep, keep);
    r->bytes += n;
    return n;
}

static void test_many_rows_are_made_as_they_go(void **state)
{
    (void)state;
    enum { ROWS = 200000 };
    struct rows r = {0};
    script("program 200000");
    curl_easy_setopt(curl, CURLOPT_URL, rf_node_url(node));
    curl_easy_setopt(curl, CURLOPT_POSTFIELDS,
                     "{\"jsonrpc\":\"2.0\",\"id\":77,\"method\":\"getProgramAccounts\",\"params\":["
                     "\"" PROGRAM "\",{\"encoding\":\"base64\"}]}");
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, count_rows);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, &r);
    assert_int_equal(curl_easy_perform(curl), CURLE_OK);
    assert_int_equal(r.n, 1 + 2 * ROWS); /* the answer, each row and each account */
    assert_true(r.bytes > (uint64_t)ROWS * 400);
    assert_memory_equal(r.head, "{\"jsonrpc\":\"2.0\",\"id\":77,\"result\":[{\"account\":", 45);
    assert_memory_equal(r.tail + 32 - 4, "\"}]}", 4);
    /* The connection is as good as before; a batch may not ask for that much. */
    assert_non_null(
        strstr(post("[{\"id\":1,\"method\":\"getProgramAccounts\",\"params\":[\"" PROGRAM "\"]}]"),
               "not for a batch"));
    assert_int_equal(counters().connections, 1);
    script("program 200000\nfault reset after=300000");
    r = (struct rows){0};
    curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)-1);
    curl_easy_setopt(curl, CURLOPT_POSTFIELDS,
                     "{\"jsonrpc\":\"2.0\",\"id\":77,\"method\":\"getProgramAccounts\",\"params\":["
                     "\"" PROGRAM "\"]}");
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, count_rows);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, &r);
    assert_int_not_equal(curl_easy_perform(curl), CURLE_OK);
    assert_true(r.bytes <= 300000);
}

static void test_a_hundred_thousand_in_a_burst(void **state)
{
    (void)state;
    enum { BURST = 100000 };
    struct wsc_frame f;
    uint64_t notes = 0;
    open_ws();
    script("program 5000 writes=1000000 from=300ms to=400ms");
    wsc_say(&w, "{\"id\":3,\"method\":\"programSubscribe\",\"params\":[\"" PROGRAM "\"]}");
    while (notes < BURST) {
        assert_int_equal(wsc_frame(&w, &f), 0);
        notes += memmem(f.data, f.len, "programNotification", 19) != NULL;
    }
    assert_true(wsc_silent(&w, 20));
    assert_int_equal(counters().ws_notes, BURST);
    assert_int_equal(counters().ws_lagged, 0);
}

#define SUBS_TEST(f) cmocka_unit_test_setup_teardown(f, setup_subs, teardown_subs)

int main(void)
{
    const struct CMUnitTest tests[] = {
        SUBS_TEST(test_heads_link_through_reorganisations),
        SUBS_TEST(test_logs_come_to_what_get_logs_says),
        SUBS_TEST(test_pending_transactions_are_in_the_next_block),
        SUBS_TEST(test_subscriptions_end_and_are_limited),
        SUBS_TEST(test_program_tells_every_write_in_the_order_of_slots),
        SUBS_TEST(test_program_over_http_agrees),
        SUBS_TEST(test_many_rows_are_made_as_they_go),
        SUBS_TEST(test_a_hundred_thousand_in_a_burst),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
