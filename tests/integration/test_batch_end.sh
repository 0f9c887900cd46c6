#!/bin/bash
# How `rpcfan batch` ends: interrupts, closed and full outputs, exit statuses, misuse.
. "$(dirname "$0")/batch_lib.sh"

node
plain=$url
node --latency 'fixed 20ms'
slow=$url
seq 5000 >"$dir/in"
args=(-u "$slow" --batch 2 --in-flight 4 -m sim_echo)
"$rpcfan" batch -u "$plain" -m sim_echo -o "$dir/want" "$dir/in" || { echo "the undisturbed run failed"; exit 1; }

# interrupt SIGNAL ARG...: start a batch into $dir/got and signal it once it has written something;
# its exit status is in $status.
interrupt() {
    local signal=$1 batch
    shift
    rm -f "$dir/got" "$dir/got.journal"
    "$rpcfan" batch "$@" -o "$dir/got" "$dir/in" 2>"$dir/err" &
    batch=$!
    started+=("$batch")
    for _ in $(seq 500); do
        has_size "$dir/got" 200 && break
        pause
    done
    kill -s "$signal" "$batch"
    status=0
    wait "$batch" || status=$?
}

for signal in INT TERM; do
    begin "SIG$signal: status 130, a whole prefix of the answers, and --resume makes the rest"
    interrupt $signal "${args[@]}"
    [ "$status" = 130 ] || wrong "exit status $status"
    lines=$(wc -l <"$dir/got")
    [ "$lines" -gt 0 ] && [ "$lines" -lt 5000 ] || wrong "$lines lines"
    head -n "$lines" "$dir/want" >"$dir/prefix"
    same "$dir/prefix" "$dir/got"
    err_has 'interrupted'
    run 0 batch -u "$plain" -m sim_echo --resume -o "$dir/got" "$dir/in"
    same "$dir/want" "$dir/got"
done

begin "SIGINT, unordered: status 130, whole lines only, and --resume makes the rest"
interrupt INT "${args[@]}" --unordered
[ "$status" = 130 ] || wrong "exit status $status"
[ -e "$dir/got.journal" ] || wrong "there is no journal"
run 0 batch -u "$plain" -m sim_echo --resume --unordered -o "$dir/got" "$dir/in"
sort "$dir/want" >"$dir/want.sorted"
sort "$dir/got" >"$dir/got.sorted"
same "$dir/want.sorted" "$dir/got.sorted"

begin "SIGINT while the node hangs: a second one ends it at once"
node --fault hang
mkfifo "$dir/said"
"$rpcfan" batch -u "$url" --timeout 60s -m sim_echo "$dir/in" >"$dir/out" 2>"$dir/said" &
batch=$!
started+=("$batch")
exec 8<"$dir/said"
for _ in $(seq 500); do # handlers are in place once both signals are caught
    caught=$(awk '/^SigCgt:/{print $2}' "/proc/$batch/status")
    [ $((0x${caught:-0} & 2)) = 2 ] && break
    pause
done
kill -s INT "$batch"
read -r -t 20 line <&8 || wrong "nothing was said after the first interrupt"
case $line in *'interrupted'*) ;; *) wrong "it said '$line'" ;; esac
kill -s INT "$batch"
status=0
wait "$batch" || status=$?
exec 8<&-
[ "$status" = 130 ] || wrong "exit status $status"

begin "SIGINT while it waits for input ends it with status 130 and flushed answers"
mkfifo "$dir/to" "$dir/from"
"$rpcfan" batch -u "$plain" -m sim_echo <"$dir/to" >"$dir/from" 2>"$dir/err" &
batch=$!
started+=("$batch")
exec 7>"$dir/to" 8<"$dir/from"
echo 1 >&7
read -r -t 20 answer <&8
[ "$answer" = '{"jsonrpc":"2.0","id":1,"result":[1]}' ] || wrong "answered '$answer'"
kill -s INT "$batch"
status=0
wait "$batch" || status=$?
exec 7>&- 8<&-
[ "$status" = 130 ] || wrong "exit status $status"

begin "stdout closed by its reader: status 3, and the place is told"
seq 200000 | "$rpcfan" batch -u "$plain" -m sim_echo 2>"$dir/err" | head -1 >"$dir/out"
status=${PIPESTATUS[1]}
[ "$status" = 3 ] || wrong "exit status $status"
out_is '{"jsonrpc":"2.0","id":1,"result":[1]}'
err_has 'writing stdout'
err_has '--resume'

begin "stdout full: status 3, and the reason is told"
status=0
"$rpcfan" batch -u "$plain" -m sim_echo "$dir/in" >/dev/full 2>"$dir/err" || status=$?
[ "$status" = 3 ] || wrong "exit status $status"
err_has 'No space left'
begin "help for a full disk: status 3"
status=0
"$rpcfan" --help >/dev/full 2>"$dir/err" || status=$?
[ "$status" = 3 ] || wrong "exit status $status"

begin "-o FILE full: status 3, and the file is named"
run 3 batch -u "$plain" -m sim_echo -o /dev/full "$dir/in"
err_has 'writing /dev/full: No space left'

begin "a file size limit in mid-run: status 3, and --resume goes on once there is room"
rm -f "$dir/got"
status=0
(
    ulimit -f 64
    exec "$rpcfan" batch -u "$plain" -m sim_echo -o "$dir/got" "$dir/in" 2>"$dir/err"
) || status=$?
[ "$status" = 3 ] || wrong "exit status $status"
err_has '--resume'
[ "$(stat -c %s "$dir/got")" -gt 0 ] || wrong "nothing was written"
run 0 batch -u "$plain" -m sim_echo --resume -o "$dir/got" "$dir/in"
same "$dir/want" "$dir/got"

begin "input that cannot be read: status 3"
run 3 batch -u "$plain" "$dir/nowhere"
err_has 'nowhere: No such file'
run 3 batch -u "$plain" "$dir"
err_has 'directory'

begin "input and output the same file: refused before anything is written"
cp "$dir/in" "$dir/both"
run 2 batch -u "$plain" -m sim_echo "$dir/both" -o "$dir/both"
same "$dir/in" "$dir/both"

begin "exit status 0 where each call has a result, 1 where one has none"
run 0 batch -u "$plain" <<<'{"method":"eth_chainId"}'
run 1 batch -u "$plain" <<<'{"method":"nope"}'
run 1 batch -u "$plain" <<<''
run 1 batch -u http://127.0.0.1:1 --deadline 2s <<<'{"method":"eth_chainId"}'

begin "misuse: status 2 with the remedy"
misuse() { # REMEDY ARG...
    local remedy=$1
    shift
    run 2 "$@" </dev/null
    err_has "$remedy"
}
misuse "no command" -u "$plain"
misuse "unknown command 'bach'" bach
misuse "did you mean '--unordered'?" batch -u "$plain" --unorderd
misuse 'needs a value' batch -u "$plain" -m
misuse 'give -u URL' batch
misuse '--params needs --method' batch -u "$plain" -p '[]'
misuse 'single quotes' batch -u "$plain" -m a -p '[0x{}]'
misuse '-o FILE --resume' batch -u "$plain" --resume
misuse 'from 1 to' batch -u "$plain" --window 0
misuse "'text' or 'json'" batch -u "$plain" --summary=xml
misuse 'one FILE at most' batch -u "$plain" a b
misuse 'needs one' batch -u "$plain" --resume -o /dev/null
misuse 'no method' call -u "$plain"
misuse 'not both' call -u "$plain" -c "$dir/in" eth_chainId
misuse '15s' batch -u "$plain" --timeout 15

begin "help: for the program and each command, in 80 columns, status 0"
for command in '' call batch check sim; do
    # shellcheck disable=SC2086
    run 0 help $command
    [ -s "$dir/out" ] || wrong "help $command is empty"
    case $command in sim | check) continue ;; esac
    awk 'length > 80 {bad = 1} END {exit bad}' "$dir/out" || wrong "help $command is wider than 80 columns"
done
run 0 batch --help
run 0 --version
out_is "rpcfan $(awk -F'"' '/define RPCFAN_VERSION "/{print $2}' include/rpcfan/rpcfan.h)"

finish
