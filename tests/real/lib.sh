# lib.sh - what the scripts against real nodes share: ending what was started, waiting for a line,
# installing npm packages. Sourced by run and solana/run, which set `here` (the folder of the
# package.json), `home` (what is installed goes there) and `dir` (of this run).
# Only processes that the script started are ended, and all of them, whatever happens.
# shellcheck shell=bash
node_pid=
step_pid=
tail_pid=
dir=

fail() {
    echo "real: $1" >&2
    exit 1
}

stop() { # PID: ends it and waits until it is gone
    [ -n "$1" ] || return 0
    {
        kill -9 "$1"
        wait "$1"
    } 2>/dev/null
}

cleanup() {
    stop "$step_pid"
    stop "$tail_pid"
    stop "$node_pid"
    [ -z "$dir" ] || rm -rf "$dir"
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

# step COMMAND...: runs it so that a signal to this script takes effect at once, not when it ends.
# Its standard input is the caller's: a command in the background would lose it otherwise.
step() {
    local status
    "$@" <&0 &
    step_pid=$!
    wait "$step_pid"
    status=$?
    step_pid=
    return "$status"
}

# install: the packages of $here, once for each package-lock.json.
install() {
    local log=$home/npm.log mark=$home/node_modules/lock-installed
    command -v npm >/dev/null || fail "npm is missing: apt-get install npm"
    # npm removes node_modules first and the mark in it is made last: it says that all went well
    cmp -s "$here/package-lock.json" "$mark" && return
    cp "$here/package.json" "$here/package-lock.json" "$home/" || fail "cannot write to $home"
    echo "real: installing npm packages below $home"
    step npm "${npm_verb:-ci}" --prefix "$home" --ignore-scripts --no-audit --no-fund \
        --no-update-notifier --fetch-retries=3 --fetch-timeout=60000 >"$log" 2>&1 </dev/null || {
        head -n 15 "$log" >&2
        fail "npm could not install them (above: why); the programs in them are for Linux on x64"
    }
    cp "$here/package-lock.json" "$mark"
}

# await FILE PATTERN PID: until a line of FILE, which PID writes, matches; the line is in $line.
await() {
    local until=$((SECONDS + 30)) found=1
    tail -n +1 -f --pid="$3" "$1" >"$dir/lines" 2>/dev/null &
    tail_pid=$!
    while [ "$SECONDS" -lt "$until" ] && read -r -t 30 line; do
        # shellcheck disable=SC2254
        case $line in $2) found=0 && break ;; esac
    done <"$dir/lines"
    stop "$tail_pid"
    tail_pid=
    return "$found"
}
