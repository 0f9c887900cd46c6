#!/bin/bash
# `rpcfan batch`: what comes out for what goes in. Order, ids, templates, bad lines, errors, memory.
. "$(dirname "$0")/batch_lib.sh"

node --latency 'fixed 300ms method=eth_chainId'
slow_first=$url

begin "answers are in the order of the input though the first is the slowest"
{ echo '{"method":"eth_chainId"}'; seq -f '{"method":"eth_blockNumber","id":"%g"}' 2 300; } >"$dir/in"
run 0 batch -u "$slow_first" --batch 1 "$dir/in"
out_lines 300
seq 2 300 | awk 'BEGIN{print "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":\"0x1\"}"}
    {print "{\"jsonrpc\":\"2.0\",\"id\":\"" $1 "\",\"result\":\"0xf4240\"}"}' >"$dir/want"
same "$dir/want" "$dir/out"

begin "--unordered writes a slow answer when it comes, and every line once"
run 0 batch -u "$slow_first" --batch 1 --unordered "$dir/in"
out_line 300 '"id":1,'
sort "$dir/out" >"$dir/sorted"
sort "$dir/want" | cmp -s - "$dir/sorted" || wrong "the answers differ from those in order"

node
plain=$url

begin "ids of all kinds come back as they were"
cat >"$dir/in" <<'IN'
{"id":7,"method":"eth_chainId"}
{"id":"x","method":"eth_chainId"}
{"id":null,"method":"eth_chainId"}
{"id":-1.5e3,"method":"eth_chainId"}
{"id":18446744073709551616,"method":"eth_chainId"}
{"method":"eth_chainId"}
{"id":"q\"\\\u00e4,","method":"eth_chainId"}
{"id":7,"method":"eth_chainId","jsonrpc":"2.0","params":[]}
IN
run 0 batch -u "$plain" "$dir/in"
i=0
for id in 7 '"x"' null -1.5e3 18446744073709551616 6 '"q\"\\\u00e4,"' 7; do
    i=$((i + 1))
    out_line $i "{\"jsonrpc\":\"2.0\",\"id\":$id,\"result\":\"0x1\"}"
done

begin "an id of 1000 characters comes back whole"
long=$(printf 'i%.0s' $(seq 1000))
run 0 batch -u "$plain" <<<"{\"id\":\"$long\",\"method\":\"eth_chainId\"}"
out_is "{\"jsonrpc\":\"2.0\",\"id\":\"$long\",\"result\":\"0x1\"}"

begin "bad lines are answered in place with the reason, and the rest goes on"
printf '%s\n' '{"method":"eth_chainId"}' '' 'hello' '{"id":5}' '[1]' '{"id":"k","method":7}' \
    '{"method":"eth_chainId","params":5}' '{"method":"eth_chainId","id":"last"}' >"$dir/in"
run 1 batch -u "$plain" "$dir/in"
out_lines 8
out_line 1 '{"jsonrpc":"2.0","id":1,"result":"0x1"}'
out_line 2 '"id":2,"error":{"code":-39002,"message":"line 2 is blank'
out_line 3 '"id":3,"error":{"code":-39002,"message":"column 1'
out_line 4 '"id":5,"error":{"code":-39002'
out_line 5 '"id":5,"error":{"code":-39002'
out_line 6 '"id":"k","error":{"code":-39002'
out_line 7 '"id":7,"error":{"code":-39002'
out_line 2 '"data":{"rpcfan":{"class":"caller","name":"invalid","line":2}}'
out_line 8 '{"jsonrpc":"2.0","id":"last","result":"0x1"}'

begin "a line of 9 MB is refused in place, and the next is answered"
{ head -c 9000000 /dev/zero | tr '\0' x; printf '\n{"method":"eth_chainId"}\n'; } >"$dir/in"
run 1 batch -u "$plain" "$dir/in"
out_lines 2
out_line 1 '"id":1,"error":{"code":-39019'
out_line 2 '{"jsonrpc":"2.0","id":2,"result":"0x1"}'

begin "the line is escaped inside a string of the template"
printf 'a"b\\c\ttab\xc3\xa4\n' | run 0 batch -u "$plain" -m sim_echo -p '["<{}>","{}"]'
out_is '{"jsonrpc":"2.0","id":1,"result":["<a\"b\\c\u0009tabä>","a\"b\\c\u0009tabä"]}'

begin "the line is JSON outside of strings, and what is none there is refused with the column"
printf '%s\n' '{"a":[1,2]}' '18446744073709551615' 'nope' '1],[2' | run 1 batch -u "$plain" -m sim_echo -p '[{},{ }]'
out_line 1 '"result":[{"a":[1,2]},{}]'
out_line 2 '"result":[18446744073709551615,{}]'
out_line 3 '"code":-39002'
out_line 3 'column 3'
out_line 4 '"code":-39002'

begin "invalid UTF-8 in a line is refused, not sent as something else"
printf 'a\xff\nb\n' | run 1 batch -u "$plain" -m sim_echo -p '["{}"]'
out_line 1 '"id":1,"error":{"code":-39002'
out_line 2 '"result":["b"]'

begin "without a template a line is one parameter: JSON, or else a string"
printf '%s\n' 5 latest '{"a":1}' '"x"' | run 0 batch -u "$plain" -m sim_echo
out_line 1 '"result":[5]'
out_line 2 '"result":["latest"]'
out_line 3 '"result":[{"a":1}]'
out_line 4 '"result":["x"]'

begin "empty input has no answers and is no error"
run 0 batch -u "$plain" </dev/null
out_is ''

begin "the last line counts without its line end, and CRLF is a line end"
printf '{"method":"eth_chainId","id":1}\r\n{"method":"eth_chainId","id":2}' | run 0 batch -u "$plain"
out_lines 2
out_line 2 '{"jsonrpc":"2.0","id":2,"result":"0x1"}'

begin "a node's error object comes through as it is"
run 1 batch -u "$plain" <<<'{"method":"sim_error","params":[-32123,"own words",{"d":1}],"id":"e"}'
out_is '{"jsonrpc":"2.0","id":"e","error":{"code":-32123,"message":"own words","data":{"d":1}}}'

begin "whitespace of the node's JSON is taken out"
node --fault pretty
run 0 batch -u "$url" -m sim_echo <<<'{"a":[1,{"b":" c "}]}'
out_is '{"jsonrpc":"2.0","id":1,"result":[{"a":[1,{"b":" c "}]}]}'

begin "an error of the client's own has its code, class, endpoint and attempts"
node --fault 'hang'
run 1 batch -u "$url" --timeout 100ms --deadline 3s -m eth_chainId <<<x
out_line 1 '"id":1,"error":{"code":-39015,'
out_line 1 '"data":{"rpcfan":{"class":"network","name":"timeout","endpoint":"ep1","attempts":3}}'

begin "a URL with a key is nowhere in the output"
run 1 batch -u "http://127.0.0.1:1/v2/s3cretkey" --deadline 2s --summary -m eth_chainId --log-level debug <<<x
if grep -q s3cretkey "$dir/out" "$dir/err"; then wrong "the key is shown"; fi

begin "an answer comes out before the next line goes in"
mkfifo "$dir/to" "$dir/from"
"$rpcfan" batch -u "$plain" -m sim_echo <"$dir/to" >"$dir/from" 2>"$dir/err" &
started+=($!)
exec 7>"$dir/to" 8<"$dir/from"
for i in 1 2 3; do
    echo "$i" >&7
    read -r -t 20 answer <&8 || wrong "no answer to line $i"
    [ "$answer" = "{\"jsonrpc\":\"2.0\",\"id\":$i,\"result\":[$i]}" ] || wrong "answered '$answer'"
done
exec 7>&- 8<&-

begin "memory is flat and reading stops while the output's reader is stuck"
mkfifo "$dir/stuck"
seq -f '%040.0f' 1 400000 >"$dir/big"
"$rpcfan" batch -u "$plain" --batch 100 -m sim_echo <"$dir/big" >"$dir/stuck" 2>"$dir/err" &
batch=$!
started+=("$batch")
exec 8<"$dir/stuck"
read -r _ <&8
at=-1
still=0
for _ in $(seq 1500); do
    pos=$(awk '/^pos:/{print $2}' "/proc/$batch/fdinfo/0")
    if [ "$pos" = "$at" ]; then still=$((still + 1)); else still=0; fi
    at=$pos
    [ "$still" -ge 25 ] && break
    pause
done
[ "$still" -ge 25 ] || wrong "reading went on"
[ "$at" -lt 8000000 ] || wrong "$at bytes were read with nowhere to put the answers"
peak=$(awk '/^VmHWM:/{print $2}' "/proc/$batch/status")
memory_below "$peak" 65536
lines=$(wc -l <&8)
[ "$lines" = 399999 ] || wrong "$lines lines after the first, not 399999"
wait "$batch" || wrong "exit status $?"
exec 8<&-

begin "answers of 1 MB each do not fill the memory"
for i in $(seq 300); do echo '{"method":"sim_big","params":[1000000]}'; done >"$dir/in"
"$rpcfan" batch -u "$plain" "$dir/in" 2>"$dir/err" >"$dir/big.out" &
batch=$!
peak=0
while [ -r "/proc/$batch/status" ]; do
    now=$(awk '/^VmHWM:/{print $2}' "/proc/$batch/status" 2>/dev/null)
    [ "${now:-0}" -gt "$peak" ] && peak=$now
    pause
done
wait "$batch" || wrong "exit status $?"
[ "$(wc -l <"$dir/big.out")" = 300 ] || wrong "not every line was answered"
memory_below "$peak" 102400
rm -f "$dir/big.out"

begin "a rate limit that fills the queue costs no deadlines"
run 0 batch -u "$plain" --rate 100/1s --deadline 2s -m sim_echo < <(seq 400)
out_lines 400

begin "global options are taken after the command's name too, and a later one wins"
run 0 --batch 7 batch --timeout 5s -u "$plain" --batch 1 --summary=json -m sim_echo < <(seq 5)
err_has '"batches":0,'

begin "the summary tells counts, errors by class, rate, latency and each endpoint"
printf '%s\n' 1 '' 2 | run 1 batch -u "$plain" --summary -m sim_echo
for part in 'answers:   3' 'errors:    1 (bad lines 1)' 'calls/s' 'p99' 'retries' 'bytes:' 'endpoint:  ep1: ok'; do
    err_has "$part"
done
printf '%s\n' '{"method":"nope"}' | run 1 batch -u "$plain" --summary=json
err_has '"errors_by_class":{"rpc":1}'

begin "there is no progress line when stderr is no terminal"
run 0 batch -u "$plain" -m sim_echo -o "$dir/o1" < <(seq 20000)
[ ! -s "$dir/err" ] || wrong "something is on stderr"

if script -qec true /dev/null >/dev/null 2>&1 </dev/null; then
    begin "on a terminal there is one, and --no-progress takes it away"
    node --latency 'fixed 30ms'
    seq 200 >"$dir/in"
    for option in --log-level=warn --no-progress; do
        rm -f "$dir/o2"
        script -qec "$rpcfan batch -u $url --batch 1 --in-flight 8 $option -m sim_echo -o $dir/o2 $dir/in" "$dir/tty" >/dev/null </dev/null || wrong "exit status $?"
        if grep -q 'in flight' "$dir/tty"; then shown=yes; else shown=no; fi
        case $option$shown in *warnyes | *progressno) ;; *) wrong "$option: shown $shown" ;; esac
    done
else
    echo "not run, no pseudo-terminal can be made here: the progress line on a terminal"
fi

begin "call: the result on stdout, each parameter as JSON or a string"
run 0 call -u "$plain" sim_echo 5 latest '{"a":1}' -1 -- -x
out_is '[5,"latest",{"a":1},-1,"-x"]'
begin "call: a node's error object is told, with status 1"
run 1 call -u "$plain" sim_error -32123 'own words'
err_has '{"code":-32123,"message":"own words"}'
out_is ''

finish
