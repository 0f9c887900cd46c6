#!/bin/sh
# --state: what one run learned is there for the next, a broken file is refused and left alone, and
# what cannot be saved is told.
set -u
cd "$(dirname "$0")/../.."
rpcfan=$PWD/${BUILD:-build}/rpcfan
case ${BUILD:-build} in /*) rpcfan=$BUILD/rpcfan ;; esac
dir=$(mktemp -d)
failures=0
cases=0
mkfifo "$dir/port"
"$rpcfan" sim --listen 127.0.0.1:0 --print-port --quiet --family evm >"$dir/port" 2>"$dir/sim.log" &
node=$!
trap 'kill $node; wait; rm -rf "$dir"' EXIT
{ read -r _ && read -r port; } <"$dir/port" || { echo "no node"; exit 1; }
url=http://127.0.0.1:$port

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
err_has() { grep -qE "$1" "$dir/err" || wrong "stderr lacks $1"; }
whole() { grep -qE '^\{"version":1,"saved":[0-9]+,"learned":\{.*\}\}$' "$1" || wrong "$1 is not whole"; }

run 0 call -u "$url" --state "$dir/a.state" eth_blockNumber
whole "$dir/a.state"
run 0 call -u "$url" --state "$dir/a.state" eth_blockNumber
whole "$dir/a.state"
seq 1 50 >"$dir/lines"
run 0 batch -u "$url" --state "$dir/b.state" -m eth_getBalance -p '["0x{}","latest"]' "$dir/lines"
whole "$dir/b.state"
run 0 batch -u "$url" --state "$dir/b.state" -m eth_getBalance -p '["0x{}","latest"]' "$dir/lines"
run 1 batch -u http://127.0.0.1:1 --deadline 1s --state "$dir/c.state" -m eth_chainId "$dir/lines"
whole "$dir/c.state"
if grep -q 127.0.0.1 "$dir"/?.state; then wrong "a URL is saved"; fi

echo '{"version":1}' >"$dir/bad.state"
for command in "call eth_blockNumber" "batch -m eth_call $dir/lines"; do
    # shellcheck disable=SC2086
    run 2 $command -u "$url" --state "$dir/bad.state"
    err_has "bad.state: it is not a state file of rpcfan .*; remove it to begin anew"
    [ "$(cat "$dir/bad.state")" = '{"version":1}' ] || wrong "a broken file was written to"
    # shellcheck disable=SC2086
    run 3 $command -u "$url" --state "$dir"
    err_has "directory"
done
run 3 call -u "$url" --state "$dir/none/x.state" eth_blockNumber
err_has "none/x.state: what was learned cannot be saved: No such file"
grep -q 0x "$dir/out" || wrong "no result because of the state"
[ "$(find "$dir" -name '*.state*' | wc -l)" = 4 ] || wrong "files were left behind"

echo "$cases cases, $failures failed"
[ "$failures" = 0 ]
