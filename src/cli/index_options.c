/* index_options.c - the options of `rpcfan index`. */
#include "cli/index_options.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/base58.h"
#include "base/keccak.h"
#include "base/mem.h"
#include "base/pubkey.h"
#include "json/rpc.h"

/* What getProgramAccounts takes. */
#define FILTERS_MAX 4
/* A line of --accounts; a key has 44 letters at most. */
#define LINE_MAX_BYTES 4096
#define KEYS_MAX 10000000

enum {
    OPT_PROGRAM = 1,
    OPT_ACCOUNTS,
    OPT_FILTER,
    OPT_COMMITMENT,
    OPT_ENCODING,
    OPT_DB,
    OPT_HISTORY,
    OPT_ONCE,
    OPT_VERIFY,
    OPT_EMIT,
    OPT_QUEUE,
    OPT_QUEUE_BYTES,
    OPT_OVERFLOW,
    OPT_SWEEP,
    OPT_AUDIT,
    OPT_COPIES,
    OPT_FOR,
    OPT_SUMMARY,
    OPT_HELP
};

const struct rf_arg_spec rf_index_spec[] = {
    {OPT_PROGRAM, 0, "program", "KEY"},
    {OPT_ACCOUNTS, 0, "accounts", "FILE"},
    {OPT_FILTER, 0, "filter", "FILTER"},
    {OPT_COMMITMENT, 0, "commitment", "confirmed|processed|finalized"},
    {OPT_ENCODING, 0, "encoding", "base64|base64+zstd"},
    {OPT_DB, 0, "db", "FILE"},
    {OPT_HISTORY, 0, "history", NULL},
    {OPT_ONCE, 0, "once", NULL},
    {OPT_VERIFY, 0, "verify", NULL},
    {OPT_EMIT, 0, "emit", NULL},
    {OPT_QUEUE, 0, "queue", "N"},
    {OPT_QUEUE_BYTES, 0, "queue-bytes", "SIZE"},
    {OPT_OVERFLOW, 0, "overflow", "latest|block|drop-oldest|drop-newest"},
    {OPT_SWEEP, 0, "sweep", "DURATION"},
    {OPT_AUDIT, 0, "audit", "DURATION"},
    {OPT_COPIES, 0, "copies", "1|2"},
    {OPT_FOR, 0, "for", "DURATION"},
    {OPT_SUMMARY, 0, "summary", "=text|json"},
    {OPT_HELP, 'h', "help", NULL},
};
const size_t rf_index_spec_n = RF_COUNT(rf_index_spec);

static const char *const commitments[] = {"confirmed", "processed", "finalized", NULL};
static const char *const encodings[] = {"base64", "base64+zstd", NULL};

static bool is_key(const char *text)
{
    uint8_t key[RF_PUBKEY_BYTES];
    return rf_pubkey_decode(text, strlen(text), key);
}

/* A filter as getProgramAccounts takes it, or size=N, or memcmp=OFFSET:BASE58. */
static const char *take_filter(struct rf_index_options *o, const char *text)
{
    static const char wrong[] =
        "--filter: give size=165, memcmp=OFFSET:BASE58, or a filter as JSON, such as "
        "'{\"memcmp\":{\"offset\":32,\"bytes\":\"...\"}}'";
    uint64_t v;
    uint8_t bytes[RF_BASE58_BYTES_MAX];
    char digits[24];
    size_t n;
    if (o->n_filters == FILTERS_MAX)
        return "--filter: nodes take 4 at most";
    rf_buf_char(&o->filters, o->n_filters == 0 ? '[' : ',');
    o->n_filters++;
    if (strncmp(text, "size=", 5) == 0) {
        rf_buf_printf(&o->filters, "{\"dataSize\":%s}", text + 5);
        return rf_args_number(text + 5, 0, UINT32_MAX, &v) ? NULL : wrong;
    }
    if (strncmp(text, "memcmp=", 7) != 0) {
        rf_buf_str(&o->filters, text);
        bool object = text[strspn(text, " \t\r\n")] == '{';
        return object && rf_json_check(text, strlen(text), RF_SCAN_DEPTH, NULL) == RPCFAN_OK
                   ? NULL
                   : wrong;
    }
    const char *colon = strchr(text, ':');
    if (colon == NULL || (size_t)(colon - text - 7) >= sizeof digits)
        return wrong;
    snprintf(digits, sizeof digits, "%.*s", (int)(colon - text - 7), text + 7);
    if (!rf_args_number(digits, 0, UINT32_MAX, &v) ||
        !rf_base58_decode(colon + 1, strlen(colon + 1), bytes, sizeof bytes, &n) || n == 0)
        return wrong;
    rf_buf_printf(&o->filters,
                  "{\"memcmp\":{\"offset\":%s,\"bytes\":\"%s\",\"encoding\":\"base58\"}}", digits,
                  colon + 1);
    return NULL;
}

/* 0 is allowed and means never. */
static const char *take_period(const char *value, uint64_t *ns, bool *given, const char *problem)
{
    *given = true;
    if (strcmp(value, "0") == 0 || strcmp(value, "never") == 0) {
        *ns = 0;
        return NULL;
    }
    return rf_parse_duration(value, ns) == RPCFAN_OK ? NULL : problem;
}

static const char *take_summary(struct rf_index_options *o, const char *value)
{
    bool json = value != NULL && strcmp(value, "json") == 0;
    o->summary = json ? RF_INDEX_JSON : RF_INDEX_TEXT;
    return value == NULL || json || strcmp(value, "text") == 0
               ? NULL
               : "--summary: it is 'text' or 'json'";
}

static const char *take_flag(struct rf_index_options *o, int key)
{
    o->history = o->history || key == OPT_HISTORY;
    o->once = o->once || key == OPT_ONCE;
    o->verify = o->verify || key == OPT_VERIFY;
    o->emit = o->emit || key == OPT_EMIT;
    o->help = o->help || key == OPT_HELP;
    return NULL;
}

const char *rf_index_options_take(struct rf_index_options *o, const struct rf_args *args, int key)
{
    const char *value = args->value;
    switch (key) {
    case OPT_PROGRAM:
        o->program = value;
        return is_key(value) ? NULL : "--program: it is no key: 32 bytes in base58";
    case OPT_ACCOUNTS:
        o->accounts = value;
        return NULL;
    case OPT_FILTER:
        return take_filter(o, value);
    case OPT_COMMITMENT:
        o->commitment = rf_args_word(value, commitments);
        return o->commitment >= 0 ? NULL
                                  : "--commitment: it is one of confirmed, processed, finalized";
    case OPT_ENCODING:
        o->encoding = rf_args_word(value, encodings);
        return o->encoding >= 0 ? NULL : "--encoding: it is base64 or base64+zstd";
    case OPT_DB:
        o->db = value;
        return *value != '\0' ? NULL : "--db is empty; name a file";
    case OPT_QUEUE:
    case OPT_QUEUE_BYTES:
    case OPT_OVERFLOW:
        return rf_follow_queue_take(&o->queue, args->spec->name, value);
    case OPT_SWEEP:
        return take_period(value, &o->sweep_ns, &o->has_sweep,
                           "--sweep: give a number with a unit, such as 10m, or 0 for never");
    case OPT_AUDIT:
        return take_period(value, &o->audit_ns, &o->has_audit,
                           "--audit: give a number with a unit, such as 10s, or 0 for never");
    case OPT_COPIES:
        return rf_args_number(value, 1, 2, &o->copies) ? NULL : "--copies: it is 1 or 2";
    case OPT_FOR:
        return rf_follow_for_take(value, &o->for_ns);
    case OPT_SUMMARY:
        return take_summary(o, value);
    case RF_ARG_WORD:
        return "no words are taken: give --program KEY, or --accounts FILE";
    default:
        return take_flag(o, key);
    }
}

const char *rf_index_options_check(const struct rf_index_options *o)
{
    if ((o->program == NULL) == (o->accounts == NULL))
        return "give --program KEY for all accounts of a program, or --accounts FILE for some";
    if (o->n_filters > 0 && o->program == NULL)
        return "--filter goes with --program";
    if (o->db == NULL && o->verify)
        return "--verify compares a database: give --db FILE";
    if (o->db == NULL && o->history)
        return "--history is kept in a database: give --db FILE";
    if (o->db == NULL && !o->emit)
        return "give --db FILE to keep the accounts, or --emit for lines on stdout";
    if (o->verify && (o->emit || o->history || o->once))
        return "--verify only compares: it goes without --emit, --history and --once";
    return NULL;
}

static enum rpcfan_err add_key(struct rf_index_options *o, const char *text, size_t n, size_t line,
                               size_t *cap, struct rpcfan_error *err)
{
    uint8_t key[RF_PUBKEY_BYTES];
    if (!rf_pubkey_decode(text, n, key))
        return rf_fail(err, RPCFAN_EINVAL,
                       "%.200s, line %zu: '%.*s' is no key: 32 bytes in base58, one a line",
                       o->accounts, line, (int)rf_min_u64(n, 60), text);
    if (o->n_keys == KEYS_MAX)
        return rf_fail(err, RPCFAN_EINVAL, "%.200s has more than %d keys", o->accounts, KEYS_MAX);
    if (o->n_keys == *cap) {
        size_t more = *cap == 0 ? 256 : *cap * 2;
        char **grown = rf_realloc(o->key, more * sizeof *grown);
        if (grown == NULL)
            return rf_fail(err, RPCFAN_ENOMEM, "out of memory");
        o->key = grown;
        *cap = more;
    }
    o->key[o->n_keys] = rf_memdup(text, n);
    if (o->key[o->n_keys] == NULL)
        return rf_fail(err, RPCFAN_ENOMEM, "out of memory");
    o->n_keys++;
    return RPCFAN_OK;
}

static enum rpcfan_err read_lines(struct rf_index_options *o, FILE *f, struct rpcfan_error *err)
{
    char text[LINE_MAX_BYTES];
    size_t line = 0, cap = 0;
    enum rpcfan_err rc = RPCFAN_OK;
    while (rc == RPCFAN_OK && fgets(text, sizeof text, f) != NULL) {
        const char *p = text + strspn(text, " \t");
        size_t n = strcspn(p, " \t\r\n#");
        const char *rest = p + n + strspn(p + n, " \t\r\n");
        line++;
        if (*rest != '\0' && *rest != '#')
            n = strlen(p); /* more than a key: refused as a whole */
        if (n > 0)
            rc = add_key(o, p, n, line, &cap, err);
    }
    if (rc == RPCFAN_OK && ferror(f))
        rc = rf_fail(err, RPCFAN_EIO, "reading %.200s: %s", o->accounts, strerror(errno));
    if (rc == RPCFAN_OK && o->n_keys == 0)
        rc = rf_fail(err, RPCFAN_EINVAL, "%.200s holds no key; write one a line", o->accounts);
    return rc;
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static void sort_keys(struct rf_index_options *o)
{
    size_t n = 0;
    qsort(o->key, o->n_keys, sizeof *o->key, by_text);
    for (size_t i = 0; i < o->n_keys; i++) {
        if (n > 0 && strcmp(o->key[n - 1], o->key[i]) == 0)
            rf_free(o->key[i]);
        else
            o->key[n++] = o->key[i];
    }
    o->n_keys = n;
}

/* "N accounts HASH": the hash is of the sorted keys, a line each. */
static void add_accounts(const struct rf_index_options *o, struct rf_buf *b)
{
    struct rf_keccak k;
    uint8_t hash[32];
    rf_keccak_init(&k, RF_KECCAK_PAD);
    for (size_t i = 0; i < o->n_keys; i++) {
        rf_keccak_add(&k, o->key[i], strlen(o->key[i]));
        rf_keccak_add(&k, "\n", 1);
    }
    rf_keccak_done(&k, hash);
    rf_buf_printf(b, "%zu accounts ", o->n_keys);
    for (int i = 0; i < 8; i++)
        rf_buf_printf(b, "%02x", hash[i]);
}

static enum rpcfan_err write_subject(struct rf_index_options *o, struct rpcfan_error *err)
{
    struct rf_buf b = {0};
    if (o->program == NULL) {
        add_accounts(o, &b);
    } else {
        rf_buf_printf(&b, "program %s", o->program);
        if (o->n_filters > 0 && !o->filters.failed) {
            o->filters.len = rpcfan_json_compact(o->filters.data, o->filters.len, o->filters.data);
            o->filters.data[o->filters.len] = '\0';
            rf_buf_printf(&b, " filters %s", o->filters.data);
        }
    }
    if (!b.failed && !o->filters.failed)
        o->subject = rf_memdup(b.data, b.len);
    rf_buf_fini(&b);
    return o->subject != NULL ? RPCFAN_OK : rf_fail(err, RPCFAN_ENOMEM, "out of memory");
}

enum rpcfan_err rf_index_options_load(struct rf_index_options *o, struct rpcfan_error *err)
{
    enum rpcfan_err rc = RPCFAN_OK;
    if (o->accounts != NULL) {
        bool standard = strcmp(o->accounts, "-") == 0;
        FILE *f = standard ? stdin : fopen(o->accounts, "re");
        if (f == NULL)
            return rf_fail(err, RPCFAN_EIO, "reading %.200s: %s", o->accounts, strerror(errno));
        if (standard)
            o->accounts = "stdin";
        rc = read_lines(o, f, err);
        if (!standard)
            fclose(f);
        if (rc == RPCFAN_OK)
            sort_keys(o);
    }
    if (o->n_filters > 0)
        rf_buf_add(&o->filters, "]", 2); /* and its NUL */
    if (o->n_filters > 0 && !o->filters.failed)
        o->filters.len--;
    return rc == RPCFAN_OK ? write_subject(o, err) : rc;
}

void rf_index_options_feed(const struct rf_index_options *o, const char *network,
                           struct rpcfan_feed_options *fo)
{
    rpcfan_feed_options_init(fo);
    fo->network = network;
    fo->program = o->program;
    fo->accounts = (const char *const *)o->key;
    fo->n_accounts = o->n_keys;
    fo->filters = o->n_filters > 0 ? o->filters.data : NULL;
    fo->commitment = (enum rpcfan_commitment)o->commitment;
    fo->encoding = (enum rpcfan_encoding)o->encoding;
    if (o->queue.has_overflow)
        fo->overflow = o->queue.overflow;
    if (o->queue.items > 0)
        fo->queue_events = o->queue.items;
    if (o->queue.bytes > 0)
        fo->queue_bytes = o->queue.bytes;
    if (o->has_sweep)
        fo->sweep_ms = (o->sweep_ns + RF_MS - 1) / RF_MS;
    if (o->has_audit)
        fo->audit_ms = (o->audit_ns + RF_MS - 1) / RF_MS;
    if (o->copies > 0)
        fo->copies = (uint32_t)o->copies;
    fo->once = o->once || o->verify;
}

const char *rf_index_commitment(const struct rf_index_options *o)
{
    return commitments[o->commitment];
}

void rf_index_options_fini(struct rf_index_options *o)
{
    for (size_t i = 0; i < o->n_keys; i++)
        rf_free(o->key[i]);
    rf_free(o->key);
    rf_free(o->subject);
    rf_buf_fini(&o->filters);
    *o = (struct rf_index_options){0};
}
