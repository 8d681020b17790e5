#!/usr/bin/python3
# sets: package
# timeout: 3600
"""The Debian packages: built in a root with nothing but their build dependencies, then
installed, looked at, upgraded with mail in the spool and purged in a bare one."""
import re
from harness import *


def build_dependencies():
    field = re.search(r"^Build-Depends:(.*?)^\S", (ROOT / "debian/control").read_text(), re.M | re.S)[1]
    names = [re.sub(r"\(.*?\)", "", word).strip() for word in field.split(",")]
    return ["debhelper" if n.startswith("debhelper-compat") else n for n in names]


def in_root(folder, script, packages="", tree=False):
    return call([ROOT / "tools/fresh-root", *(["--packages", packages] if packages else []),
                 *(["--tree", ROOT] if tree else []), "--bind", folder, "--with-cache",
                 "--", "sh", "-exc", script], seconds=3000)


BUILD = """
dpkg-buildpackage -b -us -uc
mv ../*.deb {folder}/
"""

# The upgrade is to the same contents under a higher version, made without a new build.
INSTALL = r"""
cd {folder}
apt-get -q update
apt-get -q -y install ./sallyport_*.deb ./libsallyport0_*.deb
sallyport --version
man=$(dpkg -L sallyport | grep /man1/sallyport.1) && test -s "$man"
dpkg -L sallyport | grep -q bash-completion
unit=$(dpkg -L sallyport | grep '/sallyport\.service$')
grep -q '^ExecStart=/usr/bin/sallyport serve --config /etc/sallyport/sallyport.conf$' "$unit"
dpkg-query -W -f '${{Conffiles}}' sallyport | grep -q /etc/sallyport/sallyport.conf
test "$(stat -c '%U:%G %a' /var/lib/sallyport)" = 'root:sallyport 1770'
sallyport config check --config /etc/sallyport/sallyport.conf

# Mail that cannot be delivered yet.
cat >> /etc/sallyport/sallyport.conf <<'X'
local-domains = example.org
listener submission {{
    address = 127.0.0.1:{port}
}}
route nowhere {{
    match = remote.test
    to = lmtp
    lmtp = 127.0.0.1:9
}}
X
echo secret-12345678 > /srv/password
chmod 600 /srv/password
cd /  # where the service's user may look
sallyport user add --data /var/lib/sallyport alice --address alice@example.org --password-file /srv/password
chown -R sallyport:sallyport /var/lib/sallyport
start() {{
    : > /srv/log
    sallyport serve --config /etc/sallyport/sallyport.conf 2>> /srv/log &
    server=$!
    n=0
    until grep -q 'supervisor - ready' /srv/log; do
        n=$((n + 1))
        [ $n -lt 100 ] || {{ cat /srv/log; exit 1; }}
        sleep 0.1
    done
}}
start
printf 'From: alice@example.org\nTo: bob@remote.test\nSubject: keep me\n\nkept\n' > /srv/m
apt-get -q -y install curl
curl -sS smtp://127.0.0.1:{port} --ssl-reqd --insecure --user alice:secret-12345678 --mail-from alice@example.org --mail-rcpt bob@remote.test --crlf --upload-file /srv/m
# One that is large enough for a file of its own.
{{ sed 's/keep me/keep me too/' /srv/m; seq 60000; }} > /srv/large
curl -sS smtp://127.0.0.1:{port} --ssl-reqd --insecure --user alice:secret-12345678 --mail-from alice@example.org --mail-rcpt eve@remote.test --crlf --upload-file /srv/large
sleep 1
sallyport queue list --data /var/lib/sallyport | grep bob@remote.test
ls /var/lib/sallyport/queue/bodies | grep -q .
sallyport queue hold --all --data /var/lib/sallyport
kill $server
wait $server

echo '# kept' >> /etc/sallyport/sallyport.conf
mkdir /srv/new
dpkg-deb -R {folder}/sallyport_*.deb /srv/new
sed -i 's/^Version: .*/&+next/' /srv/new/DEBIAN/control
dpkg-deb -b /srv/new /srv/next.deb
DEBIAN_FRONTEND=noninteractive apt-get -q -y install /srv/next.deb
tail -n 1 /etc/sallyport/sallyport.conf | grep -q '# kept'
dpkg-query -W -f '${{Version}}\n' sallyport | grep -q '+next$'
# What was taken before the upgrade is still held, and can be delivered whole.
sed -i 's/to = lmtp/to = maildir/; s|lmtp = 127.0.0.1:9|path = /var/lib/sallyport/mail/%d/%u|' /etc/sallyport/sallyport.conf
start
sallyport queue list --data /var/lib/sallyport --state held | grep bob@remote.test
sallyport queue release --all --data /var/lib/sallyport
n=0
until ls /var/lib/sallyport/mail/remote.test/bob/new/* /var/lib/sallyport/mail/remote.test/eve/new/* 2> /dev/null; do
    n=$((n + 1))
    [ $n -lt 100 ] || {{ cat /srv/log; exit 1; }}
    sleep 0.1
done
grep -qx kept /var/lib/sallyport/mail/remote.test/bob/new/*
grep -qx 'Subject: keep me too' /var/lib/sallyport/mail/remote.test/eve/new/*
tail -n 1 /var/lib/sallyport/mail/remote.test/eve/new/* | grep -qx 60000
# One stays for the removal to spare.
sed -i 's/to = maildir/to = lmtp/; s|path = /var.*|lmtp = 127.0.0.1:9|' /etc/sallyport/sallyport.conf
kill $server
wait $server

apt-get -q -y remove sallyport
test -f /var/lib/sallyport/queue/spool.db
test -f /etc/sallyport/sallyport.conf
apt-get -q -y purge sallyport
test ! -e /var/lib/sallyport
test ! -e /etc/sallyport
test ! -e /usr/bin/sallyport
getent passwd sallyport  # files elsewhere may belong to it
"""

# A stranger's program against the development package alone.
DEVELOP = r"""
cd {folder}
apt-get -q update
apt-get -q -y install gcc libc6-dev pkg-config ./libsallyport0_*.deb ./libsallyport-sasl0_*.deb ./libsallyport-dev_*.deb
for h in /usr/include/sallyport/*.h; do echo "#include \"$h\""; done > /srv/x.c
echo 'int main(void) {{ return 0; }}' >> /srv/x.c
gcc -Wall -Werror $(pkg-config --cflags libsallyport) /srv/x.c -o /srv/x $(pkg-config --libs libsallyport libsallyport-sasl)
/srv/x
"""


@test("packages build, install, keep the spool over an upgrade, and leave nothing at purge")
def _():
    need_root()
    with work() as tmp:
        folder = tmp / "debs"
        folder.mkdir()
        os.chmod(folder, 0o755)
        in_root(folder, BUILD.format(folder=folder), " ".join([*build_dependencies(), "build-essential"]), True)
        built = sorted(p.name.split("_")[0] for p in folder.glob("*.deb"))
        for name in ("sallyport", "libsallyport0", "libsallyport-sasl0", "libsallyport-dev"):
            check(name in built, f"{name} was not built, only {built}")
        in_root(folder, INSTALL.format(folder=folder, port=free_port()))
        in_root(folder, DEVELOP.format(folder=folder))


run()
