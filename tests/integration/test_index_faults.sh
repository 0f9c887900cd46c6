#!/bin/bash
# rpcfan index while things break: disks that fill, nodes that are gone, limited or speak HTML,
# interrupts, readers that do not read, chains and files that are others. Status and words are those
# of rpcfan-index(1), the database is whole in each case, and the same command goes on.
. "$(dirname "$0")/batch_lib.sh"

program=TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA
slow_reader_s=${SLOW_READER_S:-4}
validator() { # OPTION...: 400 accounts that change
    node --quiet --solana --knobs "program=$program keys=400 writes=40 slot-ms=50 close=60" "$@"
}
knobs() { "$rpcfan" call -u "$url" sim_knobs "$1" >/dev/null || wrong "knobs $1"; }
finalized() { "$rpcfan" call -u "$url" getSlot '{"commitment":"finalized"}'; }
index() { # STATUS ARG...
    local want=$1
    shift
    run "$want" index -u "$url" --program "$program" "$@"
}
field() { grep -oE "\"$1\":[0-9]+" "$dir/err" | head -n 1 | grep -oE '[0-9]+$'; } # of the summary
until_true() { # COMMAND...: at most 20 s
    local i
    for ((i = 0; i < 1000; i++)); do
        "$@" && return
        pause
    done
    wrong "never: $*"
}
# goes_on DB: the world stands still; the same command ends with what the chain has.
goes_on() {
    local from i
    knobs writes=0
    from=$(finalized)
    for ((i = 0; i < 500 && $(finalized) <= from + 45; i++)); do pause; done
    index 0 --db "$1" --once
    index 0 --db "$1" --verify
    out_is ''
    err_has " 0 differ, 0 missing, 0 extra"
    knobs writes=40
}

validator
begin "a limit on the size of files: status 3, and the next run goes on"
(
    ulimit -f 100
    "$rpcfan" index -u "$url" --program "$program" --db "$dir/limit.sqlite" --for 20s
) 2>"$dir/err"
[ $? = 3 ] || wrong "not 3"
err_has "the same command goes on from its checkpoint"
goes_on "$dir/limit.sqlite"

begin "a full disk: status 3, and the next run goes on"
mkdir "$dir/small"
cat >"$dir/fill" <<'END'
mount -t tmpfs -o size=400k none "$1" || exit 77
"$2" index -u "$3" --program "$4" --db "$1/a.sqlite" --for 20s
echo "status $?"
cp "$1"/a.sqlite* "$5"
END
unshare -rm bash "$dir/fill" "$dir/small" "$rpcfan" "$url" "$program" "$dir" >"$dir/out" 2>"$dir/err"
if [ $? = 0 ]; then # else there is no such thing as a mount of one's own here
    out_is 'status 3'
    err_has "make room, and the same command goes on from its checkpoint"
    goes_on "$dir/a.sqlite"
fi

begin "a full disk for lines: status 3"
if [ -e /dev/full ]; then
    "$rpcfan" index -u "$url" --program "$program" --emit --for 20s >/dev/full 2>"$dir/err"
    [ $? = 3 ] || wrong "not 3"
    err_has "writing stdout: No space left on device"
fi

begin "a reader that does not read for seconds: nothing is lost, memory is bounded"
mkfifo "$dir/lines"
"$rpcfan" index -u "$url" --program "$program" --db "$dir/slow.sqlite" --emit --sweep 2s \
    >"$dir/lines" 2>"$dir/bg.err" &
job=$!
started+=("$job")
exec 8<"$dir/lines"
knobs "writes=400"
until_true has_size "$dir/slow.sqlite-wal" 1
for ((i = 0; i < slow_reader_s * 50; i++)); do pause; done
kib=$(awk '/VmHWM/{print $2}' "/proc/$job/status")
memory_below "${kib:-0}" 100000
kill -INT "$job"
cat <&8 >"$dir/lines.out"
exec 8<&-
wait "$job"
[ $? = 130 ] || wrong "not 130"
tail -n 1 "$dir/lines.out" | grep -q '}$' || wrong "the last line is cut"
knobs "writes=40"
goes_on "$dir/slow.sqlite"

begin "an interrupt while the snapshot comes: status 130, and only the rest is told"
node --quiet --program '60000' --fault 'drip bytes=40000 per=20ms method=getProgramAccounts times=1'
"$rpcfan" index -u "$url" --family solana --program "$program" --db "$dir/cut.sqlite" \
    --summary=json 2>"$dir/bg.err" &
job=$!
started+=("$job")
until_true has_size "$dir/cut.sqlite-wal" 1000000
kill -INT "$job"
wait "$job"
[ $? = 130 ] || wrong "not 130"
grep -q '"interrupted":true' "$dir/bg.err" || wrong "no summary: $(cat "$dir/bg.err")"
rows=$(grep -oE '"rows":[0-9]+' "$dir/bg.err" | grep -oE '[0-9]+$')
[ "${rows:-0}" -gt 1000 ] && [ "$rows" -lt 60000 ] || wrong "$rows rows"
run 0 index -u "$url" --family solana --program "$program" --db "$dir/cut.sqlite" --once --emit
out_lines $((60000 - rows))

begin "the node of another chain: status 2, and the database is as it was"
cp "$dir/slow.sqlite" "$dir/before"
run 2 index -u "$url" --family solana --program "$program" --db "$dir/slow.sqlite"
err_has "is of another chain: its genesis hash is"
same "$dir/slow.sqlite" "$dir/before"

begin "damaged files: status 3; a directory: 3; an empty file is a new database"
cp "$dir/slow.sqlite" "$dir/bad.sqlite"
printf '\377%.0s' {1..20000} | dd of="$dir/bad.sqlite" bs=1 seek=5000 conv=notrunc status=none
run 3 index -u "$url" --family solana --program "$program" --db "$dir/bad.sqlite" --once
err_has "is damaged"
run 3 index -u "$url" --family solana --program "$program" --db "$dir/small"
err_has "cannot be opened"
: >"$dir/empty.sqlite"
run 0 index -u "$url" --family solana --program "$program" --db "$dir/empty.sqlite" --once

begin "HTML in the place of answers: --once says so in its time, status 1"
node --quiet --solana --knobs "program=$program" --fault 'html method=getProgramAccounts*'
index 1 --db "$dir/html.sqlite" --once --for 2s
err_has "not all accounts were read in the time of --for"
index 0 --db "$dir/html.sqlite" --for 2s
err_has "not all accounts were read in the time of --for"
index 1 --db "$dir/html.sqlite" --verify --for 2s
node --quiet --solana --knobs "program=$program" --fault 'html'
index 1 --db "$dir/html2.sqlite"
err_has "getGenesisHash"
[ ! -e "$dir/html2.sqlite" ] || wrong "a database was made"

begin "HTML at first, a port that is dead for seconds, and a storm of 429: it goes on"
validator --fault 'html method=getProgramAccounts* to=1s' --fault 'refuse from=3s to=4s' \
    --rate '4/1s to=5s retry-after=seconds'
index 0 --db "$dir/storm.sqlite" --for 20s --sweep 3s --audit 1s --summary=json
err_has "RF-WS-PAUSE" # the 429
err_has "could not connect"
[ "$(field watermark)" -gt 1000 ] || wrong "the watermark is $(field watermark)"
goes_on "$dir/storm.sqlite"

finish
