#!/bin/bash
# rpcfan index against the virtual validator over real sockets: the database equals the chain after
# every kind of end, and every file and option that cannot be is refused.
. "$(dirname "$0")/batch_lib.sh"

program=TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA
node --quiet --solana --knobs "program=$program keys=300 writes=30 slot-ms=50 close=100"
index() { # STATUS ARG...
    local want=$1
    shift
    run "$want" index -u "$url" --program "$program" "$@"
}
knobs() { "$rpcfan" call -u "$url" sim_knobs "$1" >/dev/null || wrong "knobs $1"; }
slot() { "$rpcfan" call -u "$url" getSlot "{\"commitment\":\"$1\"}"; }
# Nothing is written any more, and what was written is confirmed.
freeze() {
    local from i
    knobs writes=0
    from=$(slot processed)
    for ((i = 0; i < 500; i++)); do
        [ "$(slot confirmed)" -le $((from + 8)) ] || return
        pause
    done
    wrong "the chain stands still"
}
background() { # ARG...: the process is in $job
    "$rpcfan" index -u "$url" --program "$program" "$@" >"$dir/bg.out" 2>"$dir/bg.err" &
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
field() { grep -oE "\"$1\":[0-9]+" "$dir/err" | head -n 1 | grep -oE '[0-9]+$'; } # of the summary
# catch_up DB: what is left of the differences is told once, then nothing, and all is the same.
catch_up() {
    freeze
    index 0 --db "$1" --once
    index 0 --db "$1" --once --emit
    out_is ''
    index 0 --db "$1" --verify
    out_is ''
    err_has " 0 differ, 0 missing, 0 extra"
    knobs writes=30
}

begin "snapshot and changes, then the same as the chain"
index 0 --db "$dir/a.sqlite" --for 3s --summary=json
[ "$(field update)" -gt 50 ] || wrong "$(field update) updates"
[ "$(field snapshot)" -gt 100 ] || wrong "$(field snapshot) in the snapshot"
[ "$(field watermark)" -gt 1000 ] || wrong "watermark $(field watermark)"
catch_up "$dir/a.sqlite"

begin "lines: one JSON object each, without a database"
index 0 --emit --for 1s
grep -vqE '^\{"kind":"(snapshot|create|update|close|left)","pubkey":"[1-9A-HJ-NP-Za-km-z]{32,44}","slot":[0-9]+,"seq":[0-9]+,"account":(null|\{.*\})\}$' \
    "$dir/out" && wrong "a line is something else"
grep -q '"kind":"snapshot"' "$dir/out" || wrong "no snapshot"
grep -oE '"seq":[0-9]+' "$dir/out" | grep -oE '[0-9]+' | sort -n -c || wrong "out of sequence"

begin "some accounts, from stdin"
grep -oE '"pubkey":"[^"]+"' "$dir/out" | cut -d '"' -f 4 | sort -u | head -n 20 >"$dir/keys"
run 0 index -u "$url" --accounts - --db "$dir/some.sqlite" --for 1s <"$dir/keys"
freeze
run 0 index -u "$url" --accounts "$dir/keys" --db "$dir/some.sqlite" --once
run 0 index -u "$url" --accounts "$dir/keys" --db "$dir/some.sqlite" --verify
head -n 19 "$dir/keys" >"$dir/fewer"
run 2 index -u "$url" --accounts "$dir/fewer" --db "$dir/some.sqlite" --once
err_has "is of other accounts: of 20 accounts"

begin "what came compressed is the same"
knobs zstd=1
index 0 --db "$dir/z.sqlite" --once --encoding base64+zstd
index 0 --db "$dir/z.sqlite" --verify
knobs zstd=0

begin "verify tells what differs: missing, extra and changed accounts"
knobs writes=30
index 0 --db "$dir/b.sqlite" --once
knobs "writes=200 close=300"
from=$(slot confirmed)
passed() { [ "$(slot confirmed)" -gt $((from + 20)) ]; }
until_true passed
freeze
knobs close=100
index 1 --db "$dir/b.sqlite" --verify
for verdict in differs missing extra; do
    grep -q "\"verdict\":\"$verdict\"" "$dir/out" || wrong "nothing $verdict"
done
err_has "run 'rpcfan index --once' first"
catch_up "$dir/b.sqlite"

begin "an interrupt commits: status 130"
background --db "$dir/c.sqlite" --summary=json
until_true test -s "$dir/c.sqlite-wal"
knobs writes=100
until_true has_size "$dir/c.sqlite-wal" 400000
kill -INT "$job"
wait "$job"
[ $? = 130 ] || wrong "not 130"
grep -q '"interrupted":true' "$dir/bg.err" || wrong "no summary"
[ ! -e "$dir/c.sqlite-wal" ] || wrong "it was not closed"
catch_up "$dir/c.sqlite"

begin "kill -9, ten times: only differences are told, and the end is the same"
for i in 1 2 3 4 5 6 7 8 9 10; do
    background --db "$dir/d.sqlite" --history
    until_true has_size "$dir/d.sqlite-wal" $((RANDOM * 5))
    { kill -9 "$job" && wait "$job"; } 2>/dev/null
done
catch_up "$dir/d.sqlite"

begin "connections that end while accounts change"
background --db "$dir/e.sqlite" --emit --summary=json --audit 1s --sweep 2s
until_true has_size "$dir/bg.out" 500000
knobs "close-ws=20 stall=10 drop=20 dup=20"
ends() { [ "$(grep -c RF-WS-BACKOFF "$dir/bg.err")" -ge 4 ]; }
until_true ends
knobs "close-ws=0 stall=0 drop=0 dup=0"
kill -INT "$job"
wait "$job"
cp "$dir/bg.err" "$dir/err"
[ "$(field gaps)" -gt 0 ] || wrong "no gap"
catch_up "$dir/e.sqlite"

begin "databases of something else: status 2, and left alone"
cp "$dir/a.sqlite" "$dir/before"
index 2 --db "$dir/a.sqlite" --commitment finalized
err_has "was made with --commitment confirmed"
index 2 --db "$dir/a.sqlite" --filter size=165
err_has "is of other accounts"
run 2 index -u "$url" --program 11111111111111111111111111111111 --db "$dir/a.sqlite"
same "$dir/a.sqlite" "$dir/before"
seq 1 10000 >"$dir/text"
index 2 --db "$dir/text"
err_has "is no SQLite database"
[ "$(wc -l <"$dir/text")" = 10000 ] || wrong "the file was written to"

begin "input and output that fail: status 3"
index 3 --db "$dir/none/a.sqlite"
err_has "cannot be opened"
index 3 --db "$dir/none.sqlite" --verify
run 3 index -u "$url" --accounts "$dir/none" --emit
err_has "No such file"
"$rpcfan" index -u "$url" --program "$program" --emit 2>"$dir/err" | head -n 1 >"$dir/out"
[ "${PIPESTATUS[0]}" = 3 ] || wrong "a closed stdout is not status 3"
err_has "its reader is gone"

begin "usage"
run 2 index -u "$url" --db x
err_has "give --program KEY"
run 2 index --program "$program" --db x
err_has "no endpoint: give -u URL"
index 2
err_has "give --db FILE to keep the accounts"
index 2 --emit --verify

begin "a node that is not there: status 1"
run 1 index -u http://127.0.0.1:1 --deadline 1s --program "$program" --db "$dir/x.sqlite"
err_has "getGenesisHash"
[ ! -e "$dir/x.sqlite" ] || wrong "a database was made"

finish
