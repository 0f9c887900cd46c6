#!/bin/bash
# Limits from outside: --rate with and without /each, profiles on top of -u and in a configuration,
# what answers tell in their headers, and --start.
. "$(dirname "$0")/batch_lib.sh"
export no_proxy='*'

# count FIELD ADDRESS: a counter of a fake node.
count() { curl -s "$2" | grep -o "\"$1\":[0-9]*" | head -n 1 | cut -d : -f 2; }
# took LEAST MOST: the run's time, in ms, as its summary tells it.
took() {
    local ms
    ms=$(grep -o '"wall_s":[0-9.]*' "$dir/err" | tr -dc '0-9' | sed 's/^0*//')
    [ "${ms:-0}" -ge "$1" ] && [ "${ms:-0}" -le "$2" ] || wrong "it took ${ms:-?} ms, not $1 to $2"
}
refused() { # ADDRESS N: so many calls were refused at most
    local n
    n=$(count refused_members "$1")
    [ "${n:-999}" -le "$2" ] || wrong "$n calls were refused, not at most $2"
}
two_methods() { # N: so many calls of each of two methods
    local i
    for i in $(seq "$1"); do
        printf '{"method":"eth_getBalance","params":["0x%x","latest"]}\n' "$i"
        printf '{"method":"eth_getCode","params":["0x%x","latest"]}\n' "$i"
    done
}
each=(--rate '5/1s kind=sliding method=eth_getBalance' --rate '5/1s kind=sliding method=eth_getCode')

begin "--rate /each: every method has a window of its own"
node --family evm "${each[@]}"
two_methods 8 | run 0 batch -u "$url" --family evm --rate 5/1s/each --summary=json
refused "$url" 0
took 900 2200 # 16 calls in one window would take three seconds

begin "without /each the methods share one window"
node --family evm --rate '5/1s kind=sliding'
two_methods 4 | run 0 batch -u "$url" --family evm --rate 5/1s --summary=json
refused "$url" 0
took 900 3500

begin "each in a configuration, with methods; another method is free"
node --family evm "${each[@]}"
printf 'networks:\n  - endpoints: [{url: "%s", limits: ["5/1s/each:eth_getBalance,eth_getCode"]}]\n' "$url" >"$dir/c.yaml"
{ two_methods 5; seq -f '{"method":"sim_echo","params":[%g]}' 300; } | run 0 -c "$dir/c.yaml" batch --summary=json
refused "$url" 0
took 0 2000

begin "--profile: its limits and batches hold, and options go on top"
cp "$rpcfan" "$dir/rpcfan"
mkdir "$dir/profiles"
printf 'limits: [8/1s]\nbatch: 3\n' >"$dir/profiles/mine.yaml"
node --rate '8/1s kind=sliding' --batch-max 3
mine=$url
profiled() ( cd "$dir" && exec ./rpcfan "$@" )
seq 12 | profiled batch -u "$mine" --profile mine -m sim_echo >"$dir/out" 2>"$dir/err" || wrong "exit status $?"
out_lines 12
refused "$mine" 0
[ "$(count batch_max "$mine")" -le 3 ] || wrong "a batch of $(count batch_max "$mine")"
node --batch-max 2
seq 40 | profiled batch -u "$url" --profile mine --rate 1000/1s --batch 2 -m sim_echo --summary=json \
    >"$dir/out" 2>"$dir/err" || wrong "exit status $?"
refused "$url" 0
took 0 2000
printf 'btch: 3\n' >"$dir/profiles/bad.yaml"
profiled check -u "$url" --profile bad >"$dir/out" 2>"$dir/err"
[ $? = 2 ] || wrong "a bad profile is no error"
err_has "profiles/bad.yaml:1: unknown key 'btch' in profile; did you mean 'batch'?"

begin "headers that tell a limit: the run slows down before it is refused"
declare -A nodes calls
for words in no yes epoch fields list; do
    node --rate "20/1s headers=$words"
    nodes[$words]=$url
    calls[$words]=50
    [ $words != no ] || calls[$words]=25
    seq "${calls[$words]}" >"$dir/in.$words"
    "$rpcfan" batch -u "$url" --batch 4 -m sim_echo "$dir/in.$words" >"$dir/out.$words" 2>"$dir/err.$words" &
    eval "pid_$words=$!"
    started+=($!)
done
for words in no yes epoch fields list; do
    pid=pid_$words
    status=0
    wait "${!pid}" || status=$?
    [ "$status" = 0 ] || wrong "$words: exit status $status"
    [ "$(wc -l <"$dir/out.$words")" = "${calls[$words]}" ] || wrong "$words: $(wc -l <"$dir/out.$words") lines"
    n=$(count refused_members "${nodes[$words]}")
    if [ $words = no ]; then
        [ "$n" -gt 0 ] || wrong "nothing is refused where nothing is told: this shows nothing"
    else
        refused "${nodes[$words]}" 4
    fi
done

begin "--start: where no limit is known it begins slowly"
node
seq 4 | run 0 batch -u "$url" --start 2 --batch 1 -m sim_echo --summary=json
took 400 4000

begin "limits that cannot be are told with their remedy"
run 2 call -u "$url" --rate 5/1s/eech x
err_has 'a limit is COUNT/WINDOW[/each][:METHODS]'
run 2 call -u "$url" --rate 0/1s x
run 2 call -u "$url" --start 0 x
err_has '--start 0: give a whole number from 1'
run 2 call -c "$dir/c.yaml" --profile mine x
err_has "in a configuration an endpoint has the key 'profile'"
run 2 call -u "$url" --profile nobody x
err_has "there is no profile 'nobody'; 'rpcfan check --profiles' lists"

finish
