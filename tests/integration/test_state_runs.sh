#!/bin/bash
# --state from one run to the next: what the first run had to find out by refusals, the second one
# knows. And what becomes of the file when runs overlap, are interrupted or killed, or the disk is
# full.
. "$(dirname "$0")/batch_lib.sh"
export no_proxy='*'
state=$dir/kept.state

# count FIELD ADDRESS: a counter of a fake node.
count() { curl -s "$2" | grep -o "\"$1\":[0-9]*" | head -n 1 | cut -d : -f 2; }
whole() { grep -qE '^\{"version":1,"saved":[0-9]+,"learned":\{.*\}\}$' "$state" || wrong "the state file is not whole"; }
seq 300 >"$dir/in"

begin "batch caps: refused batches in the first run, none in the second"
for shape in geth base http400 null-array; do
    rm -f "$state"
    node --batch-max "7 shape=$shape"
    run 0 batch -u "$url" --family evm --state "$state" -m sim_echo "$dir/in"
    cp "$dir/out" "$dir/want"
    whole
    refused=$(count refused_requests "$url")
    [ "${refused:-0}" -ge 1 ] || wrong "$shape: the first run met no refusal"
    run 0 batch -u "$url" --family evm --state "$state" -m sim_echo "$dir/in"
    same "$dir/want" "$dir/out"
    [ "$(count refused_requests "$url")" = "$refused" ] || wrong "$shape: the second run met refusals"
    [ "$(count batches "$url")" -gt 80 ] || wrong "$shape: no batches any more"
done

begin "without --state each run finds out anew"
run 0 batch -u "$url" --family evm -m sim_echo "$dir/in"
[ "$(count refused_requests "$url")" -gt "$refused" ] || wrong "the cap came from nowhere"

begin "range caps: the second run begins with pieces that pass"
rm -f "$state"
filter='{"fromBlock":"0x0","toBlock":"0x1387"}'
node --family evm --range-max '100 message="block range is too large"' # it tells no number
range=$url
run 0 call -u "$range" --family evm --split range --state "$state" eth_getLogs "$filter"
cp "$dir/out" "$dir/want"
grep -q '"ranges":{"eth_getLogs":[1-9]' "$state" || wrong "no range is kept: $(cat "$state")"
first=$(count members "$range")
run 0 call -u "$range" --family evm --split range --state "$state" eth_getLogs "$filter"
same "$dir/want" "$dir/out"
second=$(($(count members "$range") - first))
[ "$second" -lt "$first" ] || wrong "the second run took $second calls, the first one $first"

begin "methods that a node does not have: the second run does not ask it"
rm -f "$state"
node --family solana
poor=$url
node --family evm
rich=$url
cat >"$dir/c.yaml" <<Y
networks:
  - name: n
    family: evm
    policy: failover
    endpoints: [{name: poor, url: "$poor"}, {name: rich, url: "$rich"}]
Y
run 0 -c "$dir/c.yaml" --state "$state" call eth_chainId
grep -q '"poor".*"unsupported":{"eth_chainId":[1-9]' "$state" || wrong "it is not kept: $(cat "$state")"
before=$(count members "$poor")
run 0 -c "$dir/c.yaml" --state "$state" call eth_chainId
out_is '"0x1"'
[ "$(count members "$poor")" = "$before" ] || wrong "it was asked again"

begin "facts are about names: another name, and another network, begin anew"
cp "$state" "$dir/copy"
sed 's/name: poor/name: other/' "$dir/c.yaml" >"$dir/d.yaml"
run 0 -c "$dir/d.yaml" --state "$dir/copy" call eth_chainId
[ "$(count members "$poor")" = $((before + 1)) ] || wrong "it was not asked under its new name"

begin "two runs at once: one of their files stays, whole"
for i in 1 2 3 4; do
    "$rpcfan" batch -u "$rich" --state "$state" -m sim_echo "$dir/in" >"$dir/out.$i" 2>"$dir/err.$i" &
    started+=($!)
    eval "run$i=$!"
done
# shellcheck disable=SC2154
for pid in "$run1" "$run2" "$run3" "$run4"; do
    status=0
    wait "$pid" || status=$?
    [ "$status" = 0 ] || wrong "exit status $status"
done
whole
[ "$(find "$dir" -name 'kept.state*' | wc -l)" = 1 ] || wrong "files were left behind"

begin "an interrupted run saves what it learned; a killed one leaves what was there"
node --batch-max '7 shape=base' --latency 'fixed 20ms'
seq 5000 >"$dir/long"
for signal in TERM KILL; do
    rm -f "$state" "$dir/got"
    echo '{"version":1,"saved":1,"learned":{"networks":[]}}' >"$state"
    cp "$state" "$dir/old"
    "$rpcfan" batch -u "$url" --family evm --state "$state" --in-flight 2 -m sim_echo \
        -o "$dir/got" "$dir/long" 2>"$dir/err" &
    batch=$!
    started+=("$batch")
    for _ in $(seq 500); do
        has_size "$dir/got" 200 && break
        pause
    done
    kill -s $signal "$batch"
    { wait "$batch"; } 2>/dev/null
    if [ $signal = TERM ]; then
        whole
        grep -q '"batch":[1-7],' "$state" || wrong "the cap is not kept: $(cat "$state")"
    else
        same "$dir/old" "$state"
    fi
done

begin "a full disk: the answer is there, the old file stays, status 3"
cp "$state" "$dir/old"
(
    ulimit -f 0
    "$rpcfan" call -u "$rich" --state "$state" eth_chainId 2>&1
    echo "status $?"
) | cat >"$dir/out"
out_line 1 '"0x1"'
out_line 2 'kept.state: what was learned cannot be saved: File too large'
out_line 3 'status 3'
same "$dir/old" "$state"
[ "$(find "$dir" -name 'kept.state*' | wc -l)" = 1 ] || wrong "files were left behind"

begin "devices are no state files"
for file in /dev/full /dev/null; do
    [ -e $file ] || continue
    run 2 call -u "$rich" --state $file eth_chainId
    err_has "$file: "
    [ ! -f $file ] || wrong "$file was replaced"
done

finish
