#!/bin/bash
# --gather over sockets: hundreds of getAccountInfo are a few calls to the fake node, and the answers
# are those of hundreds; a node that takes five; accounts that are refused; a node without the
# method.
. "$(dirname "$0")/batch_lib.sh"
export no_proxy='*'

# count FIELD ADDRESS: a counter of a fake node.
count() { curl -s "$2" | grep -o "\"$1\":[0-9]*" | head -n 1 | cut -d : -f 2; }
# calls LEAST MOST: so many were sent to the node at $url. What comes first is on its way before the
# next line is read, so that the figures are not the same each time.
calls() {
    local n
    n=$(count members "$url")
    [ "${n:-0}" -ge "$1" ] && [ "$n" -le "$2" ] || wrong "$n calls, not $1 to $2"
}

# keys N: addresses of 32 bytes, 30 of them 0.
letters=123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz
keys() {
    local i
    for ((i = 0; i < $1; i++)); do
        echo "111111111111111111111111111111${letters:6 + i / 58:1}${letters:i % 58:1}"
    done
}
keys 1000 >"$dir/keys"
# ask OPTION...: account infos of the keys on stdin.
ask() {
    run "$status" batch -u "$url" --family solana -m getAccountInfo \
        -p '["{}",{"encoding":"'"${encoding:-base64}"'"}]' "$@"
}
status=0
begin "a hundred single reads are a few calls, and their answers are what each would have had"
node --family solana
head -n 100 "$dir/keys" | ask --batch 1
cp "$dir/out" "$dir/single"
calls 100 100
node --family solana
head -n 100 "$dir/keys" | ask --gather
calls 1 12
cmp -s "$dir/single" "$dir/out" || wrong "the answers differ"
grep -q '"value":null' "$dir/out" || wrong "no account was absent"
out_lines 100

begin "a thousand of them against ten a second: hardly a second is waited for"
node --family solana --rate '10/1s kind=sliding'
ask --gather --window 1000 --rate 10/1s <"$dir/keys"
calls 10 40
out_lines 1000
[ "$(cut -d : -f 4- "$dir/out" | sort -u | wc -l)" -gt 800 ] || wrong "too few different answers"

begin "a node that takes five says so once, and is asked for five at a time from then on"
node --family solana --inputs-max 5
head -n 100 "$dir/keys" | ask --gather
calls 20 60
cmp -s "$dir/single" "$dir/out" || wrong "the answers differ"

begin "what it takes is kept, and known in the next run"
node --family solana --inputs-max 5
head -n 100 "$dir/keys" | ask --gather --state "$dir/learned.json"
head -n 100 "$dir/keys" | ask --gather --state "$dir/learned.json"
calls 41 90

begin "one account that is too large for base58: its own error, and the others have their answers"
grep -n '"value":null' "$dir/single" | cut -d : -f 1 >"$dir/absent"
paste -d : <(seq 100) <(head -n 100 "$dir/keys") | while IFS=: read -r i key; do
    if grep -qx "$i" "$dir/absent"; then echo "$key" >>"$dir/small"; else echo "$key" >>"$dir/large"; fi
done
{ cat "$dir/small"; head -n 1 "$dir/large"; cat "$dir/small" "$dir/small"; } >"$dir/one"
node --family solana
status=1 encoding=base58 ask --gather <"$dir/one"
n=$(wc -l <"$dir/one")
out_lines "$n"
[ "$(grep -c '"error":{"code":-32600' "$dir/out")" = 1 ] || wrong "not one error"
[ "$(grep -c '"value":null' "$dir/out")" = $((n - 1)) ] || wrong "not $((n - 1)) answers"
calls 3 60

begin "a node without the method: each by itself, after one refusal"
node --family solana --fault 'rpc-error method=getMultipleAccounts code=-32601 message="Method not found"'
head -n 100 "$dir/keys" | ask --gather
cmp -s "$dir/single" "$dir/out" || wrong "the answers differ"
calls 101 110

begin "without an encoding the two methods differ: such calls go alone"
node --family solana
head -n 10 "$dir/keys" | run 0 batch -u "$url" --family solana --gather --batch 1 \
    -m getAccountInfo -p '["{}"]'
calls 10 10

begin "it is for Solana"
run 2 call -u "$url" --gather getSlot
err_has '--gather is for nodes of Solana: give --family solana'

finish
