# batch_lib.sh - sourced by test_batch*.sh: starts fake nodes, counts cases, cleans up.
# shellcheck shell=bash disable=SC2034
set -u
shopt -s lastpipe # `... | run` must count its failures in this shell
cd "$(dirname "${BASH_SOURCE[0]}")/../.." || exit 1
case ${BUILD:-build} in
/*) rpcfan=$BUILD/rpcfan ;;
*) rpcfan=$PWD/${BUILD:-build}/rpcfan ;;
esac
# A sanitizer's own memory says nothing about ours: memory bounds hold for plain builds only.
if grep -qa __asan_init "$rpcfan"; then sanitized=1; else sanitized=0; fi
export UBSAN_OPTIONS=${UBSAN_OPTIONS:-halt_on_error=1}
dir=$(mktemp -d)
started=()
failures=0
cases=0
cleanup() {
    local pid
    {
        for pid in "${started[@]}"; do kill -9 "$pid"; done
        for pid in "${started[@]}"; do wait "$pid"; done
    } 2>/dev/null
    rm -rf "$dir"
}
trap cleanup EXIT
mkfifo "$dir/never"
exec 9<>"$dir/never" # nothing is ever written here: pause waits on it

# pause: at most 20 ms, for bounded loops on a condition.
pause() { read -r -t 0.02 -u 9 _; }

# node OPTION...: a fake node; its address is in $url, its process in $node.
node() {
    local fifo=$dir/node.$RANDOM.${#started[@]} line
    mkfifo "$fifo"
    "$rpcfan" sim --listen 127.0.0.1:0 "$@" >"$fifo" 2>"$fifo.log" &
    node=$!
    node_log=$fifo.log
    started+=("$node")
    read -r -t 20 line <"$fifo" || { echo "the fake node did not start"; exit 1; }
    url=${line##* }
}

begin() {
    what=$1
    cases=$((cases + 1))
}
wrong() {
    failures=$((failures + 1))
    echo "FAILED: $what: $1"
    [ ! -s "$dir/err" ] || head -c 1000 "$dir/err"
}
# run STATUS ARG...: stdin is the function's own; stdout in $dir/out, stderr in $dir/err.
run() {
    local want=$1 status=0
    shift
    "$rpcfan" "$@" >"$dir/out" 2>"$dir/err" || status=$?
    [ "$status" = "$want" ] || wrong "exit status $status, not $want"
}
out_is() { [ "$(cat "$dir/out")" = "$1" ] || wrong "stdout is '$(head -c 600 "$dir/out")', not '$1'"; }
out_line() { # NUMBER TEXT: the line holds the text
    sed -n "$1p" "$dir/out" | grep -qF -- "$2" || wrong "line $1 is '$(sed -n "$1p" "$dir/out" | head -c 400)': no '$2' in it"
}
out_lines() { [ "$(wc -l <"$dir/out")" = "$1" ] || wrong "$(wc -l <"$dir/out") lines, not $1"; }
err_has() { grep -qF -- "$1" "$dir/err" || wrong "stderr lacks '$1'"; }
err_lacks() { if grep -qF -- "$1" "$dir/err"; then wrong "stderr has '$1'"; fi; }
# same A B: two files are equal, byte for byte.
same() { cmp -s "$1" "$2" || wrong "$(cmp "$1" "$2" 2>&1 | head -1)"; }
# has_size FILE N: FILE has at least N bytes.
has_size() { [ -f "$1" ] && [ "$(stat -c %s "$1")" -ge "$2" ]; }

# memory_below KIB LIMIT
memory_below() {
    [ "$1" -gt 0 ] || wrong "its memory was never seen"
    [ "$sanitized" = 1 ] || [ "$1" -lt "$2" ] || wrong "$1 KiB of memory, not below $2"
}

finish() {
    echo "$cases cases, $failures failures"
    [ "$failures" = 0 ]
    exit
}
