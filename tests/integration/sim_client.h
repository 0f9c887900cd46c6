/* sim_client.h - what the fake node's tests talk with: one libcurl handle, and raw sockets.
 * Included by test_sim*.c only. */
#ifndef SIM_CLIENT_H
#define SIM_CLIENT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <curl/curl.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/buf.h"
#include "sim/node.h"

/* What came back. The buffers are NUL-terminated and live until the next post(). */
struct reply {
    CURLcode rc;
    long status, connects;
    double seconds;
    struct rf_buf body, head;
};

static struct rf_node *node;
static CURL *curl;
static struct reply last;

static inline size_t take_bytes(char *data, size_t size, size_t n, void *arg)
{
    rf_buf_add(arg, data, size * n);
    return size * n;
}

static inline void start_node(const char *script)
{
    struct rpcfan_error err = {0};
    struct rf_node_options opts = {.script = script};
    if (rf_node_start_thread(&opts, &node, &err) != RPCFAN_OK)
        fail_msg("%s", err.text);
}

static inline int setup_node(void **state)
{
    (void)state;
    start_node(NULL);
    curl = curl_easy_init();
    return curl == NULL;
}

static inline int teardown_node(void **state)
{
    (void)state;
    curl_easy_cleanup(curl);
    rf_buf_fini(&last.body);
    rf_buf_fini(&last.head);
    rf_node_stop_thread(node);
    node = NULL;
    return 0;
}

static inline void script(const char *text)
{
    struct rpcfan_error err = {0};
    if (rf_node_set_script(node, text, &err) != RPCFAN_OK)
        fail_msg("%s: %s", text, err.text);
}

/* POST a body; the connection is kept. @return the response's body. */
static inline const char *post(const char *body)
{
    rf_buf_reset(&last.body, 0);
    rf_buf_reset(&last.head, 0);
    curl_easy_setopt(curl, CURLOPT_URL, rf_node_url(node));
    curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)strlen(body));
    curl_easy_setopt(curl, CURLOPT_POSTFIELDS, body);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take_bytes);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, &last.body);
    curl_easy_setopt(curl, CURLOPT_HEADERDATA, &last.head);
    curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, take_bytes);
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    last.rc = curl_easy_perform(curl);
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &last.status);
    curl_easy_getinfo(curl, CURLINFO_NUM_CONNECTS, &last.connects);
    curl_easy_getinfo(curl, CURLINFO_TOTAL_TIME, &last.seconds);
    rf_buf_char(&last.body, '\0');
    rf_buf_char(&last.head, '\0');
    return last.body.data == NULL ? "" : last.body.data;
}

/* post(), which must succeed with 200 and exactly this body. */
static inline void expect(const char *body, const char *want)
{
    const char *got = post(body);
    assert_int_equal(last.rc, CURLE_OK);
    assert_string_equal(got, want);
    assert_int_equal(last.status, 200);
}

static inline struct rf_node_counters counters(void)
{
    struct rf_node_counters n;
    rf_node_counters(node, &n);
    return n;
}

static inline uint64_t struck(const char *fault)
{
    return counters().fault[rf_node_fault_kind(fault)];
}

static inline int raw_connect(void)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(rf_node_port(node))};
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    if (connect(fd, (struct sockaddr *)&a, sizeof a) != 0) {
        close(fd);
        return -1;
    }
    return fd;
}

static inline void raw_send(int fd, const char *text)
{
    size_t len = strlen(text);
    assert_int_equal(send(fd, text, len, MSG_NOSIGNAL), (ssize_t)len);
}

/* Read until `stop` occurs in what was read, the peer closes, or it fails; 10 s at most.
 * @return 0 found, 1 closed, or -errno. */
static inline int raw_read(int fd, struct rf_buf *out, const char *stop)
{
    for (;;) {
        struct pollfd p = {.fd = fd, .events = POLLIN};
        if (poll(&p, 1, 10000) != 1)
            return -ETIMEDOUT;
        char block[65536];
        ssize_t n = recv(fd, block, sizeof block, 0);
        if (n <= 0)
            return n == 0 ? 1 : -errno;
        rf_buf_add(out, block, (size_t)n);
        rf_buf_char(out, '\0');
        out->len--;
        if (stop != NULL && strstr(out->data, stop) != NULL)
            return 0;
    }
}

/* How often a text occurs. */
static inline unsigned occurrences(const char *text, const char *what)
{
    unsigned n = 0;
    for (; (text = strstr(text, what)) != NULL; text += strlen(what))
        n++;
    return n;
}

#endif
