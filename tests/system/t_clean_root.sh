#!/bin/sh
# sets: clean-root
# timeout: 5400
# What the README's reader does, in a Debian 12 with nothing but the base system: the
# quickstart twice (the second run uses what is there), as root and as a user with sudo,
# then the default tests.
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
        try "quickstart on a fresh machine, twice; the server is not root" sh -c '
            ./quickstart --once && ./quickstart --once && grep -qx "user = sallyport" quickstart.d/sallyport.conf'
        try "both commands install what they need as a user with sudo, and the quickstart works" sh -ec '
            apt-get -q update > /dev/null
            apt-get -q -y install --no-install-recommends sudo > /dev/null
            useradd --create-home --shell /bin/bash joe
            echo "joe ALL=(ALL) NOPASSWD:ALL" > /etc/sudoers.d/joe
            cp -a /src /home/joe/sallyport
            chown -R joe: /home/joe/sallyport
            cd /home/joe/sallyport
            su joe -c "./quickstart --once && ./quickstart --once && ./run-tests --list"
            grep -qx "user = joe" quickstart.d/sallyport.conf
            test "$(stat -c %U quickstart.d/data)" = joe'
    else
        skip "quickstart" "this tree builds no sallyport program"
    fi
    try "run-tests on a fresh machine" ./run-tests
fi
echo "$passed passed, $failed failed, $skipped skipped"
[ $failed = 0 ]
