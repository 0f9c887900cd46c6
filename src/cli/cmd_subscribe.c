/* cmd_subscribe.c - `rpcfan subscribe METHOD [PARAM...]`: notifications as lines on stdout.
 *
 * Happy path: lines go out as they come, until --count, --for or an interrupt ends it.
 * Failure modes: the node refuses for good: its error object on stderr, status 1. stdout is closed:
 * status 3. Its reader is slow: the subscription's queue fills, and --overflow says what becomes of
 * the news; what is dropped is told. Connections that end are made again by the library; gaps are
 * told. */
#include <stdio.h>
#include <string.h>

#include "cli/commands.h"
#include "cli/follow.h"
#include "cli/help.h"
#include "cli/options.h"
#include "cli/params.h"
#include "sink/ndjson.h"

#define NOTES_AT_ONCE 256

enum {
    OPT_QUEUE = 1,
    OPT_QUEUE_BYTES,
    OPT_OVERFLOW,
    OPT_COUNT,
    OPT_FOR,
    OPT_COPIES,
    OPT_EVENTS,
    OPT_HELP
};

const struct rf_arg_spec rf_subscribe_spec[] = {
    {OPT_QUEUE, 0, "queue", "N"},
    {OPT_QUEUE_BYTES, 0, "queue-bytes", "SIZE"},
    {OPT_OVERFLOW, 0, "overflow", "latest|block|drop-oldest|drop-newest"},
    {OPT_COUNT, 0, "count", "N"},
    {OPT_FOR, 0, "for", "DURATION"},
    {OPT_COPIES, 0, "copies", "1|2"},
    {OPT_EVENTS, 0, "events", NULL},
    {OPT_HELP, 'h', "help", NULL},
};
const size_t rf_subscribe_spec_n = RF_COUNT(rf_subscribe_spec);

static const char help[] =
    "Usage: rpcfan [global options] subscribe [options] METHOD [PARAM...]\n"
    "\n"
    "Subscribes at a node's WebSocket and writes each notification's result, a line\n"
    "of JSON each, on stdout. Connections that end are made again.\n"
    "\n"
    "  rpcfan subscribe -u URL slotSubscribe\n"
    "  rpcfan subscribe -u URL accountSubscribe KEY \\\n"
    "      '{\"encoding\":\"base64\"}' | jq .context.slot\n"
    "  rpcfan subscribe -u URL --count 10 eth_subscribe newHeads\n"
    "\n"
    "The node is asked at --ws-url, or at -u with ws in the place of http. Each PARAM\n"
    "is JSON where it parses as JSON, else a string, as with 'rpcfan call'.\n"
    "\n"
    "      --events            every note as an object with \"note\": data (with slot\n"
    "                          and result), up, gap, filled, dropped, end; without,\n"
    "                          gaps and drops are told on stderr\n"
    "      --count N           end after N notifications\n"
    "      --for DURATION      end after this time, such as 30s\n"
    "      --copies 2          subscribe at two endpoints; equal notifications are told\n"
    "                          once\n"
    "      --queue N           notifications that wait for stdout; default 65536\n"
    "      --queue-bytes SIZE  what they may hold; default 64MiB\n"
    "      --overflow POLICY   of what does not fit: latest (the newest of an account\n"
    "                          replaces the older one, else the oldest goes), block\n"
    "                          (the node waits, and may hang up), drop-oldest,\n"
    "                          drop-newest; default latest\n"
    "  -h, --help              this text\n"
    "\n"
    "Exit status: 0 ended by --count or --for; 1 the node refused; 2 usage or\n"
    "configuration; 3 output failed; 130 interrupted.\n";

struct options {
    struct rf_follow_queue queue;
    uint64_t count, for_ns, copies; /* 0: not given */
    bool events, help;
    const char *method;
    struct rf_buf params;
};

/* A command under way. */
struct subscription {
    struct rf_follow follow;
    const struct options *o;
    rpcfan_sub_t *sub;
    uint64_t told; /* notifications written */
    bool ended;
};

/* @return NULL, or what is wrong. */
static const char *take_option(struct options *o, const struct rf_args *args, int key)
{
    const char *value = args->value;
    switch (key) {
    case OPT_QUEUE:
    case OPT_QUEUE_BYTES:
    case OPT_OVERFLOW:
        return rf_follow_queue_take(&o->queue, args->spec->name, value);
    case OPT_COUNT:
        return rf_args_number(value, 1, UINT64_MAX, &o->count)
                   ? NULL
                   : "--count: give a whole number from 1";
    case OPT_FOR:
        return rf_follow_for_take(value, &o->for_ns);
    case OPT_COPIES:
        return rf_args_number(value, 1, 2, &o->copies) ? NULL : "--copies: it is 1 or 2";
    case OPT_EVENTS:
        o->events = true;
        return NULL;
    case OPT_HELP:
        o->help = true;
        return NULL;
    default: /* RF_ARG_WORD */
        if (o->method != NULL)
            rf_params_add(&o->params, value);
        else
            o->method = value;
        return NULL;
    }
}

static const char *name_of(const char *endpoint)
{
    return endpoint != NULL ? endpoint : "?";
}

/* Without --events: what is no notification is told on stderr. */
static void tell(struct subscription *s, const struct rpcfan_note *note)
{
    switch (note->kind) {
    case RPCFAN_NOTE_UP:
        if (s->follow.cli->log_level >= RPCFAN_LOG_INFO)
            rf_cli_say("subscribe: subscribed at %s", name_of(note->endpoint));
        break;
    case RPCFAN_NOTE_GAP:
        rf_cli_say("subscribe: gap: %s (endpoint %s)", note->why != NULL ? note->why : "unknown",
                   name_of(note->endpoint));
        break;
    case RPCFAN_NOTE_FILLED:
        rf_cli_say("subscribe: the gap is filled");
        break;
    case RPCFAN_NOTE_DROPPED:
        rf_cli_say("subscribe: %llu notifications were dropped: stdout is too slow; see --queue "
                   "and --overflow",
                   (unsigned long long)note->n);
        break;
    default:
        break;
    }
}

static void take_note(struct subscription *s, const struct rpcfan_note *note)
{
    struct rf_buf *out = &s->follow.out.buf;
    bool data = note->kind == RPCFAN_NOTE_DATA;
    if (data && s->o->count > 0 && s->told == s->o->count)
        return;
    if (s->o->events)
        rf_ndjson_note(out, note);
    else if (data)
        rf_ndjson_result(out, note->json);
    else
        tell(s, note);
    s->told += data;
    if (note->kind != RPCFAN_NOTE_END)
        return;
    s->ended = true;
    if (!s->o->events && note->json.len > 0) {
        rf_stderr_write(note->json.data, note->json.len);
        rf_stderr_write("\n", 1);
    }
    rf_follow_flush(&s->follow);
    rf_follow_fail(&s->follow, RF_EXIT_CALLS, "%s was refused", s->o->method);
}

/* Take notes while stdout has room for them. @return whether there may be more. */
static bool take(struct subscription *s)
{
    struct rpcfan_note notes[NOTES_AT_ONCE];
    size_t n = rpcfan_sub_poll(s->sub, notes, NOTES_AT_ONCE);
    for (size_t i = 0; i < n; i++) {
        if (!s->ended)
            take_note(s, &notes[i]);
        rpcfan_note_release(&notes[i]);
    }
    return n == NOTES_AT_ONCE;
}

static bool over(const struct subscription *s)
{
    return s->ended || rf_follow_over(&s->follow) || (s->o->count > 0 && s->told >= s->o->count);
}

static void follow(struct subscription *s)
{
    struct rf_follow *f = &s->follow;
    while (!over(s)) {
        bool room = rf_follow_room(f);
        bool more = room && take(s);
        if (!over(s))
            rf_follow_wait(f, room ? rpcfan_sub_fd(s->sub) : -1, more ? 0 : RF_NEVER);
    }
    rf_follow_flush(f);
}

/* Methods tell the chain where --family does not. */
static enum rpcfan_family family_of(const char *method)
{
    size_t n = strlen(method), tail = strlen("Subscribe");
    if (strcmp(method, "eth_subscribe") == 0)
        return RPCFAN_EVM;
    return n > tail && strcmp(method + n - tail, "Subscribe") == 0 ? RPCFAN_SOLANA : RPCFAN_GENERIC;
}

static int run(const struct rf_cli *cli, const struct options *o)
{
    struct subscription s = {.follow = {.name = "subscribe", .signal_fd = -1}, .o = o};
    struct rpcfan_sub_options so;
    struct rpcfan_error err = {0};
    rpcfan_sub_options_init(&so);
    so.network = cli->network;
    so.method = o->method;
    so.params = o->params.len > 1 ? o->params.data : NULL; /* its NUL */
    if (o->queue.has_overflow)
        so.overflow = o->queue.overflow;
    if (o->queue.items > 0)
        so.queue_notes = o->queue.items;
    if (o->queue.bytes > 0)
        so.queue_bytes = o->queue.bytes;
    if (o->copies > 0)
        so.copies = (uint32_t)o->copies;
    if (rf_follow_start(&s.follow, cli, family_of(o->method), o->for_ns) == RF_EXIT_OK) {
        enum rpcfan_err rc = rpcfan_subscribe(s.follow.client, &so, &s.sub, &err);
        if (rc != RPCFAN_OK)
            rf_follow_fail_with(&s.follow, rc, &err);
        else
            follow(&s);
    }
    rpcfan_unsubscribe(s.sub);
    return rf_follow_end(&s.follow, RF_EXIT_OK);
}

int cmd_subscribe(struct rf_cli *cli, int argc, char **argv)
{
    struct options o = {0};
    struct rf_args args = {.argc = argc, .argv = argv, .at = 1};
    const char *problem = NULL;
    int key, status;
    while (problem == NULL &&
           (key = rf_args_next(&args, rf_subscribe_spec, rf_subscribe_spec_n)) != RF_ARG_END)
        problem = key == RF_ARG_BAD ? args.problem : take_option(&o, &args, key);
    rf_params_end(&o.params);
    rf_buf_char(&o.params, '\0');
    if (problem == NULL && !o.help && (o.method == NULL || *o.method == '\0'))
        problem = "no method; name one, such as slotSubscribe or eth_subscribe";
    else if (problem == NULL && !o.help && cli->options == NULL)
        problem = "no endpoint: give -u URL, or -c FILE with a configuration";
    if (problem != NULL) {
        status = rf_help_misuse("subscribe", problem);
    } else if (o.help) {
        status = rf_help_print(help, 1);
    } else if (o.params.failed) {
        rf_cli_say("subscribe: out of memory");
        status = RF_EXIT_IO;
    } else {
        status = run(cli, &o);
    }
    rf_buf_fini(&o.params);
    return status;
}
