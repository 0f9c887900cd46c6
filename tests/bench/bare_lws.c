/* bare_lws.c - the floor that WebSocket subscriptions are measured against: a libwebsockets client
 * on libuv that counts messages and nothing else, and a child process that sends them.
 *
 *   bare_lws [N] [LEN]           N messages (default 500,000) of LEN bytes (default 500)
 *   bare_lws N PORT TEXT           N messages of the node at that port, to which TEXT is sent first
 *
 * Prints CPU time a message (user and system, the client's process) and messages a second. The
 * buffers are those of the library. Stands alone: no code of the library is in it. */
#include <arpa/inet.h>
#include <libwebsockets.h>
#include <openssl/evp.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include <uv.h>

#define BUFFER (32 * 1024)
#define GUID "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
#define BLOCK 64 /* messages written at a time */

static unsigned long want, got;
static const char *ask; /* to be sent first; NULL: nothing */
static uint64_t begun, took;
static double cpu_before, cpu_after;
static uv_loop_t loop;

static void die(const char *what)
{
    fprintf(stderr, "bare_lws: %s\n", what);
    exit(1);
}

static double cpu_us(void)
{
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1e6 +
           (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec);
}

static void write_all(int fd, const char *data, size_t n)
{
    for (size_t at = 0; at < n;) {
        ssize_t w = send(fd, data + at, n - at, MSG_NOSIGNAL);
        if (w <= 0)
            exit(1);
        at += (size_t)w;
    }
}

static void accept_upgrade(int fd)
{
    char text[4096], answer[64];
    unsigned char hash[SHA_DIGEST_LENGTH];
    ssize_t n = recv(fd, text, sizeof text - 1, 0);
    text[n > 0 ? n : 0] = '\0';
    const char *key = strcasestr(text, "\r\nSec-WebSocket-Key: ");
    if (key == NULL)
        exit(1);
    char joined[128];
    key += sizeof "\r\nSec-WebSocket-Key: " - 1;
    int len = snprintf(joined, sizeof joined, "%.*s%s", (int)strcspn(key, "\r"), key, GUID);
    SHA1((unsigned char *)joined, (size_t)len, hash);
    EVP_EncodeBlock((unsigned char *)answer, hash, sizeof hash);
    len = snprintf(text, sizeof text,
                   "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                   "Connection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n",
                   answer);
    write_all(fd, text, (size_t)len);
}

static void serve(int listener, unsigned long n, size_t len)
{
    int fd = accept(listener, NULL, NULL);
    size_t each = len + 4;
    char *block = malloc(BLOCK * each);
    if (fd < 0 || block == NULL)
        exit(1);
    for (size_t i = 0; i < BLOCK; i++) {
        char *at = block + i * each;
        at[0] = (char)0x81;
        at[1] = 126;
        at[2] = (char)(len >> 8);
        at[3] = (char)len;
        memset(at + 4, 'n', len);
    }
    accept_upgrade(fd);
    for (; n >= BLOCK; n -= BLOCK)
        write_all(fd, block, BLOCK * each);
    write_all(fd, block, n * each);
    char byte;
    while (recv(fd, &byte, 1, 0) > 0)
        ;
    exit(0);
}

static void send_text(struct lws *wsi)
{
    unsigned char out[LWS_PRE + 1000];
    size_t n = ask != NULL ? strnlen(ask, 1000) : 0;
    if (n == 0)
        return;
    memcpy(out + LWS_PRE, ask, n);
    lws_write(wsi, out + LWS_PRE, n, LWS_WRITE_TEXT);
    ask = NULL;
}

static int on_event(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in,
                    size_t len)
{
    (void)user;
    (void)in;
    (void)len;
    switch (reason) {
    case LWS_CALLBACK_CLIENT_ESTABLISHED:
        if (ask != NULL)
            lws_callback_on_writable(wsi);
        begun = uv_hrtime();
        cpu_before = cpu_us();
        break;
    case LWS_CALLBACK_CLIENT_RECEIVE:
        got += lws_is_final_fragment(wsi) != 0;
        if (got < want)
            break;
        cpu_after = cpu_us();
        took = uv_hrtime() - begun;
        return -1;
    case LWS_CALLBACK_CLIENT_WRITEABLE:
        send_text(wsi);
        break;
    case LWS_CALLBACK_CLIENT_CONNECTION_ERROR:
        die("could not connect");
        break;
    case LWS_CALLBACK_CLIENT_CLOSED:
        uv_stop(&loop);
        break;
    default:
        break;
    }
    return 0;
}

static const struct lws_protocols protocols[] = {
    {.name = "bare", .callback = on_event, .rx_buffer_size = BUFFER}, {.name = NULL}};

static void receive(unsigned port)
{
    void *loops[] = {&loop};
    struct lws_context_creation_info info = {.port = CONTEXT_PORT_NO_LISTEN,
                                             .options = LWS_SERVER_OPTION_LIBUV,
                                             .foreign_loops = loops,
                                             .protocols = protocols,
                                             .pt_serv_buf_size = BUFFER,
                                             .gid = -1,
                                             .uid = -1};
    lws_set_log_level(LLL_ERR, NULL);
    uv_loop_init(&loop);
    struct lws_context *ctx = lws_create_context(&info);
    if (ctx == NULL)
        die("no context");
    struct lws_client_connect_info to = {.context = ctx,
                                         .address = "127.0.0.1",
                                         .port = (int)port,
                                         .path = "/",
                                         .host = "127.0.0.1",
                                         .local_protocol_name = "bare",
                                         .ietf_version_or_minus_one = -1};
    if (lws_client_connect_via_info(&to) == NULL)
        die("could not connect");
    uv_run(&loop, UV_RUN_DEFAULT);
}

static void tell(void)
{
    printf("cpu_us_per_call=%.3f calls_per_s=%.0f\n", (cpu_after - cpu_before) / (double)want,
           (double)want / ((double)took / 1e9));
}

int main(int argc, char **argv)
{
    want = argc > 1 ? strtoul(argv[1], NULL, 10) : 500000;
    if (argc == 4) {
        ask = argv[3];
        receive((unsigned)strtoul(argv[2], NULL, 10));
        tell();
        return 0;
    }
    size_t len = argc > 2 ? strtoul(argv[2], NULL, 10) : 500;
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof a;
    if (want == 0 || len < 126 || len > 65535)
        die("N has to be at least 1, LEN 126 to 65535");
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (listener < 0 || bind(listener, (struct sockaddr *)&a, sizeof a) != 0 ||
        listen(listener, 1) != 0 || getsockname(listener, (struct sockaddr *)&a, &size) != 0)
        die("could not listen");
    pid_t child = fork();
    if (child < 0)
        die("could not fork");
    if (child == 0)
        serve(listener, want, len);
    close(listener);
    receive(ntohs(a.sin_port));
    tell();
    waitpid(child, NULL, WNOHANG);
    return 0;
}
