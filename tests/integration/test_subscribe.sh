#!/bin/bash
# rpcfan subscribe over real WebSockets against the fake node: lines, notes, ends and exit statuses.
. "$(dirname "$0")/batch_lib.sh"

node --quiet --solana --knobs 'slot-ms=20 keys=50 writes=20'
solana=$url solana_node=$node
node --quiet --family evm --block-time 50ms --logs '2 addresses=1'
evm=$url
key=$("$rpcfan" call -u "$solana" getGenesisHash | tr -d '"') # 32 bytes in base58; no account

# background ARG...: the command's process is in $job; $dir/bg.out, $dir/bg.err.
background() {
    "$rpcfan" "$@" >"$dir/bg.out" 2>"$dir/bg.err" &
    job=$!
    started+=("$job")
}
until_true() { # COMMAND...: at most 20 s
    local i
    for ((i = 0; i < 1000; i++)); do
        "$@" && return
        pause
    done
    wrong "never: $*"
}

begin "a line a notification, compact, until --count"
run 0 subscribe -u "$solana" --count 5 slotSubscribe
out_lines 5
grep -vqE '^\{"parent":[0-9]+,"root":[0-9]+,"slot":[0-9]+\}$' "$dir/out" && wrong "a line is something else"
[ ! -s "$dir/err" ] || wrong "it says something"

begin "params are JSON or strings"
run 0 subscribe -u "$solana" --count 1 logsSubscribe all '{"commitment":"processed"}'
out_line 1 '"signature":'

begin "--for ends it"
run 0 subscribe -u "$solana" --for 300ms accountSubscribe "$key" '{"encoding":"base64"}'
out_is ''

begin "--events tells every note"
run 0 subscribe -u "$solana" --events --count 2 slotSubscribe
out_lines 3
out_line 1 '{"note":"up","endpoint":"ep1"}'
out_line 2 '{"note":"data","slot":'
out_line 3 ',"result":{"parent":'

begin "a refusal is the node's error, and status 1"
run 1 subscribe -u "$solana" --count 1 accountSubscribe nonsense
out_is ''
err_has '"code":-32602'
err_has 'rpcfan: subscribe: accountSubscribe was refused'
run 1 subscribe -u "$solana" --events --count 1 accountSubscribe nonsense
out_line 1 '{"note":"end","error":{"code":-32602,'

begin "Ethereum: heads, without being told the family"
run 0 subscribe -u "$evm" --count 3 eth_subscribe newHeads
out_lines 3
out_line 3 '"parentHash":"0x'

begin "--ws-url in the place of -u"
run 0 subscribe -u http://127.0.0.1:1 --ws-url "ws${solana#http}" --count 1 slotSubscribe
out_lines 1

begin "usage"
run 2 subscribe -u "$solana"
err_has "no method; name one, such as slotSubscribe"
run 2 subscribe slotSubscribe
err_has "no endpoint: give -u URL"
run 2 subscribe -u "$solana" --overflow spill slotSubscribe
err_has "--overflow: it is one of latest, block, drop-oldest, drop-newest"
run 2 subscribe -u "$solana" --copies 3 slotSubscribe
run 2 subscribe -u "$solana" --count 0 slotSubscribe
run 2 subscribe -u "$solana" --for 3 slotSubscribe
run 2 subscribe -u "$solana" --ws-url ws://127.0.0.1:1 --ws-url ws://127.0.0.1:1 slotSubscribe
err_has "each --ws-url goes with a -u URL"

begin "stdout is closed: status 3"
status=0
"$rpcfan" subscribe -u "$solana" slotSubscribe 2>"$dir/err" | head -n 1 >"$dir/out"
status=${PIPESTATUS[0]}
[ "$status" = 3 ] || wrong "exit status $status, not 3"
err_has "writing stdout: its reader is gone"

begin "an interrupt ends it with 130, and what was taken is written"
background subscribe -u "$solana" slotSubscribe
until_true has_size "$dir/bg.out" 1
kill -INT "$job"
wait "$job"
[ $? = 130 ] || wrong "not 130"
tail -c 1 "$dir/bg.out" | od -An -c | grep -q '\\n' || wrong "the last line is cut"

begin "a slow reader: nothing but the newest is kept, and drops are told"
mkfifo "$dir/slow"
"$rpcfan" subscribe -u "$solana" --events --queue 2 --overflow drop-oldest --count 5000 \
    logsSubscribe all '{"commitment":"processed"}' >"$dir/slow" 2>"$dir/err" &
job=$!
started+=("$job")
exec 8<"$dir/slow"
dropped() { # read on, slowly, until a drop is told
    local line
    for ((i = 0; i < 4000; i++)); do
        read -r -t 10 -u 8 line || return 1
        case $line in *'"note":"dropped","n":'*) return 0 ;; esac
        [ $((i % 100)) != 99 ] || pause
    done
    return 1
}
dropped || wrong "no drop was told"
kill "$job"
exec 8<&-
wait "$job" 2>/dev/null

begin "the node goes away: the gap is told, and the command waits for it"
background subscribe -u "$solana" --events slotSubscribe
until_true has_size "$dir/bg.out" 100
{ kill -9 "$solana_node" && wait "$solana_node"; } 2>/dev/null
until_true grep -q '"note":"gap"' "$dir/bg.out"
kill -INT "$job"
wait "$job"
[ $? = 130 ] || wrong "not 130"

finish
