#!/bin/sh
# The gates find what they are for: each kind of breach is put into a copy of the tree, and the gate
# must fail, name its file and line, and say nothing of it once it is taken out again.
set -eu
cd "$(dirname "$0")/../.."
scripts=$PWD/scripts
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
for part in src include tests examples man configs scripts Makefile; do
    [ ! -e "$part" ] || cp -R "$part" "$dir/"
done
cd "$dir"
# Counted in files: what stands behind a pipe runs in a shell of its own.
: >cases
: >failures

# breach GATE FILE WANT : the text on stdin is put at the end of FILE, which may be a new one; the
# gate must then print a line `FILE:<number>: ...WANT...`, which it did not print before.
breach() {
    gate=$1 file=$2 want=$3
    echo "$file" >>cases
    "$scripts/$gate" . >before 2>/dev/null || true
    kept=
    [ ! -e "$file" ] || { kept=kept; cp "$file" kept; }
    mkdir -p "$(dirname "$file")"
    cat >>"$file"
    status=0
    "$scripts/$gate" . >after 2>/dev/null || status=$?
    if [ -n "$kept" ]; then mv kept "$file"; else rm "$file"; fi
    if [ "$status" != 1 ]; then
        echo "$gate: exit status $status for $file ($want), 1 was expected"
    elif ! grep -vxF -f before after | grep -qE "^$file:[0-9]+: .*$want"; then
        echo "$gate: nothing about $file ($want):"
        grep -vxF -f before after || true
    else
        return 0
    fi
    echo "$file" >>failures
}

# fine GATE FILE : the text on stdin is nothing to complain of.
fine() {
    gate=$1 file=$2
    echo "$file" >>cases
    "$scripts/$gate" . >before 2>/dev/null || true
    mkdir -p "$(dirname "$file")"
    cat >"$file"
    "$scripts/$gate" . >after 2>/dev/null || true
    rm "$file"
    if grep -vxF -f before after | grep -E "^$file:"; then
        echo "$gate: complains of $file, which is fine"
        echo "$file" >>failures
    fi
}

lines() { # lines N TEXT
    awk -v n="$1" -v text="$2" 'BEGIN { for (i = 0; i < n; i++) print text }'
}
function_of() { # function_of N TEXT : a function with N lines in its body
    printf 'void seeded(void)\n{\n'
    lines "$1" "$2"
    printf '}\n'
}

lines 601 'int x;' | breach gate-style src/base/seeded.c 'lines, at most 600'
lines 600 'int x;' | fine gate-style src/base/seeded.c
function_of 61 '    x++;' | breach gate-style src/base/seeded.c 'seeded has 61 lines, at most 60'
function_of 60 '    x++;' | fine gate-style src/base/seeded.c
function_of 91 '    switch (x) {' | breach gate-style src/base/seeded.c 'has 91 lines, at most 90'
function_of 90 '    switch (x) {' | fine gate-style src/base/seeded.c
printf 'void seeded(int a, int b, int c,\n            int d, int e, int f, int g)\n{\n}\n' |
    breach gate-style src/base/seeded.c 'seeded has 7 parameters'
printf 'void seeded(int a, int b, int c,\n            int d, int e, void (*f)(int, int))\n{\n}\n' |
    fine gate-style src/base/seeded.c
printf '/** Documented. */\nvoid seeded(int a, int b, int c, int d, int e, int f, int g);\n' |
    breach gate-style include/rpcfan/seeded.h 'seeded has 7 parameters'
awk 'BEGIN { printf "int "; for (i = 0; i < 96; i++) printf "x"; print ";" }' |
    breach gate-style tests/unit/base/seeded.c '101 columns'
printf '/* Only a remark. */\nint seeded(int a,\n           int b);\n' |
    breach gate-style src/base/seeded.h 'seeded has no doc comment'
printf '/** One. */\nint seeded_one(int a);\nint seeded_two(int a);\n' |
    breach gate-style src/base/seeded.h 'seeded_two has no doc comment'
printf 'static inline int seeded(int a)\n{\n    return a;\n}\n' |
    breach gate-style src/base/seeded.h 'seeded has no doc comment'
printf '/** One,\n * in two lines. */\nint seeded(int a);\n#define SEEDED(a) \\\n    f(a)\n' |
    fine gate-style src/base/seeded.h
for word in TO''DO FIX''ME X''XX st''ub; do
    printf '/* %s: later */\n' "$word" | breach gate-style src/base/seeded.c 'unfinished'
done
for call in 'sl''eep(1)' 'us''leep(1000)' 'nano''sleep(&t, 0)'; do
    printf 'void f(void)\n{\n    %s;\n}\n' "$call" |
        breach gate-style tests/unit/base/seeded.c 'waits for time'
done
printf 'sl''eep 1\n' | breach gate-style tests/integration/seeded.sh 'waits for time'
printf 'sl''eep "$t"\n' | breach gate-style tests/integration/seeded.sh 'waits for time'
for top in home work root; do
    printf '# see /%s/me/x\n' "$top" | breach gate-style configs/seeded.yaml 'absolute path'
done
printf 'columns src/base/none.c\n' |
    breach gate-style scripts/gate-style.exceptions 'exception without a reason'
printf 'columns src/base/none.c it is a table\n' |
    breach gate-style scripts/gate-style.exceptions 'excepts nothing'

include_of() { printf '#include %s\n' "$1"; }
include_of '"core/seeded.h"' | breach gate-rooms src/base/seeded.c 'base must not include core'
include_of '"core/seeded.h"' | breach gate-rooms src/policy/seeded.c 'policy must not include core'
include_of '"net/seeded.h"' | breach gate-rooms src/core/seeded.h 'core must not include net'
include_of '"client/seeded.h"' | breach gate-rooms src/net/seeded.c 'net must not include client'
include_of '"net/seeded.h"' | breach gate-rooms src/app/seeded.c 'app must not include net'
include_of '"net/seeded.h"' | breach gate-rooms src/cli/seeded.c 'cli must not include net'
include_of '"cli/seeded.h"' | breach gate-rooms src/app/seeded.c 'app must not include cli'
include_of '"net/seeded.h"' | breach gate-rooms src/sim/seeded.c 'sim must not include net'
include_of '"seeded.h"' | breach gate-rooms src/base/seeded.c 'has no room'
include_of '"attic/seeded.h"' | breach gate-rooms src/base/seeded.c 'room attic is unknown'
include_of '<stdint.h>' | breach gate-rooms src/attic/seeded.c 'room attic is unknown'
for header in uv.h curl/curl.h libwebsockets.h sys/socket.h time.h unistd.h openssl/evp.h \
    sqlite3.h fcntl.h pthread.h; do
    for room in base json policy core feed; do
        include_of "<$header>" |
            breach gate-rooms src/$room/seeded.c "$room must not include <$header>"
    done
done
include_of '<uv.h>' | breach gate-rooms src/app/seeded.c '<uv.h> is for'
include_of '<uv.h>' | breach gate-rooms src/sim/virtual.c '<uv.h> is for'
include_of '<curl/curl.h>' | breach gate-rooms src/client/seeded.c '<curl/curl.h> is for'
include_of '<uv.h>' | fine gate-rooms src/client/seeded.c
include_of '<curl/curl.h>' | fine gate-rooms src/net/seeded.c
include_of '<uv.h>' | fine gate-rooms src/sim/node_seeded.c
include_of '"rpcfan/rpcfan.h"' | fine gate-rooms src/base/seeded.c
include_of '<stdio.h>' | fine gate-rooms src/core/seeded.c
for call in 'clock_gettime(0, &t)' 'gettimeofday(&t, 0)' 'time(NULL)' 'rand()' 'random()' \
    'uv_hrtime()' 'getrandom(b, 8, 0)' 'rpcfan_now_ns()'; do
    printf 'x = %s;\n' "$call" | breach gate-rooms src/policy/seeded.c 'are arguments here'
done
printf '/* time() is not read\n * nor rand() */\nx = rf_time(1); s = "time(";\ny = e->time(1);\n' |
    fine gate-rooms src/policy/seeded.c

printf '    X(seeded_key, U32, seeded, 1, 2, RF_CONFIG_MAY)\n' |
    breach gate-config-keys src/app/config_keys.h "'seeded_key' is used by no test"
printf '    X(seeded_key, U32, seeded, 1, 2, RF_CONFIG_MAY)\n' |
    breach gate-config-keys src/app/config_keys.h "'seeded_key' is not in man"
printf '    CYAML_FIELD_IGNORE("seeded_key", CYAML_FLAG_OPTIONAL),\n' |
    breach gate-config-keys src/app/config_schema.c "'seeded_key' is used by no test"

echo "$(wc -l <cases) cases, $(wc -l <failures) failed"
[ -s cases ] && [ ! -s failures ]
