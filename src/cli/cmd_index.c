/* cmd_index.c - `rpcfan index`: its options, and the setting up and taking down of a run. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "cli/commands.h"
#include "cli/help.h"
#include "cli/index_run.h"
#include "cli/index_show.h"
#include "cli/options.h"

/* A backup, or somebody's transaction, may take some seconds. */
#define LOCK_NS (60 * RF_SEC)
#define LOCK_WAIT_NS (10 * RF_MS)

static const char help[] =
    "Usage: rpcfan [global options] index (--program KEY | --accounts FILE) [options]\n"
    "\n"
    "Follows Solana accounts: a snapshot, then every change, into a SQLite database\n"
    "or as lines of JSON. Gaps of the connection are found and repaired.\n"
    "\n"
    "  rpcfan index -u URL --program TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA \\\n"
    "      --filter size=165 --filter memcmp=32:OWNER --db tokens.sqlite\n"
    "  rpcfan index -u URL --accounts keys.txt --emit | jq .account.lamports\n"
    "  sqlite3 tokens.sqlite 'SELECT pubkey, lamports FROM accounts LIMIT 10'\n"
    "\n"
    "Stopped, even by kill -9, the same command goes on from its checkpoint: only what\n"
    "differs is told and written.\n"
    "\n"
    "Which accounts:\n"
    "      --program KEY       all that this program owns\n"
    "      --filter FILTER     of them those with size=165, memcmp=OFFSET:BASE58, or a\n"
    "                          filter as JSON; up to 4, all must match\n"
    "      --accounts FILE     these: a key a line; - is stdin\n"
    "      --commitment LEVEL  confirmed, processed or finalized; default confirmed\n"
    "      --encoding NAME     how nodes send data: base64 or base64+zstd; default\n"
    "                          base64\n"
    "\n"
    "Where to:\n"
    "      --db FILE           SQLite database, made where it is not there; query the\n"
    "                          view 'accounts'; see rpcfan-index(1) for the schema\n"
    "      --history           keep every version, in the view 'versions'\n"
    "      --emit              a line of JSON on stdout for each change\n"
    "\n"
    "How long:\n"
    "      --once              the snapshot alone\n"
    "      --for DURATION      end after this time\n"
    "      --verify            compare the database with the chain, and name what\n"
    "                          differs, is missing or extra, a line of JSON each\n"
    "\n"
    "How:\n"
    "      --queue N           changes that wait to be written; default 131072\n"
    "      --queue-bytes SIZE  what they may hold; default 64MiB\n"
    "      --overflow POLICY   of what does not fit: latest, block, drop-oldest or\n"
    "                          drop-newest; what is dropped is read again; default\n"
    "                          latest\n"
    "      --sweep DURATION    with --program: each account is looked up again in this\n"
    "                          time, which finds closed ones; 0: never; default 10m\n"
    "      --audit DURATION    between samples that prove the stream; 0: never; default\n"
    "                          10s\n"
    "      --copies 2          subscribe at two endpoints\n"
    "      --summary[=json]    at the end tell on stderr what it came to\n"
    "  -h, --help              this text\n"
    "\n"
    "Exit status: 0 ended by --once or --for, or all is the same; 1 the node refused,\n"
    "or --verify found a difference; 2 usage, configuration, or a database of\n"
    "something else; 3 input or output failed; 130 interrupted, with everything\n"
    "committed.\n";

/* The chain's genesis hash between the quotes of a result. @return NULL where it is none. */
static char *hash_of(struct rpcfan_slice json)
{
    bool text = json.len > 2 && json.data[0] == '"' && json.data[json.len - 1] == '"' &&
                memchr(json.data, '\\', json.len) == NULL;
    return text ? rf_memdup(json.data + 1, json.len - 2) : NULL;
}

/* Ask for the chain. @return owned; NULL where it cannot be known, or the run is over. */
static char *ask_genesis(struct rf_index *x)
{
    rpcfan_result_t *res = rf_follow_call(&x->follow, "getGenesisHash", NULL);
    char *genesis = NULL;
    if (res == NULL || rf_follow_over(&x->follow)) {
        rpcfan_result_unref(res);
        return NULL;
    }
    enum rpcfan_err rc = rpcfan_result_err(res);
    if (rc == RPCFAN_OK)
        genesis = hash_of(rpcfan_result_json(res));
    else if (rc != RPCFAN_ERPC)
        rf_follow_fail(&x->follow, RF_EXIT_CALLS, "getGenesisHash: %s (%s)",
                       rpcfan_result_detail(res), rpcfan_err_name(rc));
    if (genesis == NULL && x->follow.failed == 0)
        rf_cli_say("index: the node does not tell its genesis hash: the database cannot be checked "
                   "to be of this chain");
    rpcfan_result_unref(res);
    return genesis;
}

/* Another program holds a lock on the database: what comes meanwhile waits in the feed's queue. */
static int wait_for_lock(void *arg, int n)
{
    struct rf_index *x = arg;
    if (n == 0)
        x->locked_ns = rpcfan_now_ns();
    rf_follow_doze(&x->follow, LOCK_WAIT_NS);
    rf_index_show(x);
    return !x->follow.interrupted && rpcfan_now_ns() < rf_time_add(x->locked_ns, LOCK_NS);
}

static void open_db(struct rf_index *x)
{
    struct rpcfan_error err = {0};
    char *genesis = ask_genesis(x);
    const struct rf_index_options *o = x->o;
    struct rf_db_options dbo = {.path = o->db,
                                .identity = {.genesis = genesis,
                                             .subject = o->subject,
                                             .commitment = rf_index_commitment(o)},
                                .history = o->history,
                                .by_seq = o->commitment == RPCFAN_PROCESSED,
                                .read_only = o->verify,
                                .busy = wait_for_lock,
                                .busy_arg = x};
    enum rpcfan_err rc = rf_follow_over(&x->follow) ? RPCFAN_OK : rf_db_open(&dbo, &x->db, &err);
    if (rc != RPCFAN_OK)
        rf_follow_fail_with(&x->follow, rc, &err);
    rf_free(genesis);
}

static int run(struct rf_index *x)
{
    const struct rf_cli *cli = x->follow.cli;
    uint64_t began_ns = rpcfan_now_ns();
    int status = RF_EXIT_OK;
    if (x->o->db != NULL)
        open_db(x);
    if (rf_follow_over(&x->follow))
        return x->follow.failed;
    bool lines = x->o->emit || x->o->verify;
    bool wanted = !cli->no_progress && (!lines || isatty(STDOUT_FILENO) == 0);
    rf_progress_init(&x->progress, wanted, cli->log, began_ns);
    status = x->o->verify ? rf_index_verify(x) : rf_index_run(x);
    x->count.wall_ns = rpcfan_now_ns() - began_ns;
    rf_index_show_summary(x);
    return status;
}

static int make_and_run(const struct rf_cli *cli, struct rf_index_options *o)
{
    struct rpcfan_error err = {0};
    if (rf_index_options_load(o, &err) != RPCFAN_OK) {
        rf_cli_say("index: %s", err.text);
        return err.code == RPCFAN_EINVAL ? RF_EXIT_USAGE : RF_EXIT_IO;
    }
    struct rf_index *x = rf_alloc(sizeof *x);
    if (x == NULL) {
        rf_cli_say("index: out of memory");
        return RF_EXIT_IO;
    }
    x->follow.name = "index";
    x->follow.signal_fd = -1;
    x->o = o;
    int status = rf_follow_start(&x->follow, cli, RPCFAN_SOLANA, o->for_ns);
    if (status == RF_EXIT_OK)
        status = run(x);
    rf_progress_fini(&x->progress);
    rpcfan_feed_free(x->feed);
    rf_db_close(x->db);
    status = rf_follow_end(&x->follow, status);
    rpcfan_free(x->data.data);
    rf_free(x);
    return status;
}

int cmd_index(struct rf_cli *cli, int argc, char **argv)
{
    struct rf_index_options o = {0};
    struct rf_args args = {.argc = argc, .argv = argv, .at = 1};
    const char *problem = NULL;
    int key, status;
    while (problem == NULL &&
           (key = rf_args_next(&args, rf_index_spec, rf_index_spec_n)) != RF_ARG_END)
        problem = key == RF_ARG_BAD ? args.problem : rf_index_options_take(&o, &args, key);
    if (problem == NULL && !o.help)
        problem = rf_index_options_check(&o);
    if (problem == NULL && !o.help && cli->options == NULL)
        problem = "no endpoint: give -u URL, or -c FILE with a configuration";
    if (problem != NULL)
        status = rf_help_misuse("index", problem);
    else if (o.help)
        status = rf_help_print(help, 1);
    else
        status = make_and_run(cli, &o);
    rf_index_options_fini(&o);
    return status;
}
