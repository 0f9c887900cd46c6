#!/bin/bash
# The shell completion knows every command and option that the program knows, and no other.
. "$(dirname "$0")/batch_lib.sh"
. scripts/completions/rpcfan.bash

# offered WORD...: what is offered behind these words, one a line. $begun: what is typed already.
begun=
offered() {
    COMP_WORDS=(rpcfan "$@" "$begun")
    COMP_CWORD=$(($# + 1))
    COMPREPLY=()
    _rpcfan
    printf '%s\n' "${COMPREPLY[@]}"
}
# options [COMMAND]: the long options that its help describes, each at the beginning of a line.
options() {
    "$rpcfan" "$@" --help | grep -oE '^ +(-[a-zA-Z], )?--[a-z][a-z0-9-]*' | grep -oE -- '--.*' | sort -u
}

begin "commands"
for command in call batch subscribe index check explain sim help; do
    offered | grep -qx "$command" || wrong "'$command' is not offered"
    offered help | grep -qx "$command" || [ $command = help ] || wrong "'help $command' is not offered"
done

begun=--
for command in call batch subscribe index check explain sim; do
    begin "options of $command"
    options "$command" >"$dir/help"
    [ -s "$dir/help" ] || wrong "there are no options"
    offered "$command" | grep -o '^--[a-z0-9-]*' | sort -u >"$dir/offered"
    comm -23 "$dir/help" "$dir/offered" >"$dir/missing"
    comm -13 "$dir/help" "$dir/offered" >"$dir/unknown"
    [ ! -s "$dir/missing" ] || wrong "not offered: $(tr '\n' ' ' <"$dir/missing")"
    if [ $command = sim ]; then # it would run
        [ ! -s "$dir/unknown" ] || wrong "there is no $(tr '\n' ' ' <"$dir/unknown")"
        continue
    fi
    for option in $(cat "$dir/unknown"); do
        "$rpcfan" "$command" "$option" 2>&1 </dev/null | grep -q 'unknown option' && wrong "there is no $option"
    done
done

begin "global options"
options >"$dir/help"
offered | grep -o '^--[a-z0-9-]*' | sort -u >"$dir/offered"
comm -23 "$dir/help" "$dir/offered" >"$dir/missing"
[ ! -s "$dir/missing" ] || wrong "not offered: $(tr '\n' ' ' <"$dir/missing")"

begin "values"
begun=
offered --policy | grep -qx quorum || wrong "no policies"
offered --split | grep -qx range || wrong "no splits"
offered call --family | grep -qx solana || wrong "no families"
PATH=$(dirname "$rpcfan"):$PATH
offered index --commitment | grep -qx finalized || wrong "no commitments"
offered --profile | grep -qx alchemy || wrong "no profiles"

finish
