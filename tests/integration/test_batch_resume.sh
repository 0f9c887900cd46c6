#!/bin/bash
# `rpcfan batch -o FILE --resume`: kill -9 at random moments loses no line and repeats none.
. "$(dirname "$0")/batch_lib.sh"

LINES_IN=3000
node --latency 'uniform 0ms 6ms'
args=(-u "$url" --batch 5 --in-flight 8 -m sim_echo -p '["{}"]')
seq "$LINES_IN" >"$dir/in"
"$rpcfan" batch "${args[@]}" -o "$dir/want" "$dir/in" || { echo "the undisturbed run failed"; exit 1; }
size=$(stat -c %s "$dir/want")

# kill_at BYTES ARG...: start a batch with --resume into $dir/got and kill -9 it once FILE has grown to
# BYTES and a random number of turns more. Sets $killed to 1 where it was still running then.
kill_at() {
    local bytes=$1 turns=$((RANDOM % 40)) batch
    shift
    "$rpcfan" batch "$@" -o "$dir/got" --resume "$dir/in" 2>"$dir/err" &
    batch=$!
    for _ in $(seq 2000); do
        has_size "$dir/got" "$bytes" && break
        kill -0 "$batch" 2>/dev/null || break
        read -r -t 0.001 -u 9 _
    done
    while [ "$turns" -gt 0 ]; do turns=$((turns - 1)); done
    killed=0
    kill -9 "$batch" 2>/dev/null
    wait "$batch" 2>/dev/null
    [ $? = 137 ] && killed=1
}

# Twenty kills spread over the run, then to the end. @param $1 name, the rest: options
kill_twenty() {
    local kills=0 i
    rm -f "$dir/got" "$dir/got.journal"
    for i in $(seq 20); do
        kill_at $((size * i / 24 + RANDOM % (size / 24))) "$@"
        kills=$((kills + killed))
    done
    [ "$kills" -ge 15 ] || wrong "only $kills of 20 kills met a running batch"
    "$rpcfan" batch "$@" -o "$dir/got" --resume "$dir/in" 2>"$dir/err" || wrong "the last run: status $?"
}

begin "killed twenty times, in order: the file is that of an undisturbed run"
kill_twenty "${args[@]}"
same "$dir/want" "$dir/got"

begin "killed twenty times, unordered: the same lines, each once, and no journal is left"
kill_twenty "${args[@]}" --unordered
sort "$dir/want" >"$dir/want.sorted"
sort "$dir/got" >"$dir/got.sorted"
same "$dir/want.sorted" "$dir/got.sorted"
[ ! -e "$dir/got.journal" ] || wrong "the journal is still there"

begin "killed before anything was written, then resumed"
for order in --resume --unordered; do
    rm -f "$dir/got" "$dir/got.journal"
    kill_at 0 "${args[@]}" "$order"
    "$rpcfan" batch "${args[@]}" "$order" --resume -o "$dir/got" "$dir/in" 2>"$dir/err" || wrong "$order: status $?"
    sort "$dir/got" >"$dir/got.sorted"
    same "$dir/want.sorted" "$dir/got.sorted"
done

# torn BYTES: as if the first run had ended when FILE had so many bytes.
torn() { head -c "$1" "$dir/want" >"$dir/got"; }

begin "a last line torn at each of its bytes is made again"
last=$(sed -n 40p "$dir/want" | wc -c)
upto=$(head -n 39 "$dir/want" | wc -c)
head -n 41 "$dir/in" >"$dir/in41"
head -n 41 "$dir/want" >"$dir/want41"
for extra in $(seq 0 "$last"); do
    torn $((upto + extra))
    run 0 batch "${args[@]}" -o "$dir/got" --resume "$dir/in41"
    same "$dir/want41" "$dir/got"
done

begin "the input may come by stdin again"
torn $((size / 2))
run 0 batch "${args[@]}" -o "$dir/got" --resume <"$dir/in"
same "$dir/want" "$dir/got"

begin "resuming what is complete makes no call and changes nothing"
for order in --resume --unordered; do
    run 0 batch -u http://127.0.0.1:1 -m sim_echo -p '["{}"]' "$order" --resume -o "$dir/got" "$dir/in"
    same "$dir/want" "$dir/got"
done

begin "errors of an earlier run still count for the exit status"
printf '%s\n' '{"method":"nope"}' '{"method":"eth_chainId"}' >"$dir/two"
rm -f "$dir/got"
run 1 batch -u "$url" -o "$dir/got" "$dir/two"
run 1 batch -u "$url" -o "$dir/got" --resume "$dir/two"

begin "without --resume a file that holds something is left alone, and the remedy is told"
run 2 batch "${args[@]}" -o "$dir/want" "$dir/in"
err_has '--resume'
[ "$(stat -c %s "$dir/want")" = "$size" ] || wrong "the file was changed"

begin "an empty file is written to"
: >"$dir/empty"
run 0 batch "${args[@]}" -o "$dir/empty" "$dir/in"
same "$dir/want" "$dir/empty"

begin "an input whose ids differ is refused, and the file is left alone"
printf '{"id":"a","method":"eth_chainId"}\n{"id":"b","method":"eth_chainId"}\n' >"$dir/ab"
printf '{"id":"a","method":"eth_chainId"}\n{"id":"c","method":"eth_chainId"}\n' >"$dir/ac"
rm -f "$dir/got"
run 0 batch -u "$url" -o "$dir/got" "$dir/ab"
cp "$dir/got" "$dir/copy"
run 2 batch -u "$url" -o "$dir/got" --resume "$dir/ac"
err_has 'another input'
same "$dir/copy" "$dir/got"

begin "an input shorter than what is answered is refused"
head -n 1 "$dir/ab" >"$dir/a"
run 2 batch -u "$url" -o "$dir/got" --resume "$dir/a"
err_has 'another input'
same "$dir/copy" "$dir/got"

begin "a complete unordered file is refused where the input goes on"
cat "$dir/ab" "$dir/a" >"$dir/aba"
run 2 batch -u "$url" -o "$dir/got" --resume --unordered "$dir/aba"
err_has 'another input'
same "$dir/copy" "$dir/got"

begin "a file that is not ours is refused, and left alone"
printf 'my\nnotes' >"$dir/notes"
run 2 batch "${args[@]}" -o "$dir/notes" --resume "$dir/in"
err_has 'not written by'
[ "$(cat "$dir/notes")" = "$(printf 'my\nnotes')" ] || wrong "the file was changed"

begin "an unordered file is not resumed in order"
for _ in 1 2 3 4 5 6 7 8; do # on a busy machine a batch may end before this script comes to its turn
    rm -f "$dir/got" "$dir/got.journal"
    kill_at $((size / 3)) "${args[@]}" --unordered
    [ "$killed" = 0 ] || break
done
[ "$killed" = 1 ] || wrong "the batch had ended before it was killed"
run 2 batch "${args[@]}" -o "$dir/got" --resume "$dir/in"
err_has '--unordered'

finish
