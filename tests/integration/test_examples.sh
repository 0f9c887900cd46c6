#!/bin/bash
# The examples, and the code and configuration in README.md: they compile as an installed library
# would have it, and they print what they promise.
. "$(dirname "$0")/batch_lib.sh"
build=${rpcfan%/rpcfan}

# example STATUS NAME ARG...: run one; stdout in $dir/out, stderr in $dir/err.
example() {
    local want=$1 status=0
    shift
    timeout -k 1 30 "$@" >"$dir/out" 2>"$dir/err" </dev/null || status=$?
    [ "$status" = "$want" ] || wrong "exit status $status, not $want"
}
line_is() { # NUMBER REGEX
    sed -n "$1p" "$dir/out" | grep -qE "^$2\$" || wrong "line $1 is '$(sed -n "$1p" "$dir/out")'"
}

# What `make install` makes of a prefix, as links.
mkdir "$dir/prefix"
ln -s "$PWD/include" "$dir/prefix/include"
ln -s "$(cd "$build" && pwd)" "$dir/prefix/lib"
flags=$(PKG_CONFIG_PATH=$build pkg-config --define-variable=prefix="$dir/prefix" \
    --cflags --libs rpcfan libuv) || { echo "pkg-config knows no rpcfan"; exit 1; }
# compile SOURCE PROGRAM: against the shared library, with nothing of the source tree.
compile() {
    # shellcheck disable=SC2086
    (cd "$dir" && "${CC:-cc}" ${SANITIZE:+-fsanitize=$SANITIZE} -Wall -Wextra -Werror -o "$2" "$1" \
        $flags) >"$dir/err" 2>&1 || wrong "it does not compile"
}
export LD_LIBRARY_PATH=$dir/prefix/lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}

node --chain-id 137
plain=$url
node --latency 'fixed 60s method=eth_getBlockByNumber' --track eth_getBalance
slow=$url
node --latency 'fixed 300ms'
late=$url
node --block-time 50ms --fault 'ws-close after=4'
heads=$url
node --solana
solana=$url

one=0x00000000000000000000000000000000000000ab
two=0x00000000000000000000000000000000000000cd
printf '%s\n' $one $two | "$rpcfan" batch -u "$plain" -m eth_getBalance -p '["{}","latest"]' |
    sed 's/.*"result"://; s/}$//' >"$dir/want"

for kind in tree installed; do
    if [ $kind = tree ]; then
        programs=$build/examples
    else
        programs=$dir/examples
        mkdir "$programs"
        for name in sync async subscribe feed; do
            begin "$name.c compiles against an installed library"
            compile "$PWD/examples/$name.c" "$programs/$name"
        done
    fi
    sync=$programs/sync async=$programs/async

    begin "sync ($kind) prints the chain id and the balances"
    example 0 "$sync" "$plain" $one $two
    line_is 1 'chain id "0x89"'
    line_is 2 "$one $(sed -n 1p "$dir/want")"
    line_is 3 "$two $(sed -n 2p "$dir/want")"
    out_lines 3

    begin "sync ($kind) asks for addresses of its own where none is given"
    example 0 "$sync" "$plain"
    out_lines 3
    line_is 3 '0x[0-9a-f]{40} "0x[0-9a-f]+"'

    begin "sync ($kind) says why there is no answer"
    example 1 "$sync" http://127.0.0.1:1 $one
    out_lines 0
    err_has 'sync: eth_getBalance: connect: ep1: connection refused'
    example 1 "$sync" nonsense://x
    err_has 'sync: '
    example 1 "$sync" "$plain" nobody
    err_has 'sync: eth_getBalance: {"code":-32602,'
    example 2 "$sync"
    err_has 'usage: '

    begin "async ($kind) answers all, and leaves the loop empty"
    example 0 "$async" "$plain" 5000
    line_is 1 'balances: 5000 answered, 0 failed'
    grep -qE '^gas price: "0x[0-9a-f]+"$' "$dir/out" || wrong "no gas price"
    grep -qE '^block: (\{"number"|canceled)' "$dir/out" || wrong "no block"
    line_is 4 'closed: uv_loop_close\(\) = 0'

    begin "async ($kind) keeps its deadline, cancels, and does not wait for what it canceled"
    example 0 "$async" "$slow" 5000
    line_is 1 'balances: 5000 answered, 0 failed'
    line_is 2 'gas price: deadline \(.*\)'
    line_is 3 'block: canceled \(.*\)'
    line_is 4 'closed: uv_loop_close\(\) = 0'

    begin "async ($kind) fails every call where nobody listens, and closes clean"
    example 1 "$async" http://127.0.0.1:1 5
    line_is 1 'balances: 5 answered, 5 failed'
    grep -qxF 'closed: uv_loop_close() = 0' "$dir/out" || wrong "the loop is not empty"
    err_has 'async: first failure: '

    begin "async ($kind), interrupted, answers what is on the wire and closes clean"
    before=$(curl -s "$late" | grep -o '"requests":[0-9]*' | head -n 1)
    "$async" "$late" 100000 >"$dir/out" 2>"$dir/err" </dev/null &
    program=$!
    started+=("$program")
    for ((i = 0; i < 1000; i++)); do
        [ "$(curl -s "$late" | grep -o '"requests":[0-9]*' | head -n 1)" = "$before" ] || break
        pause
    done
    kill -INT "$program"
    for ((i = 0; i < 1000; i++)); do
        kill -0 "$program" 2>/dev/null || break
        pause
    done
    ! kill -0 "$program" 2>/dev/null || wrong "it runs on"
    wait "$program"
    [ $? = 1 ] || wrong "the exit status is not 1"
    line_is 1 'balances: [0-9]+ answered, [0-9]+ failed'
    line_is 2 'closed: uv_loop_close\(\) = 0'
    err_has 'async: first failure: '
done

for kind in tree installed; do
    programs=$build/examples
    [ $kind = tree ] || programs=$dir/examples
    begin "subscribe ($kind) tells heads in order, and gaps"
    example 0 "$programs/subscribe" "$heads" 12
    line_is 1 'subscribed at ep1'
    grep -q '^a gap: ' "$dir/out" || wrong "no gap was told"
    sed -n 's/^block //p' "$dir/out" >"$dir/blocks"
    [ "$(wc -l <"$dir/blocks")" = 12 ] || wrong "there are not 12 blocks"
    seq "$(head -n 1 "$dir/blocks")" "$(tail -n 1 "$dir/blocks")" | cmp -s - "$dir/blocks" ||
        wrong "a block is missing"

    begin "subscribe ($kind) says what is wrong"
    example 2 "$programs/subscribe" nonsense://x 1
    err_has 'subscribe: '
    example 2 "$programs/subscribe"
    err_has 'usage: '

    begin "feed ($kind) is complete up to a slot"
    key=$("$rpcfan" call -u "$solana" sim_program | tr -d '"')
    example 0 "$programs/feed" "$solana" "$key" 4
    line_is 1 '[0-9]+ accounts, [0-9]+ events, [0-9]+ bytes; complete up to slot [1-9][0-9]* of [0-9]+'
    example 2 "$programs/feed" "$solana" nobody 1
    err_has 'the program "nobody" is no address'
done

# block LANGUAGE N: the Nth fenced block of README.md in that language.
block() {
    awk -v from='```'"$1" -v n="$2" '/^```/ { on = $0 == from && ++k == n; next } on' README.md
}

begin "the program in README.md compiles and runs"
block c 1 >"$dir/readme.c"
[ -s "$dir/readme.c" ] || wrong "README.md has no program"
sed -i "s|http://127.0.0.1:8545|$plain|" "$dir/readme.c"
compile "$dir/readme.c" "$dir/readme"
example 0 "$dir/readme"
out_is '"0xf4240"'

for n in 1 2; do
    begin "configuration $n in README.md is valid"
    block yaml $n >"$dir/readme.yaml"
    [ -s "$dir/readme.yaml" ] || wrong "README.md has no configuration $n"
    status=0
    EXAMPLE_KEY=k "$rpcfan" -c "$dir/readme.yaml" check >"$dir/out" 2>"$dir/err" || status=$?
    [ "$status" = 0 ] || wrong "exit status $status, not 0: $(cat "$dir/err")"
    out_lines 3
done
[ -z "$(block yaml 3)" ] || wrong "README.md has a third configuration"

finish
