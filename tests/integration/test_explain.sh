#!/bin/sh
# `rpcfan explain`: answers from options, from files and from curl on stdin; own rules; what is told
# when it cannot be done; and that the rules that are explained are those that are used.
set -u
cd "$(dirname "$0")/../.."
rpcfan=$PWD/${BUILD:-build}/rpcfan
case ${BUILD:-build} in /*) rpcfan=$BUILD/rpcfan ;; esac
dir=$(mktemp -d)
node=
failures=0
cases=0
stop() {
    [ -z "$node" ] || kill "$node" 2>/dev/null
    wait
    rm -rf "$dir"
}
trap stop EXIT

# run STATUS ARG... : stdin is $dir/in; its output is in $dir/out, what it says in $dir/err.
run() {
    want=$1
    shift
    cases=$((cases + 1))
    status=0
    "$rpcfan" "$@" >"$dir/out" 2>"$dir/err" <"$dir/in" || status=$?
    [ "$status" = "$want" ] || wrong "exit status $status, not $want: $*"
}
wrong() {
    failures=$((failures + 1))
    echo "FAILED: $1"
    cat "$dir/out" "$dir/err"
}
out_has() { grep -qE -e "$1" "$dir/out" || wrong "stdout lacks $1"; }
err_has() { grep -qE -e "$1" "$dir/err" || wrong "stderr lacks $1"; }
: >"$dir/in"

# options
run 0 explain --status 429 --header 'Retry-After: 5'
out_has '^rule      rate-429 \(built-in, line [0-9]+\)$'
out_has '^class     rate: too many calls in a time$'
out_has '^hints     come back after 5 s$'
out_has '^then      the endpoint pauses'
run 0 --family evm explain --body '{"id":1,"error":{"code":-32005,"message":"x"}}'
out_has '^rule      rate-eip1474'
run 0 explain --family solana --body '{"id":1,"error":{"code":-32005,"message":"x"}}'
out_has '^rule      sol-behind'
run 0 explain --body '{"id":1,"result":1}'
out_has '^class     ok: a result'
run 0 explain --status 502 --body '<html>bad gateway</html>'
out_has '^rule      html-failed'
run 0 explain --body ''
out_has 'no rule matches, the HTTP status decides'
run 0 explain --family solana -m getAccountInfo -p '["K",{"minContextSlot":1010}]' \
    --body '{"id":1,"error":{"code":-32016,"message":"x","data":{"contextSlot":1000}}}'
out_has '^hints     ask again after 4 s$'
run 0 explain --batch 4 --body '{"id":1,"error":{"code":-32601,"message":"x"}}'
out_has '^rule      batch-vague: it speaks of one call'
run 0 explain --family evm --status 400 -m eth_getLogs --body '{"id":1,"error":{"code":-32600,
    "message":"Under the Free tier plan, you can make eth_getLogs requests with up to a 10 block range. Based on your parameters, this block range should work: [0x1, 0xa]."}}'
out_has 'at most 10 blocks a range'
out_has 'blocks 1 to 10 would work'
out_has 'the plan sets the cap'

# files and stdin
printf '{"id":1,"error":{"code":-32090,"message":"Too many requests, retry in 10m0s"}}' >"$dir/body"
run 0 explain --body "@$dir/body"
out_has '^hints     come back after 300 s$'
cp "$dir/body" "$dir/in"
run 0 explain --body @-
out_has 'come back after 300 s'
run 0 explain
out_has 'come back after 300 s'
printf 'HTTP/1.1 200 Connection established\r\n\r\nHTTP/1.1 429 Too Many\r\nRetry-After: 3\r\n\r\n<html>' >"$dir/in"
run 0 explain
out_has '^hints     come back after 3 s$'
run 0 explain --status 500
out_has '^class     server'
printf 'HTTP/1.1 200 OK\n\n[{"id":1,"result":7},{"id":2,"error":{"code":429,"message":"50/second request limit"}}]' >"$dir/in"
run 0 explain
out_has '^member 1$'
out_has '^class     ok'
out_has '^member 2$'
out_has '50 calls in 1 s'

# machines
run 0 explain --json --family evm -m 'eth_"x"'
out_has '"method":"eth_\\"x\\""'
out_has '"answers":\[\{"class":"ok"\},\{"class":"rate","rule":"rate-second"'
out_has '"hints":\{"count":50,"window_ms":1000,"account":true\}'

# own rules
printf '# mine\n\nacme client "acme" "says no"\n' >"$dir/rules"
run 0 --rules "$dir/rules" explain --body 'Acme says: rate limit, it SAYS NO'
out_has '^rule      acme \(yours, line 3\)$'
out_has '^          acme client "acme" "says no"$'
run 0 explain --rules "$dir/rules" --list
head -n 1 "$dir/out" | grep -q '^yours:3	acme client' || wrong "own rules are not first"
out_has '^built-in:[0-9]+	rate-429 '
run 0 explain --list --json
out_has '^\[\{"rule":"revert","class":"revert","origin":"built-in","line":[0-9]+,"text":'
printf '\n\nacme nonsense "x"\n' >"$dir/rules.bad"
run 2 explain --rules "$dir/rules.bad" --list
err_has "rules.bad:3: 'nonsense' is no class; there are rate"
run 2 explain --rules "$dir/none" --list
err_has 'none: .*cannot be opened: No such file'
printf 'a app "x"\0' >"$dir/rules.zero"
run 2 explain --rules "$dir/rules.zero" --list
err_has 'it holds a zero byte'

# mistakes
: >"$dir/in"
run 2 explain
err_has "stdin is empty: give --status and --body, or the output of 'curl -i'"
run 2 explain --status 99
err_has '--status 99: give a number from 100'
run 2 explain --header nothing
err_has "give one line of the form 'Name: value'"
run 2 explain --params '{'
err_has '--params: it is not JSON'
run 2 explain --batch 0
err_has '--batch 0: give a number from 1'
run 2 explain word
err_has "'word' is one word too many"
run 2 explain --body "@$dir/none"
err_has 'cannot be read: No such file'
run 2 explain --bdy x
err_has "did you mean '--body'"
printf 'HTTP/1.1 2 OK\n\n' >"$dir/in"
run 2 explain
err_has 'line 1 is no status line'
printf 'HTTP/1.1 200 OK\nthe body\n' >"$dir/in"
run 2 explain
err_has 'line 2 is no header: a blank line goes between'
printf 'HTTP/1.1 200 OK\nContent-Encoding: br\n\nabc' >"$dir/in"
run 2 explain
err_has 'the body is compressed \(br\): add --compressed to curl'
run 0 help explain
out_has '^Usage: rpcfan .*explain'
if [ -e /dev/full ]; then
    cases=$((cases + 1))
    status=0
    "$rpcfan" explain --list >/dev/full 2>"$dir/err" || status=$?
    [ "$status" = 3 ] || wrong "a full disk is exit status $status, not 3"
fi

# what is explained is what is done: a rule of one's own makes a call fail over, or not
: >"$dir/in"
mkfifo "$dir/sick"
"$rpcfan" sim --listen 127.0.0.1:0 --print-port --quiet --family evm \
    --fault 'rpc-error code=-32099 message="acme says no"' >"$dir/sick" 2>"$dir/node.log" &
node=$!
{ read -r _ && read -r port; } <"$dir/sick" || wrong "no node"
url=http://127.0.0.1:$port
run 1 call -u "$url" --deadline 3s eth_blockNumber
err_has '\(rpc,'
printf 'acme quota account "acme says no"\n' >"$dir/rules"
run 1 call -u "$url" --deadline 3s --rules "$dir/rules" eth_blockNumber
err_has '\(quota,'
run 2 call -u "$url" --rules "$dir/rules.bad" eth_blockNumber
err_has 'rules.bad:3: '

# what curl -i prints of a live node is read as it is, and so is what was saved of it
curl -si --noproxy '*' -d '{"jsonrpc":"2.0","id":1,"method":"eth_blockNumber"}' "$url" >"$dir/in"
run 0 explain --rules "$dir/rules"
out_has '^rule      acme \(yours, line 1\)$'
out_has '^class     quota'
out_has '^then      the endpoint is benched'
cp "$dir/in" "$dir/saved"
: >"$dir/in"
run 0 explain --rules "$dir/rules" --body "@$dir/saved"
out_has '^class     quota'

echo "$cases cases, $failures failures"
[ "$failures" = 0 ]
