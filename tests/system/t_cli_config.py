#!/usr/bin/python3
# sets: default
# timeout: 300
"""`sallyport config` by the real program: an empty file runs, every mistake is shown with
its place, and what is dumped is what was read."""
import random
from harness import *


def config(*argv, ok=(0,), **more):
    need_server()
    if SALLYPORT == "standin":
        skip("this is about the program")
    return call([SALLYPORT, "config", *argv], ok=ok, **more)


def check_text(tmp, text, ok=(0,)):
    path = tmp / "t.conf"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return config("check", "--config", path, ok=ok)


@test("an empty file is a configuration, and a server runs with it")
def _():
    need_root()
    with work() as tmp:
        check("fine" in check_text(tmp, ""), "check")
        check("fine" in config("check", "--config", "/dev/null"), "/dev/null")
        # its usual ports and folder, where nobody else has them
        (tmp / "empty.conf").write_text("")
        script = f"""
            ip link set lo up
            mount -t tmpfs tmpfs /var/lib
            {SALLYPORT} serve --config {tmp}/empty.conf > {tmp}/log 2>&1 &
            server=$!
            for i in $(seq 100); do
                grep -q 'supervisor - ready' {tmp}/log && break
                sleep 0.2
            done
            curl -sS --insecure --ssl-reqd smtp://127.0.0.1:587/ -X 'NOOP'
            kill $server
            wait $server
            echo "ended with $?"
            cat {tmp}/log"""
        for tool in ["ip", "curl", "unshare"]:
            if not shutil.which(tool):
                skip(f"{tool} is missing")
        said = call(["unshare", "-n", "-m", "sh", "-c", script], ok=range(256), seconds=90)
        check("supervisor - ready" in said and "ended with 0" in said, said)


# (text, line, column, what is said): by hand
MISTAKES = [
    ("hostname = x\nhostnam = y\n", 2, 1, ["no key \"hostnam\"", "did you mean \"hostname\"?"]),
    ("message-size = 12Q\n", 1, 16, ["\"12Q\"", "expected: a size", "example:"]),
    ("message-size = 1\n", 1, 16, ["expected: a size from"]),
    ("listener a {\n  tls = maybe\n  address = *:1\n}\n", 2, 9, ["expected: one of starttls"]),
    ("listener a {\n  address\n}\n", 2, 3, ["= is missing behind"]),
    ("listner a {\n}\n", 1, 1, ["did you mean \"listener\"?"]),
    ("listener a {\n address = *:1\n}\nlistener a {\n address = *:2\n}\n", 4, 10, ["two listener", "line 1"]),
    ("listener a {\n address = *:1\n", 1, 1, ["not closed"]),
    ("}\n", 1, 1, ["closes nothing"]),
    ("hostname = a\nhostname = b\n", 2, 1, ["given twice", "line 1"]),
    ("route r {\n to = smarthost\n match = *\n}\n", 1, 1, ["no host is given", "example:"]),
    (b"hostname = \0\n", 1, 12, ["NUL"]),
    (b"hostname = \xff\n", 1, 12, ["UTF-8"]),
    ("hostname = \"open\n", 1, 12, ["quote"]),
    ("hostname = " + "x" * 70000 + "\n", 1, 4097, ["at most 4096"]),
    ("listener a {\n address = *:587\n auth-clear = PLAIN\n}\n", 3, None, ["PLAIN"])]


@test("every mistake: file, line, column, the line itself, what was expected; status 78")
def _():
    with work() as tmp:
        for text, line, column, words in MISTAKES:
            said = check_text(tmp, text, ok=(78,))
            place = f"{tmp}/t.conf:{line}:" + (f"{column}: error: " if column else "")
            shown = text[:40] if isinstance(text, str) else text[:40].decode(errors="replace")
            check(place in said, f"{shown!r}: {said}")
            for word in words:
                check(word in said, f"{shown!r}: {word!r} is not in {said}")
            check(re.search(rf"^ +{line} \| ", said, re.M) and re.search(r"^ +\| +\^", said, re.M), said)
            check("\x1b" not in said, "colour where no terminal is")
        # all of a file's mistakes at once, and every command refuses it
        said = check_text(tmp, "hostnam = x\nfoo {\n}\nmessage-size = y\n", ok=(78,))
        check("3 errors" in said and all(f":{n}:" in said for n in (1, 2, 4)), said)
        for argv in [["config", "dump"], ["serve"], ["queue", "list"], ["user", "list"]]:
            said = call([SALLYPORT, *argv, "--config", tmp / "t.conf"], ok=(78,))
            check("did you mean" in said and "t.conf:1:1" in said, f"{argv}: {said}")
        for path, words in [(tmp / "none", "No such file"), (tmp, "directory")]:
            check(words in config("check", "--config", path, ok=(78,)), words)
        said = config("check", tmp / "t.conf", ok=(64,))  # not --config: it would say "fine"
        check("--config" in said, said)
        check("--config" in config("dump", tmp / "t.conf", ok=(64,)), "dump")


def round_trip(tmp, text):
    (tmp / "a.conf").write_text(text)
    for more in [[], ["--all"]]:
        one = subprocess.run([SALLYPORT, "config", "dump", "--config", str(tmp / "a.conf"), *more], capture_output=True)
        if one.returncode == 78:
            return False
        check(one.returncode == 0, one.stderr.decode())
        (tmp / "b.conf").write_bytes(one.stdout)
        config("check", "--config", tmp / "b.conf")
        two = subprocess.run([SALLYPORT, "config", "dump", "--config", str(tmp / "b.conf"), *more], capture_output=True)
        check(two.stdout == one.stdout, f"{text}\n-- dumped\n{one.stdout.decode()}\n-- again\n{two.stdout.decode()}")
    return True


def examples():
    """The examples of the manual, key by key, from the program's own file."""
    found, section = [], ""
    for line in (ROOT / "doc" / "configuration.md").read_text().splitlines():
        if hit := re.match(r"## `(\w+)` NAME", line):
            section = hit[1]
        elif hit := re.match(r"- Example: `(.*)`$", line):
            found.append((section, hit[1]))
    return found


@test("dump, then check, then dump again: the same text, for every key and for mixtures")
def _():
    need_server()
    keys = examples()
    check(len(keys) > 40, f"only {len(keys)} examples in doc/configuration.md")
    base = {"tls": ["certificate = /c.pem\n key = /k.pem"], "listener": ["address = *:587"],
            "route": ["match = *\n to = smarthost\n host = mx.example.org", "match = *\n to = mx",
                      "match = *\n to = pipe\n command = /bin/true", "match = *\n to = bounce"],
            "oauth": ["issuer = https://id.example.org\n audience = mail\n keys = /k.pem"],
            "dkim": ["domain = example.org\n selector = s\n key = /k.pem"],
            "milter": ["address = unix:/run/m"], "policy": ["address = unix:/run/p"],
            "accounts": ["type = file\n path = /f", "type = ldap\n url = ldap://127.0.0.1\n base = dc=x",
                         "type = pam", "type = dovecot\n path = /s",
                         "type = postgresql\n connection = host=/run\n query = SELECT 1 WHERE $1 = 'x'"]}
    taken = 0
    with work() as tmp:
        for section, example in keys:
            name = example.split(" =")[0]
            def stands(need):
                rest = "\n ".join(l for l in need.split("\n ") if not l.startswith(name + " "))
                return round_trip(tmp, f"{section} x {{\n {rest}\n {example}\n}}\n" if section else example + "\n")
            good = any(stands(need) for need in base.get(section, [""]))
            if not good:
                print(f"not alone: {section} {example}")
            taken += good
        check(taken > len(keys) * 0.7, f"only {taken} of {len(keys)} examples stand alone")
        (tmp / "whole").write_text((ROOT / "debian" / "sallyport.conf").read_text())
        check(round_trip(tmp, (tmp / "whole").read_text()), "the package's file")
        man = (ROOT / "man" / "sallyport.conf.5.in").read_text().replace("\\-", "-")
        check(round_trip(tmp, man[man.index("hostname ="):man.index(".Ed", man.index("hostname ="))]), "the page's example")
        rng = random.Random(1)
        top = [e for s, e in keys if not s]
        for _ in range(12):
            text = "\n".join(rng.sample(top, 6)) + "\n# comment\nhostname=  \"a.example\"  # why\nlistener  a{\n"
            text = text.replace("listener  a{", "listener a {") + " address = *:587 127.0.0.1:2587\n}\n"
            round_trip(tmp, "\n".join(dict((l.split("=")[0].strip(), l) if "=" in l and not l.startswith(" ")
                                           else (l, l) for l in text.splitlines()).values()) + "\n")


@test("doc/configuration.md and the example file are what the table of keys says")
def _():
    need_server()
    program = Path(SALLYPORT).resolve().parent.parent.parent / "man" / "confdoc"
    if not program.exists():
        skip("confdoc is not beside this program")
    made = call([program, "markdown"])
    check(made == (ROOT / "doc" / "configuration.md").read_text(), "doc/configuration.md is old: confdoc markdown")
    names = {l.split()[1] for l in call([program, "words"]).splitlines() if len(l.split()) > 1}
    page = call([program, "man", ROOT / "man" / "sallyport.conf.5.in"]).replace("\\-", "-")
    missing = [n for n in sorted(names) if n not in made or n not in page]
    check(missing == [], f"not in the manuals: {missing}")

@test("warnings are for config check; other commands that read the file say its errors alone")
def _():
    need_server()
    with work() as tmp:
        (tmp / "data").mkdir()
        (tmp / "a.conf").write_text(f"data-directory = {tmp}/data\n")
        check("warning" in config("check", "--config", tmp / "a.conf"), "config check has no warning to give")
        done = subprocess.run([SALLYPORT, "queue", "list", "--config", str(tmp / "a.conf")],
                              capture_output=True, text=True)
        check(done.returncode == 66 and done.stderr.count("\n") == 1 and "no spool" in done.stderr,
              f"{done.returncode}: {done.stderr}")
        (tmp / "a.conf").write_text(f"data-directory = {tmp}/data\nhostnam = x\n")
        done = subprocess.run([SALLYPORT, "queue", "list", "--config", str(tmp / "a.conf")],
                              capture_output=True, text=True)
        check(done.returncode == 78 and "did you mean" in done.stderr, f"{done.returncode}: {done.stderr}")


run()
