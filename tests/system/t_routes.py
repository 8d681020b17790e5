#!/usr/bin/python3
# sets: default
# timeout: 200
"""Routes: commands with every exit status, reasons, weights, what we say we are."""
import pwd
import clients
from harness import *
from scripted import Scripted
from wire import *

need_server()
if SALLYPORT == "standin":
    skip("the stand-in has no routes")


@contextlib.contextmanager
def routed(tmp, routes, **options):
    srv = Sallyport(tmp, routes=routes, **options)
    srv.start()
    try:
        yield srv
    except BaseException:
        print(srv.process.tail(40))
        raise
    finally:
        srv.stop()


def script(tmp, text, name="script"):
    path = tmp / name
    path.write_text("#!/bin/sh\n" + text)
    path.chmod(0o755)
    out = tmp / "out"
    out.mkdir(exist_ok=True)
    out.chmod(0o777)
    return path, out


def pipe(command, more="", match="remote.test"):
    return f"route pipe {{\n    match = {match}\n    to = pipe\n    command = {command}\n{more}\n}}\n"


def notices(srv, count):
    return srv.mailbox("alice").wait(count)


@test("a command gets the message once for each recipient, its arguments and no more than its environment")
def _():
    with work() as tmp:
        path, out = script(tmp, 'exec > "$(dirname "$0")/out/$4.tmp"\nprintf "%s\\n" "$@"; echo --; env | sort; '
                           'ls /proc/self/fd | wc -l; echo --; cat\nmv "$(dirname "$0")/out/$4.tmp" "$(dirname "$0")/out/$4"\n')
        with routed(tmp, pipe(f'{path} %a "of %d, 100%%" -x %u -e=%e %s'), more="recipient-delimiter = +") as srv:
            to = ["bob@remote.test", "`id`$HOME@remote.test", '"a b"@remote.test']
            clients.smtplib_(srv, message("pipe"), to=to)
            names = ["bob", "`id`$HOME", '"a b"']
            wait_until(lambda: all((out / n).exists() for n in names), 30, f"the commands ({os.listdir(out)})")
            for name, address in zip(names, to):
                args, environment, text = (out / name).read_text().split("\n--\n")
                check(args.split("\n") == [address, "of remote.test, 100%", "-x", name, "-e=", srv.address], f"{args!r}")
                check("LD_" not in environment and "SALLYPORT" not in environment, environment)
                check("RECIPIENT=" + re.sub(r"[^A-Za-z0-9@.\-_+=]", "_", address) in environment, environment)
                check(environment.split("\n")[-1] == "4", "the command inherits descriptors")  # 0, 1, 2, the folder
                check_same(message("pipe"), text.encode())
                check(f"Delivered-To: {address}" in text, "no Delivered-To")


@test("an address is never an option of the command")
def _():
    with work() as tmp:
        path, out = script(tmp, f"cat > {tmp}/out/ran\n")
        with routed(tmp, pipe(f"{path} %u")) as srv:
            clients.smtplib_(srv, message("option"), to=["-oQ/tmp@remote.test"])
            check(b"Status: 5.1.3" in notices(srv, 1)[0], "no notice with 5.1.3")
            check(not os.listdir(out), "it was run")


@test("each exit status is delivered, tried again or returned, by sysexits.h")
def _():
    wanted = {0: "delivered", 65: "5.6.0", 66: "5.3.0", 67: "5.1.1", 68: "5.1.2", 69: "5.3.0", 70: "5.3.0",
              76: "5.5.0", 77: "5.7.0", 1: "5.3.0", 99: "5.3.0", 64: "later", 71: "later", 72: "later",
              73: "later", 74: "later", 75: "later", 78: "later"}
    with work() as tmp:
        path, out = script(tmp, 'cat > /dev/null\necho "said \001 $1"\nseq 1 100000\nexit $1\n')
        with routed(tmp, pipe(f"{path} %u")) as srv:
            clients.smtplib_(srv, message("exit"), to=[f"{n}@remote.test" for n in wanted])
            notice = notices(srv, 1)[0].decode()
            for status, what in wanted.items():
                block = next((b for b in notice.split("\n\n") if f"rfc822;{status}@remote.test" in b.replace(" ", "")), "")
                if what[0] == "5":
                    check(f"Status: {what}" in block, f"exit {status}: {block!r}")
                    check("said ?" in block, f"not what the command said: {block!r}")
                    check(len(block) < 2000, "the output is not clipped")
                else:
                    check(not block, f"exit {status} was returned")
            log = srv.log.read_text()
            for status, what in wanted.items():
                event = "message.deferred" if what == "later" else "message.delivered" if what == "delivered" else "message.bounced"
                check(re.search(rf"{event} .*to={status}@remote.test ", log), f"exit {status} is not {event} in the log")


@test("a command that hangs is killed with what it started, and tried again")
def _():
    with work() as tmp:
        path, out = script(tmp, f"sleep 300 &\necho $! > {tmp}/out/child\nwait\n")
        with routed(tmp, pipe(path, "    command-timeout = 1s")) as srv:
            clients.smtplib_(srv, message("hang"), to=["bob@remote.test"])
            wait_until(lambda: "took too long" in srv.log.read_text(), 30, "the end of the command")
            child = int((out / "child").read_text())
            wait_until(lambda: not Path(f"/proc/{child}").exists() or "Z" in Path(f"/proc/{child}/stat").read_text().split()[2],
                       10, "the end of its child")
            check("message.deferred" in srv.log.read_text(), "it was not deferred")


@test("a command runs as the mailbox's user, with that user's groups and no rights")
def _():
    need_root()
    with work() as tmp:
        path, out = script(tmp, f'id -u > {tmp}/out/$1.tmp; id -G >> {tmp}/out/$1.tmp; grep -E "Cap(Eff|Prm|Amb)" /proc/self/status '
                           f'>> {tmp}/out/$1.tmp; mv {tmp}/out/$1.tmp {tmp}/out/$1\n')
        with routed(tmp, pipe(f"{path} %u", '    run-as = "%u"') + pipe(f"{path} fixed", "    run-as = games", "fixed.test").replace("pipe {", "two {")) as srv:
            clients.smtplib_(srv, message("as"), to=["daemon@remote.test", "x@fixed.test", "root@remote.test", "nosuch@remote.test"])
            wait_until(lambda: (out / "daemon").exists() and (out / "fixed").exists(), 30, "the commands")
            for name, user in (("daemon", "daemon"), ("fixed", "games")):
                uid, groups, *caps = (out / name).read_text().splitlines()
                check(int(uid) == pwd.getpwnam(user).pw_uid, f"{name} ran as {uid}")
                check(set(map(int, groups.split())) == set(os.getgrouplist(user, pwd.getpwnam(user).pw_gid)), f"groups {groups}")
                check(len(caps) == 3 and all(c.endswith("0" * 16) for c in caps), f"rights are left: {caps}")
            wait_until(lambda: srv.log.read_text().count("message.deferred") >= 2, 30, "the two that cannot")
            check(not (out / "root").exists() and "never run as root" in srv.log.read_text(), "run as root")
            role = next(pid for pid, name in srv.roles() if name == "local")
            check(f"Uid:\t{pwd.getpwnam('nobody').pw_uid}" in Path(f"/proc/{role}/status").read_text(), "the local role stayed root")


@test("bounce says the reason, discard says nothing; the first route that matches counts")
def _():
    with work() as tmp:
        routes = ('route gone {\n    match = bob@old.test *.old.test\n    to = bounce\n    reason = "moved away in May"\n}\n'
                  "route black {\n    match = old.test\n    to = discard\n}\n"
                  "route mine {\n    match = sender:alice@example.org\n    to = bounce\n    reason = by-sender\n}\n")
        with routed(tmp, routes) as srv:
            clients.smtplib_(srv, message("r"), to=["bob@old.test", "x@old.test", "y@deep.old.test", "z@far.test"])
            text = b"".join(notices(srv, 3)).decode()  # one for each domain
            for address, words in (("bob@old.test", "moved away in May"), ("y@deep.old.test", "moved away in May"),
                                   ("z@far.test", "by-sender")):
                block = next((b for b in text.split("\n\n") if f"rfc822;{address}" in b.replace(" ", "")), "")
                check(words in block and "5.7.1" in block, f"{address}: {block!r}")
            check("x@old.test" not in text, "discarded mail was returned")


@test("EHLO name and source address are the route's")
def _():
    hop = Scripted()
    with work() as tmp, routed(tmp, hop.route("    ehlo-name = out.example.net\n    source-address = 127.0.0.9")) as srv:
        clients.smtplib_(srv, message("name"), to=["bob@remote.test"])
        wait_until(lambda: hop.taken, 30, "the message")
        check("EHLO out.example.net" in hop.lines, f"{hop.lines[:2]}")
        check(hop.peers == ["127.0.0.9"], f"it came from {hop.peers}")
    hop.stop()


@test("hosts share by their weights, and stand in for one another")
def _():
    hops = [Scripted() for _ in range(3)]
    hops[2].answers[""] = "421 4.3.2 not now"
    route = ("route hop {\n    match = remote.test\n    to = smarthost\n    tls = none\n    connection-reuse = 1\n"
             f"    host = {' '.join(f'127.0.0.1:{h.port}' for h in hops)}\n    host-weights = 700 250 50\n}}\n")
    with work() as tmp, routed(tmp, route) as srv:
        for i in range(30):
            clients.smtplib_(srv, message(f"w{i}"), to=["bob@remote.test"])
        wait_until(lambda: sum(len(h.taken) for h in hops) >= 30, 60, "all messages")
        first, second, third = (len(h.taken) for h in hops)
        check(third == 0 and first + second == 30, f"{first} {second} {third}")
        check(first > second > 0, f"700 to 250: {first} to {second}")
        check("message.bounced" not in srv.log.read_text(), "something was returned")
    for h in hops:
        h.stop()


run()
