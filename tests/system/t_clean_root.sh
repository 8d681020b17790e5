#!/bin/sh
# sets: clean-root
# timeout: 5400
# What the README's reader does, in a Debian 12 with nothing but the base system: the
# quickstart twice (the second run uses what is there), then the default tests.
set -u
cd "$(dirname "$0")/../.."
passed=0 failed=0 skipped=0

skip() { echo "skipped: $1: $2"; skipped=$((skipped + 1)); }
try() {
    what=$1
    shift
    if tools/fresh-root --with-cache --tree . -- "$@"; then
        passed=$((passed + 1))
    else
        echo "FAILED: $what"
        failed=$((failed + 1))
    fi
}

if [ "$(id -u)" != 0 ]; then
    skip "everything" "needs root (chroot, mount)"
else
    if [ -n "${SALLYPORT-}" ]; then
        try "quickstart on a fresh machine, twice" sh -c './quickstart --once && ./quickstart --once'
    else
        skip "quickstart" "this tree builds no sallyport program"
    fi
    try "run-tests on a fresh machine" ./run-tests
fi
echo "$passed passed, $failed failed, $skipped skipped"
[ $failed = 0 ]
