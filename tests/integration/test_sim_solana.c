/* test_sim_solana.c - the virtual validator over real sockets: what a client is told by the fake
 * node comes to what the validator's bank tree says, faults of the script stand in front of it, and
 * a running node can be steered and asked. */
#include "sim_client.h"

#include <uv.h>

#include "json/scan.h"
#include "sim/node_methods.h"
#include "sim/validator.h"
#include "wsclient.h"

#define KNOBS "keys=60 writes=20 slot-ms=20 finalize-lag=4 "
#define KEYS 200

static struct wsc w;
static char program[64];

static int setup_solana(void **state)
{
    struct rf_node_options opts = {.solana = true, .knobs = KNOBS, .script = "seed 5"};
    struct rpcfan_error err = {0};
    (void)state;
    w = (struct wsc){.fd = -1};
    curl = curl_easy_init();
    if (rf_node_start_thread(&opts, &node, &err) != RPCFAN_OK)
        fail_msg("%s", err.text);
    sscanf(strstr(post("{\"id\":1,\"method\":\"sim_program\"}"), "\"result\":") + 10, "%63[^\"]",
           program);
    return 0;
}

static int teardown_solana(void **state)
{
    wsc_close(&w);
    return teardown_node(state);
}

static void open_ws(void)
{
    assert_true(wsc_open(&w, rf_node_port(node), "/", ""));
}

/* The value at a path of keys in a JSON text; len 0: there is none. */
static struct rpcfan_slice at(const char *text, const char *a, const char *b, const char *c)
{
    struct rpcfan_slice s = {text, strlen(text)};
    s = rf_node_field(s, a);
    s = b == NULL || s.len == 0 ? s : rf_node_field(s, b);
    return c == NULL || s.len == 0 ? s : rf_node_field(s, c);
}

static uint64_t number(struct rpcfan_slice s)
{
    uint64_t v = 0;
    assert_true(rf_node_number(s, &v));
    return v;
}

/* What the client believes: the latest account object of each address. */
static struct {
    char key[48];
    uint64_t slot, hash;
} mirror[KEYS];
static unsigned n_mirror;

static void believe(const char *text)
{
    struct rpcfan_slice result = at(text, "params", "result", NULL);
    struct rpcfan_slice value = rf_node_field(result, "value");
    struct rpcfan_slice key = rf_node_field(value, "pubkey");
    uint64_t slot = number(rf_node_field(rf_node_field(result, "context"), "slot"));
    unsigned i = 0;
    while (i < n_mirror && strncmp(mirror[i].key, key.data + 1, key.len - 2) != 0)
        i++;
    assert_true(i < KEYS && key.len - 2 < sizeof mirror[i].key);
    n_mirror = i == n_mirror ? i + 1 : n_mirror;
    memcpy(mirror[i].key, key.data + 1, key.len - 2);
    assert_true(slot >= mirror[i].slot); /* at confirmed, slots of an account never go back */
    mirror[i].slot = slot;
    assert_true(rf_validator_read(rf_node_field(value, "account"), &mirror[i].hash));
}

/* What the oracle found. */
struct verdict {
    uint64_t slot, same, gone, wrong;
};

static void freeze(struct rf_validator *v, uint64_t now_ns, void *arg)
{
    struct verdict *out = arg;
    (void)now_ns;
    assert_int_equal(rf_validator_set(v, "writes=0", NULL), RPCFAN_OK);
    out->slot = rf_validator_banks(v)->tip;
}

static void compare(struct rf_validator *v, uint64_t now_ns, void *arg)
{
    struct verdict *out = arg;
    const struct rf_banks *banks = rf_validator_banks(v);
    const struct rf_bank *bank = rf_banks_at(banks, RPCFAN_CONFIRMED);
    (void)now_ns;
    for (unsigned i = 0; i < n_mirror; i++) {
        uint32_t key = 0;
        while (key < banks->n_keys && strcmp(banks->key[key].text, mirror[i].key) != 0)
            key++;
        assert_true(key < banks->n_keys);
        const struct rf_bank_state *s = rf_banks_state(banks, bank, key);
        struct rpcfan_slice any = {NULL, 0};
        if (s == NULL || !rf_validator_match(v, key, s, 0, any))
            out->gone++; /* closed, or another program's: programSubscribe does not tell */
        else if (s->hash == mirror[i].hash)
            out->same++;
        else
            out->wrong++;
    }
}

static void test_notifications_come_to_the_oracles_state(void **state)
{
    (void)state;
    char text[300];
    struct verdict v = {0};
    memset(mirror, 0, sizeof mirror);
    n_mirror = 0;
    open_ws();
    assert_non_null(strstr(wsc_call(&w, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":"
                                        "\"slotSubscribe\"}"),
                           "\"id\":1"));
    snprintf(text, sizeof text,
             "{\"jsonrpc\":\"2.0\",\"id\":2,\"method\":\"programSubscribe\",\"params\":[\"%s\","
             "{\"encoding\":\"base64\",\"commitment\":\"confirmed\"}]}",
             program);
    wsc_say(&w, text);
    uint64_t notes = 0, slot = 0;
    while (v.slot == 0 || slot < v.slot + 20) {
        const char *note = wsc_text(&w);
        assert_non_null(note);
        if (strstr(note, "\"method\":\"slotNotification\"") != NULL) {
            slot = number(at(note, "params", "result", "slot"));
        } else if (strstr(note, "\"method\":\"programNotification\"") != NULL) {
            believe(note);
            if (++notes == 500)
                rf_node_oracle(node, freeze, &v);
        }
    }
    rf_node_oracle(node, compare, &v);
    assert_int_equal(v.wrong, 0);
    assert_true(v.same >= 30);
    assert_int_equal(v.same + v.gone, n_mirror);
}

static void test_calls_over_http_are_the_validators(void **state)
{
    (void)state;
    char text[300];
    assert_non_null(strstr(post("{\"id\":1,\"method\":\"eth_chainId\"}"), "-32601"));
    assert_non_null(strstr(post("{\"id\":1,\"method\":\"sim_echo\"}"), "\"result\":[]"));
    assert_non_null(strstr(post("{\"id\":1,\"method\":\"getHealth\"}"), "\"ok\""));
    snprintf(text, sizeof text,
             "[{\"id\":1,\"method\":\"getSlot\"},{\"id\":2,\"method\":\"getProgramAccounts\","
             "\"params\":[\"%s\",{\"encoding\":\"base64\",\"withContext\":true}]},"
             "{\"id\":3,\"method\":\"getAccountInfo\",\"params\":[\"no\"]}]",
             program);
    const char *got = post(text);
    assert_int_equal(rf_json_check(got, strlen(got), RF_SCAN_DEPTH, NULL), RPCFAN_OK);
    assert_true(occurrences(got, "\"pubkey\"") > 20);
    assert_int_equal(occurrences(got, "\"error\""), 1);
    script("rate 1/60s method=getSlot\nfault rpc-error method=getHealth code=-7");
    assert_non_null(strstr(post("{\"id\":1,\"method\":\"getSlot\"}"), "\"result\""));
    post("{\"id\":1,\"method\":\"getSlot\"}");
    assert_int_equal(last.status, 429);
    assert_non_null(strstr(post("{\"id\":1,\"method\":\"getHealth\"}"), "-7"));
    script("knobs latency-ms=60");
    post("{\"id\":1,\"method\":\"getSlot\"}");
    assert_true(last.seconds >= 0.06);
}

static void test_faults_of_the_script_stand_in_front(void **state)
{
    (void)state;
    script("fault rpc-error method=rootSubscribe code=-32603 message=full\n"
           "fault ws-close after=6 code=1012");
    open_ws();
    assert_non_null(
        strstr(wsc_call(&w, "{\"id\":9,\"method\":\"rootSubscribe\"}"), "\"message\":\"full\""));
    wsc_say(&w, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"slotSubscribe\"}");
    unsigned n = 0;
    while (wsc_text(&w) != NULL)
        n++;
    assert_int_equal(n, 5);
    assert_int_equal(struck("ws-close"), 1);
    wsc_close(&w);
    script("fault ws-drop method=slotNotification");
    open_ws();
    assert_non_null(wsc_call(&w, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"slotSubscribe\"}"));
    assert_true(wsc_silent(&w, 100));
    assert_true(counters().ws_dropped > 0);
}

static void test_validator_ends_connections(void **state)
{
    (void)state;
    struct wsc_frame f = {0};
    open_ws();
    assert_non_null(strstr(post("{\"id\":1,\"method\":\"sim_knobs\",\"params\":"
                                "[\"close-ws=1000 close-frame=1000\"]}"),
                           "true"));
    while (wsc_frame(&w, &f) == 0 && f.opcode != WSC_CLOSE)
        ;
    assert_int_equal(f.opcode, WSC_CLOSE);
    wsc_close(&w);
    assert_non_null(strstr(post("{\"id\":1,\"method\":\"sim_knobs\",\"params\":[\"colour=1\"]}"),
                           "no such knob"));
    struct rpcfan_error err = {0};
    assert_int_equal(rf_node_set_script(node, "knobs colour=1", &err), RPCFAN_ECONFIG);
    assert_non_null(strstr(err.text, "colour"));
}

static void test_sim_close_ends_all(void **state)
{
    (void)state;
    struct wsc_frame f;
    struct wsc second;
    open_ws();
    assert_true(wsc_open(&second, rf_node_port(node), "/1", ""));
    while (counters().ws_open < 2)
        ;
    assert_non_null(
        strstr(post("{\"id\":1,\"method\":\"sim_close\",\"params\":[1013]}"), "\"result\":2"));
    assert_int_equal(wsc_frame(&w, &f), 0);
    assert_int_equal(f.opcode, WSC_CLOSE);
    assert_int_equal(wsc_frame(&second, &f), 0);
    wsc_close(&w);
    wsc_close(&second);
    open_ws();
    while (counters().ws_open != 1)
        ;
    post("{\"id\":1,\"method\":\"sim_close\"}");
    assert_int_equal(wsc_frame(&w, &f), WSC_RESET);
}

static void test_many_connections_come_and_go(void **state)
{
    (void)state;
    script("fault ws-close in=1ms..30ms how=reset p=0.7\nfault ws-cut p=0.02");
    for (unsigned i = 0; i < 60; i++) {
        open_ws();
        wsc_say(&w, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"slotSubscribe\"}");
        for (unsigned k = 0; k < 3 && wsc_text(&w) != NULL; k++)
            ;
        wsc_close(&w);
    }
    assert_int_equal(counters().ws_opened, 60);
    while (counters().ws_open > 0)
        ;
}

static void test_wrong_knobs_at_the_start(void **state)
{
    (void)state;
    static const struct rf_node_options wrong[] = {
        {.solana = true, .knobs = "colour=3"},
        {.script = "solana\nknobs colour=3"},
        {.script = "solana\nprogram 5"},
    };
    for (size_t i = 0; i < RF_COUNT(wrong); i++) {
        struct rpcfan_error err = {0};
        struct rf_node *other = NULL;
        assert_int_equal(rf_node_start_thread(&wrong[i], &other, &err), RPCFAN_ECONFIG);
        assert_null(other);
        assert_true(err.text[0] != '\0');
    }
}

#define SOLANA_TEST(f) cmocka_unit_test_setup_teardown(f, setup_solana, teardown_solana)

int main(void)
{
    const struct CMUnitTest tests[] = {
        SOLANA_TEST(test_notifications_come_to_the_oracles_state),
        SOLANA_TEST(test_calls_over_http_are_the_validators),
        SOLANA_TEST(test_faults_of_the_script_stand_in_front),
        SOLANA_TEST(test_validator_ends_connections),
        SOLANA_TEST(test_sim_close_ends_all),
        SOLANA_TEST(test_many_connections_come_and_go),
        cmocka_unit_test(test_wrong_knobs_at_the_start),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
