#!/bin/bash
# Calls to several nodes at once: --policy and --quorum with nodes that agree, disagree, fail, hang
# or are not there; what `batch` makes of them, also when interrupted; hedges and joins.
. "$(dirname "$0")/batch_lib.sh"
export no_proxy='*'
dead=http://127.0.0.1:1

# count FIELD ADDRESS: a counter of a fake node.
count() { curl -s "$2" | grep -o "\"$1\":[0-9]*" | head -n 1 | cut -d : -f 2; }
err_matches() { grep -qE -- "$1" "$dir/err" || wrong "stderr has no match of $1"; }
# below N LIMIT
below() { [ "${1:-999999}" -lt "$2" ] || wrong "'$1' is not below $2"; }

node --family evm
a=$url
node --family evm
b=$url
node --family evm --chain-id 5 --fault pretty
other=$url
node --family evm --fault 'http-error status=500'
sick=$url
node --family evm --fault hang
hung=$url

begin "quorum: two that agree, and a third that makes good for one that differs or is dead"
run 0 call -u "$a" -u "$b" --policy quorum eth_chainId
out_is '"0x1"'
run 0 call -u "$a" -u "$other" -u "$b" --policy quorum eth_chainId
out_is '"0x1"'
run 0 call -u "$dead" -u "$a" -u "$b" --family evm --policy quorum eth_chainId
out_is '"0x1"'
run 0 call -u "$sick" -u "$a" -u "$b" --family evm --policy quorum eth_chainId
out_is '"0x1"'

begin "quorum: nodes that differ: the error object says who said what"
run 1 call -u "$a" -u "$other" --policy quorum eth_chainId
err_has '{"code":-39021,"message":"1 of 2 endpoints gave equal answers, 2 were wanted","data":{"rpcfan":{'
err_has '"class":"quorum","name":"quorum","attempts":2,"answers":[{"endpoint":"ep1","result":"0x1","bytes":5},{"endpoint":"ep2","result":"0x5","bytes":5}]}}}'
err_has '(quorum, 2 attempts)'
[ ! -s "$dir/out" ] || wrong "there is a result"

begin "quorum in a batch: the same object, compact whatever a node's layout, under the caller's id"
echo '{"id":"x","method":"eth_getBlockByNumber","params":["0x1",false]}
{"method":"net_version"}
{"method":"web3_clientVersion"}' | run 1 batch -u "$a" -u "$other" --policy quorum --summary
out_lines 3
out_line 1 '{"jsonrpc":"2.0","id":"x","error":{"code":-39021,"message":"1 of 2 endpoints gave equal'
out_line 1 '{"endpoint":"ep2","result":{"number":"0x1","hash":'
out_line 2 '"answers":[{"endpoint":"ep1","result":"1","bytes":3},{"endpoint":"ep2","result":"5","bytes":3}]'
out_line 3 '{"jsonrpc":"2.0","id":3,"result":"rpcfan-sim/'
err_has 'errors:    2 (quorum 2)'

begin "quorum: a node that fails is in the report with its failure, and nobody waits for the others"
run 1 call -u "$a" -u "$dead" --family evm --policy quorum eth_chainId
err_has '{"endpoint":"ep1","result":"0x1","bytes":5},{"endpoint":"ep2","failed":"connect","why":'
run 1 call -u "$a" -u "$other" -u "$hung" --family evm --policy quorum --quorum 3 eth_chainId
err_has '"result":"0x5","bytes":5},{"endpoint":"ep3","waiting":true}]'

begin "quorum: an error that all give is the answer, be it one that another node might not have given"
run 1 call -u "$a" -u "$b" --family evm --policy quorum eth_nonsense
err_has '{"code":-32601,"message":"the method eth_nonsense does not exist'
err_matches '\(rpc, '
run 1 call -u "$a" -u "$b" --policy quorum sim_error -32000 'no such thing'
err_has '{"code":-32000,"message":"no such thing"}'

begin "quorum: long answers are cut short in the report, as texts"
node --family evm --answer "sim_big '\"$(seq -s - 2000)\"'"
run 1 call -u "$a" -u "$url" --policy quorum sim_big 3000
err_has '","bytes":3002},{"endpoint":"ep2","result":'
below "$(wc -c <"$dir/err")" 6000

begin "first: the quick one answers, whatever becomes of the others"
for slow in "$dead" "$hung" "$sick"; do
    run 0 call -u "$slow" -u "$a" --family evm --policy first --deadline 10s eth_chainId
    out_is '"0x1"'
done
run 1 call -u "$dead" -u "$dead" --policy first eth_chainId
err_matches 'connection refused \(connect, endpoint ep[12], '

begin "failover and balance: a dead or failing node is passed over"
for policy in failover balance; do
    run 0 call -u "$dead" -u "$sick" -u "$a" --family evm --policy $policy eth_chainId
    out_is '"0x1"'
done
node --family evm
spare=$url
seq 50 | run 0 batch -u "$a" -u "$spare" --policy failover -m sim_echo
[ "$(count members "$spare")" = 0 ] || wrong "failover asked the second one"

begin "broadcast: every node gets it, and one that knows it already is no error"
node --family evm
c=$url
node --family evm
d=$url
send=(call --family evm --policy broadcast eth_sendRawTransaction 0x0203)
"$rpcfan" call -u "$c" --family evm eth_sendRawTransaction 0x0203 >"$dir/first" # now it knows it
run 0 -u "$c" "${send[@]}"
same "$dir/first" "$dir/out"
before=$(count members "$d")
run 0 -u "$dead" -u "$c" -u "$d" "${send[@]}"
same "$dir/first" "$dir/out"
[ "$(count members "$d")" = $((before + 1)) ] || wrong "the third node did not get it"
run 1 -u "$dead" -u "$dead" "${send[@]}"
err_has 'connection refused'

begin "interrupted: calls that are cut off have no line, least of all one of disagreement"
node --family evm --latency 'fixed 60ms'
slow=$url
node --family evm --latency 'fixed 60ms'
slow2=$url
seq 2000 >"$dir/in"
"$rpcfan" batch -u "$a" -m sim_echo -o "$dir/want" "$dir/in" || wrong "the undisturbed run failed"
for policy in quorum first; do
    rm -f "$dir/got"
    "$rpcfan" batch -u "$slow" -u "$slow2" --policy $policy --batch 4 --in-flight 4 -m sim_echo \
        -o "$dir/got" "$dir/in" 2>"$dir/err" &
    batch=$!
    started+=("$batch")
    for _ in $(seq 500); do
        has_size "$dir/got" 200 && break
        pause
    done
    kill -s TERM "$batch"
    status=0
    wait "$batch" || status=$?
    [ "$status" = 130 ] || wrong "$policy: exit status $status"
    lines=$(wc -l <"$dir/got")
    [ "$lines" -gt 0 ] && [ "$lines" -lt 2000 ] || wrong "$policy: $lines lines"
    head -n "$lines" "$dir/want" >"$dir/prefix"
    same "$dir/prefix" "$dir/got"
    run 0 batch -u "$a" -u "$b" --policy $policy -m sim_echo --resume -o "$dir/got" "$dir/in"
    same "$dir/want" "$dir/got"
done

begin "hedge: a second node is asked where the first is slow for once, and only so often"
node --family evm --latency 'fixed 1ms' --fault 'hang every=150 times=3'
slow=$url
node --family evm
spare=$url
seq 500 | run 0 batch -u "$slow" -u "$spare" --policy failover --hedge 5% --window 1 --batch 1 \
    --timeout 20s -m sim_echo
out_lines 500
asked=$(count members "$spare")
[ "${asked:-0}" -ge 2 ] || wrong "the second one was asked $asked times"
below "$asked" 26

begin "join: equal reads under way are asked once, each is answered under its own id"
node --family evm --latency 'fixed 100ms'
for i in 1 2 3 4 5 6 7 8; do
    echo '{"id":"'$i'","method":"eth_getBalance","params":["0x1", "latest"]}'
    echo '{"id":"s'$i'","method":"eth_sendRawTransaction","params":["0x020'$i'"]}'
done | run 0 batch -u "$url" --family evm --join
out_lines 16
[ "$(cut -d , -f 3 "$dir/out" | sort -u | wc -l)" = 9 ] || wrong "not 9 different results"
[ "$(count members "$url")" = 9 ] || wrong "$(count members "$url") calls, not 9"

begin "misuse is told with its remedy"
run 2 call -u "$a" --policy quorum eth_chainId
err_has '2 endpoints must agree, and there are 1; give more, or a lower --quorum'
run 2 call -u "$a" --quorum 1 eth_chainId
err_has 'it goes with --policy quorum'
run 2 call -u "$a" --policy most eth_chainId
err_has 'balance, failover, first, quorum, broadcast'
for bad in 5 51% x% -1%; do
    run 2 call -u "$a" --hedge=$bad eth_chainId
    err_has 'give a share of the calls from 0% to 50%, such as 5%'
done

finish
