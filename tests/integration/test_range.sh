#!/bin/bash
# --split range: eth_getLogs over more blocks than a node takes comes to what one that takes any
# number answers, byte for byte: whatever the cap, its words, the node's layout and its faults.
. "$(dirname "$0")/batch_lib.sh"
export no_proxy='*'

node --family evm --head 100000
whole=$url
filter='{"fromBlock":"0x3e8","toBlock":"0x2710","address":"0x0000000000000000000000000000000000000007"}'
"$rpcfan" call -u "$whole" --family evm eth_getLogs "$filter" >"$dir/want" || wrong "no answer to compare with"
has_size "$dir/want" 900000 || wrong "the answer to compare with is too short"

# split NODE... : the call in pieces is what it is as a whole.
split() {
    local u list=()
    for u in "$@"; do list+=(-u "$u"); done
    run 0 call "${list[@]}" --family evm --split range eth_getLogs "$filter"
    same "$dir/want" "$dir/out"
}

begin "a cap that is told, suggested, or only spoken of"
for words in '1000' '8999' '9001' '700 message="block range is too large"' \
    '50 code=-32600 message="Under the Free tier plan, you can make eth_getLogs requests with up to a {max} block range. Based on your parameters, this block range should work: [{from}, {to}]."' \
    '2000 code=-32614 message="eth_getLogs is limited to a {max} range"'; do
    node --family evm --head 100000 --range-max "$words"
    split "$url"
done
capped=$url

begin "without --split the node's error is the answer"
run 1 call -u "$capped" --family evm eth_getLogs "$filter"
err_has '{"code":-32614,"message":"eth_getLogs is limited to a 2000 range"}'
run 1 call -u "$capped" --family evm --split none eth_getLogs "$filter"

begin "several nodes with caps of their own, one of them without"
node --family evm --head 100000 --range-max '300'
tight=$url
split "$tight" "$capped"
split "$whole" "$tight" "$capped"

begin "pieces that fail are tried again; one that fails for good fails the call and is named"
node --family evm --head 100000 --range-max 500 --fault 'http-error status=502 requests=4..6'
split "$url"
node --family evm --head 100000 --range-max 500 --fault 'reset after=3000 requests=5..6'
split "$url"
node --family evm --head 100000 --range-max 500 \
    --fault 'rpc-error method=eth_getLogs code=-32000 message="disk on fire" requests=2..'
run 1 call -u "$url" --family evm --split range eth_getLogs "$filter"
err_has '{"code":-32000,"message":"disk on fire"}'
grep -qE 'blocks [0-9]+ to [0-9]+' "$dir/err" || wrong "the blocks are not named"
[ ! -s "$dir/out" ] || wrong "half an answer is written"

begin "too many results: halves do"
blocks='{"fromBlock":"0x0","toBlock":"0x186a0"}' # over 10000 logs
run 1 call -u "$whole" --family evm eth_getLogs "$blocks"
err_has 'query returned more than 10000 results'
run 0 call -u "$whole" --family evm --split range eth_getLogs "$blocks"
cp "$dir/out" "$dir/all"
run 0 call -u "$capped" --family evm --split range eth_getLogs "$blocks"
same "$dir/all" "$dir/out"

begin "an end that is open is the head, as it is without splitting"
for open in '{"fromBlock":"0x16378"}' '{"fromBlock":"0x16378","toBlock":"latest"}'; do
    "$rpcfan" call -u "$whole" --family evm eth_getLogs "$open" >"$dir/open"
    run 0 call -u "$capped" --family evm --split range eth_getLogs "$open"
    same "$dir/open" "$dir/out"
done

begin "what is no range of blocks goes as it is"
run 1 call -u "$capped" --family evm --split range eth_getLogs '{"fromBlock":"0x20","toBlock":"0x10"}'
err_has 'invalid block range'
run 0 call -u "$capped" --family evm --split range eth_getLogs '{"fromBlock":"0x7","toBlock":"0x7"}'

begin "in a batch: one line for each call, compact also where nodes spread their answers"
node --family evm --head 100000 --range-max 500 --fault pretty
printf '{"id":"a","method":"eth_getLogs","params":[%s]}\n{"id":"b","method":"eth_chainId"}\n{"id":"c","method":"eth_getLogs","params":[%s]}\n' \
    "$filter" "$filter" | run 0 batch -u "$url" --family evm --split range
out_lines 3
for id in a:1 c:3; do
    printf '{"jsonrpc":"2.0","id":"%s","result":%s}\n' "${id%:*}" "$(cat "$dir/want")" >"$dir/line"
    sed -n "${id#*:}p" "$dir/out" >"$dir/got"
    same "$dir/line" "$dir/got"
done

begin "a rule of one's own makes a node's own words mean it"
node --family evm --head 100000 --range-max '700 code=-32099 message="computer says no"'
run 1 call -u "$url" --family evm --split range eth_getLogs "$filter"
echo 'ours split-range "computer says no"' >"$dir/rules"
run 0 call -u "$url" --family evm --split range --rules "$dir/rules" eth_getLogs "$filter"
same "$dir/want" "$dir/out"

begin "a configuration turns it on, with rules beside it"
printf 'rules: rules\nnetworks:\n  - {name: n, family: evm, split: range, endpoints: [{url: "%s"}]}\n' \
    "$url" >"$dir/c.yaml"
(cd / && "$rpcfan" -c "$dir/c.yaml" call eth_getLogs "$filter") >"$dir/out" 2>"$dir/err" || wrong "exit status $?"
same "$dir/want" "$dir/out"
run 1 -c "$dir/c.yaml" --split none call eth_getLogs "$filter"
err_has 'computer says no'

begin "interrupted in the middle: nothing of a half-joined answer is written"
node --family evm --head 100000 --range-max 100 --latency 'fixed 30ms'
for _ in $(seq 20); do echo "{\"method\":\"eth_getLogs\",\"params\":[$filter]}"; done >"$dir/in"
"$rpcfan" batch -u "$url" --family evm --split range --batch 2 --in-flight 2 -o "$dir/joined" \
    "$dir/in" 2>"$dir/err" &
batch=$!
started+=("$batch")
for _ in $(seq 500); do
    [ "$(curl -s "$url" | grep -o '"members":[0-9]*' | cut -d : -f 2)" -gt 10 ] && break
    pause
done
kill -s TERM "$batch"
status=0
wait "$batch" || status=$?
[ "$status" = 130 ] || wrong "exit status $status"
n=0
while read -r line; do
    [ "$line" = "{\"jsonrpc\":\"2.0\",\"id\":$((++n)),\"result\":$(cat "$dir/want")}" ] || wrong "line $n"
done <"$dir/joined"

begin "the deadline holds for all pieces together"
node --family evm --range-max 100 --fault 'hang method=eth_getLogs requests=3..'
run 1 call -u "$url" --family evm --split range --deadline 500ms eth_getLogs "$filter"
err_has '(deadline,'

finish
