#!/bin/sh
# `rpcfan check`: what it prints and how it exits, for good and bad files, and with --live against
# fake nodes that are well, refuse batches, are of another chain, fail, or are not there.
set -u
cd "$(dirname "$0")/../.."
rpcfan=$PWD/${BUILD:-build}/rpcfan
case ${BUILD:-build} in /*) rpcfan=$BUILD/rpcfan ;; esac
dir=$(mktemp -d)
nodes=
failures=0
cases=0
stop() {
    # shellcheck disable=SC2086
    [ -z "$nodes" ] || kill $nodes 2>/dev/null
    wait
    rm -rf "$dir"
}
trap stop EXIT

# start NAME OPTION... : a fake node; its address is in $url.
start() {
    mkfifo "$dir/$1"
    name=$1
    shift
    "$rpcfan" sim --listen 127.0.0.1:0 --print-port --quiet "$@" >"$dir/$name" 2>"$dir/$name.log" &
    nodes="$nodes $!"
    { read -r _ && read -r port; } <"$dir/$name" || { echo "no node $name"; exit 1; }
    url=http://127.0.0.1:$port
}

# run STATUS ARG... : its output is in $dir/out, what it says in $dir/err.
run() {
    want=$1
    shift
    cases=$((cases + 1))
    status=0
    "$rpcfan" "$@" >"$dir/out" 2>"$dir/err" </dev/null || status=$?
    [ "$status" = "$want" ] || wrong "exit status $status, not $want: $*"
}
wrong() {
    failures=$((failures + 1))
    echo "FAILED: $1"
    cat "$dir/out" "$dir/err"
}
out_has() { grep -qE "$1" "$dir/out" || wrong "stdout lacks $1"; }
err_has() { grep -qE "$1" "$dir/err" || wrong "stderr lacks $1"; }
no_secret() {
    if grep -qE 's3cret|127\.0\.0\.1|http:' "$dir/out" "$dir/err"; then wrong "a URL is shown"; fi
}

start evm --family evm --chain-id 137 --head 4660
evm=$url
start small --family evm --chain-id 137 --head 4660 --batch-max '5 shape=base'
small=$url
start never --family evm --chain-id 137 --batch-max '0 shape=erigon'
never=$url
start other --family evm --chain-id 1
other=$url
start sick --family evm --fault 'http-error status=500'
sick=$url
start solana --family solana --head 777
solana=$url

cat >"$dir/good.yaml" <<YAML
networks:
  - name: poly
    family: evm
    endpoints:
      - {name: one, url: "$evm/s3cret", priority: 3, limits: [100/1s]}
      - {name: two, url: "$small/s3cret"}
      - {name: three, url: "$never/s3cret"}
      - {name: four, url: "$evm/s3cret", batch: 1}
      - {name: five, url: "$evm/s3cret", limits: [10/1s]}
      - {name: six, url: "$evm/s3cret", limits: [40/1s, 4000w/1s], weights: {"*": 26}}
  - name: sol
    family: solana
    endpoints: [{url: "$solana/s3cret"}]
  - name: any
    endpoints: [{url: "$evm/s3cret"}]
YAML
run 0 -c "$dir/good.yaml" check
out_has '^poly +evm +one +3 +16 +20 +1$'
out_has '^sol +solana +ep1 +0 +16 +20 +0$'
out_has '^any +generic +ep1 '
no_secret

run 0 -c "$dir/good.yaml" check --live
out_has '^poly +one +ok +[0-9.]+ +2[01] pass +4660  0x89$'
out_has '^poly +two +ok +[0-9.]+ +at most [2-5] +4660  0x89$'
out_has '^poly +three +ok +[0-9.]+ +refused '
out_has '^poly +four +ok +[0-9.]+ +off '
out_has '^poly +five +ok +[0-9.]+ +not seen '
out_has '^poly +six +ok +[0-9.]+ +(9|10) pass '
out_has '^sol +ep1 +ok +[0-9.]+ +2[01] pass +777  [1-9A-HJ-NP-Za-km-z]{32,44}$'
out_has '^any +ep1 +ok +[0-9.]+ +2[01] pass +4660  0x89$' # found out
no_secret

run 0 -c "$dir/good.yaml" -n sol check --live
out_has '^sol '
if grep -q '^poly' "$dir/out"; then wrong "-n sol shows poly"; fi

cat >"$dir/mixed.yaml" <<YAML
networks:
  - name: poly
    family: evm
    endpoints:
      - {name: a, url: "$evm/s3cret"}
      - {name: b, url: "$other/s3cret"}
YAML
run 1 -c "$dir/mixed.yaml" check --live
err_has 'network poly: endpoint b answers chain 0x1, a answers 0x89'
no_secret

cat >"$dir/sick.yaml" <<YAML
networks:
  - name: poly
    family: evm
    deadline: 5s
    endpoints:
      - {name: gone, url: "http://127.0.0.1:1/s3cret"}
      - {name: sick, url: "$sick/s3cret"}
      - {name: wrong, url: "$solana/s3cret"}
      - {name: well, url: "$evm/s3cret"}
YAML
run 1 -c "$dir/sick.yaml" check --live
out_has '^poly +gone +FAILED eth_chainId: .'
out_has '^poly +sick +FAILED eth_chainId: .'
out_has '^poly +wrong +FAILED eth_chainId: .'
out_has '^poly +well +ok '
no_secret

# One that is not there fails a network of any family.
run 1 -u http://127.0.0.1:1/s3cret --deadline 5s check --live
out_has '^net1 +ep1 +FAILED rpc_modules: '
no_secret
run 0 -u "$solana/s3cret" check --live
out_has '^net1 +ep1 +ok .* 777 '
run 0 -u "$solana/s3cret" --family solana check --live
out_has '^net1 +ep1 +ok .* 777 '

printf 'networks:\n  - endpoints:\n      - ur: %s\n' "$evm/s3cret" >"$dir/bad.yaml"
run 2 -c "$dir/bad.yaml" check
err_has "bad.yaml:3: unknown key 'ur' in endpoint; did you mean 'url'\?"
no_secret
run 2 check
err_has 'nothing to check'
run 2 -c "$dir/good.yaml" check --alive
run 2 -c "$dir/good.yaml" check word
run 2 -c "$dir/none.yaml" check
err_has 'none.yaml: the configuration cannot be opened'
run 0 check --profiles
out_has '^solana-public +Solana.s public endpoints'
out_has '^geth +A geth node'
[ "$(wc -l <"$dir/out")" = "$(find configs/profiles -name '*.yaml' | wc -l)" ] || wrong "not all profiles"
run 0 -u "$evm/s3cret" --profile op-public check
out_has '^net1 +generic +ep1 +0 +16 +10 +1$'
run 2 -u "$evm/s3cret" --profile nobody check
err_has "no profile 'nobody'; 'rpcfan check --profiles' lists"
run 2 -c "$dir/good.yaml" --profile geth check
err_has "the key 'profile'"
run 0 check --help
out_has '^Usage: '

cases=$((cases + 1))
if "$rpcfan" -c "$dir/good.yaml" check >/dev/full 2>"$dir/err"; then status=0; else status=$?; fi
[ "$status" = 3 ] || wrong "stdout full: exit status $status, not 3"

echo "$cases cases, $failures failed"
[ "$failures" = 0 ]
