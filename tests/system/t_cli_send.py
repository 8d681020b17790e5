#!/usr/bin/python3
# sets: default
# timeout: 900
"""`sallyport send` as a hostile user runs it: wrong words, wrong files, servers that die
at every step, proxies, pins, secrets, terminals."""
import base64, email, email.policy, json, pty, select, ssl, threading
from harness import *
from scripted import Scripted

SMALL = b"From: alice@example.org\nTo: bob@example.org\nSubject: hello\n\nHello\n"
NOBODY = {"XDG_CONFIG_HOME": "/nonexistent"}


def send(*argv, stdin=SMALL, ok=(0,), env=None, **more):
    return call([SALLYPORT, "send", *argv], stdin=stdin, ok=ok, env={**NOBODY, **(env or {})}, **more)


def need():
    need_server()
    if SALLYPORT == "standin":
        skip("this is about the client")


@contextlib.contextmanager
def hop(**options):
    need()
    h = Scripted(**options)
    try:
        yield h
    finally:
        h.stop()


def clear(h, *more):
    return ["--server", f"smtp://127.0.0.1:{h.port}", "--no-tls", *more]


@contextlib.contextmanager
def secure():
    """A scripted server with STARTTLS, and what verifies it."""
    with work() as tmp:
        pki = Certificates(tmp / "pki")
        with hop(tls=[str(p) for p in pki.server()]) as h:
            (tmp / "p").write_text("open sesame\n")
            yield tmp, h, ["--server", f"smtp://localhost:{h.port}", "--ca", pki.ca]


# ---- what is given ----

@test("a mistake on the command line: status 64, words, nothing of a secret repeated")
def _():
    need()
    with work() as tmp:
        (tmp / "p").write_text("x\n")
        for argv, words in [
                (["--fron", "x"], "did you mean --from?"), (["--pass", "hunter2"], "never taken"),
                (["--password=hunter2"], "never taken"), (["-p"], "no option -p"),
                (["--to"], "--to wants a value"), (["--trace=yes"], "--trace takes no value"),
                ([], "name a server"), (["-s", "x", "a", "b"], "one message at a time"),
                (["-s", "http://x"], "not smtp"), (["-s", "x:70000"], "no port"),
                (["-s", "smtp://"], "host"), (["-s", "alice@x"], "--user"), (["-s", "smtp://x/y"], "host"),
                (["-s", "[::1"], "bracket"), (["-s", "lmtp://x"], "port"), (["-s", "x", "-4", "-6"], "exclude"),
                (["-s", "x", "--timeout", "soon"], "seconds"), (["-s", "x", "--timeout", "0"], "seconds"),
                (["-s", "x", "--notify", "often"], "never, success"), (["-s", "x", "--ret", "all"], "hdrs"),
                (["-s", "x", "--quit-after", "lunch"], "ehlo-tls"), (["-s", "x", "-m", "MAGIC"], "mechanism"),
                (["-s", "x", "--password-file", tmp / "p"], "needs --user"),
                (["-s", "x", "--token-command", "true"], "needs --user"),
                (["-s", "x", "--key", tmp / "p"], "needs --certificate"),
                (["-s", "mail.example.org", "--no-tls"], "this machine")]:
            said = send(*argv, ok=(64,))
            check(words in said, f"{argv}: {said}")
            check("hunter2" not in said, said)


@test("input that is missing, unreadable, a directory or empty; attachments alike")
def _():
    with work() as tmp, hop() as h:
        (tmp / "empty").write_bytes(b"")
        (tmp / "secret").write_bytes(SMALL)
        os.chmod(tmp / "secret", 0)
        base = clear(h)
        check("No such file" in send(*base, tmp / "nothing", ok=(66,)), "missing")
        check("directory" in send(*base, tmp, ok=(66,)), "directory")
        check("directory" in send(*base, "--attach", tmp, ok=(66,)), "attached directory")
        check("No such file" in send(*base, "--attach", tmp / "nothing", ok=(66,)), "no attachment")
        for argv in [[tmp / "empty"], []]:
            check("empty" in send(*base, "--to", "b@x.org", "--from", "a@x.org", *argv, stdin=b"",
                                  ok=(65,)), "empty")
        if os.geteuid() == 0:
            done = subprocess.run([SALLYPORT, "send", *base, str(tmp / "secret")], user="nobody",
                                  capture_output=True, env={**os.environ, **NOBODY})
            check(done.returncode == 66 and b"Permission denied" in done.stderr, str(done))
        check(h.sessions == 0, f"{h.sessions} connections for nothing")
        send(*base, "--to", "b@x.org", "--from", "a@x.org", "-H", "Subject: no text", stdin=b"")
        check(b"Subject: no text\r\n" in h.taken[0][2], str(h.taken))


@test("nobody to send to, no sender, malformed ones: status 65 before any connection")
def _():
    with hop() as h:
        for text, argv, words in [
                (b"From: a@x.org\nSubject: x\n\nx\n", [], "give --to"),
                (b"To: b@x.org\n\nx\n", [], "--from"), (b"From: me\nTo: b@x.org\n\nx\n", [], "--from"),
                (SMALL, ["--from", "no address"], "sender"), (SMALL, ["--to", "<>"], "no address"),
                (SMALL, ["--to", "b@x.org\r\nRCPT TO:<c@x.org>"], "no address"),
                (b"From: a@x.org\nTo: b@@x\n\nx\n", [], ""),
                (SMALL, ["-H", "no field"], "not a header field"),
                (SMALL, ["-H", "X: a\nBcc: evil@x.org"], "not a header field"),
                (SMALL, ["-H", b"Subject: Gr\xfc\xdfe"], "UTF-8")]:
            said = send(*clear(h), *argv, stdin=text, ok=(65,)) if not any(isinstance(a, bytes) for a in argv) \
                else subprocess.run([SALLYPORT, "send", *clear(h), *argv], input=text, capture_output=True,
                                    env={**os.environ, **NOBODY}).stderr.decode(errors="replace")
            check(words in said, f"{argv}: {said}")
        check(h.sessions == 0, "a connection was made")


def peak(argv, stdin, env):
    """KB that the command held at most."""
    p = subprocess.Popen([str(a) for a in argv], stdin=open(stdin, "rb"), stdout=subprocess.PIPE,
                         stderr=subprocess.STDOUT, env={**os.environ, **NOBODY, **env})
    out = p.stdout.read().decode()
    _, status, usage = os.wait4(p.pid, 0)
    p.returncode = os.waitstatus_to_exitcode(status)
    check(p.returncode == 0, f"ended with {p.returncode}: {out}")
    return usage.ru_maxrss


@test("a message and an attachment of 300 MB are not held in memory")
def _():
    with work() as tmp, hop() as h:
        (tmp / "small").write_bytes(SMALL)
        with open(tmp / "large", "wb") as f:
            f.write(SMALL)
            for _ in range(300):
                f.write(b"The quick brown fox jumps over the lazy dog and on and on and on\n" * 16131)
        with open(tmp / "data", "wb") as f:
            f.truncate(300 << 20)
        argv = [SALLYPORT, "send", *clear(h), "--quit-after", "rcpt"]
        env = {"TMPDIR": str(tmp), "ASAN_OPTIONS": "quarantine_size_mb=1"}
        usual = peak(argv, tmp / "small", env)
        text = peak(argv, tmp / "large", env)
        attached = peak([*argv, "--attach", tmp / "data"], tmp / "small", env)
        check(text - usual < 24000, f"{usual} KB for a small message, {text} KB for 300 MB")
        check(attached - usual < 24000, f"{usual} KB without, {attached} KB with 300 MB attached")
        check(h.taken == [], "it was sent")
        check(sorted(os.listdir(tmp)) == ["data", "large", "small"], "files were left behind")


@test("attachments: from a pipe, an empty one, many, and one that shrinks are what they were")
def _():
    with work() as tmp, hop() as h:
        os.mkfifo(tmp / "pipe")
        (tmp / "none.txt").write_bytes(b"")
        (tmp / "b.pdf").write_bytes(b"%PDF\n" * 9999)
        threading.Thread(target=lambda: (tmp / "pipe").write_bytes(b"p" * 100000), daemon=True).start()
        send(*clear(h), "-a", tmp / "pipe", "-a", tmp / "none.txt", "-a", tmp / "b.pdf", "-a", "-",
             tmp / "m" if (tmp / "m").write_bytes(SMALL) else "", stdin=b"from standard input")
        m = email.message_from_bytes(h.taken[0][2], policy=email.policy.default)
        got = [a.get_content() for a in m.iter_attachments()]
        got = [g.encode() if isinstance(g, str) else g for g in got]
        check(got == [b"p" * 100000, b"", b"%PDF\n" * 9999, b"from standard input"],
              str([g[:20] for g in got]))


# ---- UTF-8 ----

@test("UTF-8 in the header goes to a server without SMTPUTF8 in encoded words")
def _():
    text = ("From: Jörg Müller <alice@example.org>\nTo: \"Ödön, x\" <bob@example.org>, carol@example.org\n"
            "Subject: Grüße aus Žilina und von noch viel weiter her, wo die Zeile länger ist\n"
            "X-Latin: caf\udce9\n\nHäuser\n").encode("utf-8", "surrogateescape")
    for lists, raw in [((), False), (("SMTPUTF8",), True)]:
        with hop(lists=lists) as h:
            send(*clear(h), "-H", "X-Mine: Äpfel", "-H", "Reply-To: Übel <u@example.org>", stdin=text)
            got = h.taken[0][2]
            check(("Grüße".encode() in got) == raw, got.decode(errors="replace"))
            check(any("SMTPUTF8" in l for l in h.lines if l.startswith("MAIL")) == raw, str(h.lines))
            if not raw:
                check(got.split(b"\r\n\r\n")[0].isascii(), "the header is not ASCII")
            check(b"unknown-8bit" in got and b"\xe9" not in got, "what is no UTF-8 was sent raw")
            m = email.message_from_bytes(got, policy=email.policy.default)
            check(m["Subject"].startswith("Grüße aus Žilina") and m["Subject"].endswith("länger ist"), m["Subject"])
            if not raw:  # Python's addresses do not read UTF-8 that stands raw
                check(m["From"].addresses[0].display_name == "Jörg Müller", str(m["From"]))
                check([a.addr_spec for a in m["To"].addresses] == ["bob@example.org", "carol@example.org"], str(m["To"]))
                check(m["To"].addresses[0].display_name == "Ödön, x", str(m["To"]))
            check(m["X-Mine"] == "Äpfel" and m["Reply-To"].addresses[0].display_name == "Übel", "added fields")
            check("Häuser" in m.get_body().get_content(), "the text")
            check(len(email.message_from_bytes(got).get_all("Message-ID")) == 1, "Message-ID")


@test("an address in UTF-8 is not sent to a server without SMTPUTF8, and the words say why")
def _():
    with hop() as h:
        said = send(*clear(h), "--to", "jörg@example.org", ok=(69,))
        check("SMTPUTF8" in said, said)
        said = send(*clear(h), "--json", "--to", "jörg@example.org", ok=(69,))
        told = json.loads(next(l for l in said.splitlines() if l.startswith("{")))
        check(told["accepted"] is False and told["stage"] == "MAIL" and "SMTPUTF8" in told["error"], said)
        check(not any(l.startswith("MAIL") for l in h.lines), str(h.lines))
    with hop(lists=("SMTPUTF8",)) as h:
        send(*clear(h), "--to", "jörg@example.org")
        check("jörg@example.org" in h.taken[0][1], str(h.taken[0][1]))


# ---- servers that die or fall silent ----

# (step, what it does when it ends there, status): by hand from sysexits(3)
STEPS = [("", 75), ("EHLO", 75), ("STARTTLS", 75), ("AUTH", 75), ("MAIL", 75), ("RCPT", 75),
         ("DATA", 75), (".", 75), ("QUIT", 0)]


@test("a server that closes at each step: status, one sentence, no message half taken")
def _():
    with secure() as (tmp, h, base):
        for verb, status in STEPS:
            h.answers.clear()
            h.answers[verb] = ""
            said = send(*base, "--user", "alice", "--password-file", tmp / "p", "-m", "PLAIN", ok=range(256))
            code = subprocess.run([SALLYPORT, "send", *map(str, base), "--user", "alice", "--password-file",
                                   str(tmp / "p"), "-q"], input=SMALL, capture_output=True,
                                  env={**os.environ, **NOBODY}).returncode
            check(code == status or (verb == "STARTTLS" and code == 77), f"{verb}: {code}: {said}")
            lines = [l for l in said.splitlines() if l.startswith("sallyport: ")]
            check(len(lines) == (0 if verb == "QUIT" else 1), f"{verb}: {said}")
            if verb == ".":
                check("may or may not" in said, said)
        check(len(h.taken) == 2, f"{len(h.taken)} messages: only with QUIT they are taken")


@test("a server that falls silent at each step is left after --timeout")
def _():
    with secure() as (tmp, h, base):
        for verb, status in STEPS:
            stop = threading.Event()
            h.answers.clear()
            h.answers[verb] = lambda line: stop.wait(20) and ""
            began = time.monotonic()
            said = send(*base, "--user", "alice", "--password-file", tmp / "p", "--timeout", "1",
                        ok=(status, 77) if verb == "STARTTLS" else (status,))
            took = time.monotonic() - began
            stop.set()
            check(took < 15, f"{verb}: {took:.1f} s: {said}")
            check(verb in ("QUIT", ".") or "1 s" in said or "time" in said or "did not" in said, f"{verb}: {said}")


@test("no server: refused, no such name, a network that is silent")
def _():
    need()
    check("cannot connect" in send("-s", f"127.0.0.1:{free_port()}", ok=(75,)), "refused")
    check("no-such.invalid" in send("-s", "no-such.invalid", ok=(68, 75)), "name")
    with socket.socket() as s:  # a backlog that is full answers nothing
        s.bind(("127.0.0.1", 0))
        s.listen(0)
        full = [socket.socket() for _ in range(4)]
        for f in full:
            f.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                f.connect(s.getsockname())
        said = send("-s", f"127.0.0.1:{s.getsockname()[1]}", "--timeout", "1", ok=(75,))
        for f in full:
            f.close()


# ---- steps ----

@test("--quit-after at every step: QUIT is the last word, nothing is sent, it says where it stopped")
def _():
    with secure() as (tmp, h, base):
        login = ["--user", "alice", "--password-file", tmp / "p"]
        for mode, argv, steps in [
                ("starttls", [*base, *login], ["greeting", "ehlo", "tls", "ehlo-tls", "auth", "mail", "rcpt"]),
                ("clear", clear(h), ["connect", "greeting", "ehlo", "mail", "rcpt"])]:
            for step in steps:
                said = send(*argv, "--quit-after", step, "-v")
                last = [l for l in said.splitlines() if l.startswith("C: ")][-1]
                check(last == "C: QUIT", f"{mode} {step}: {said}")
                check(f"stopped after {step}" in said, f"{mode} {step}: {said}")
                check(send(*argv, "--quit-after", step, "-q") == "", "with -q it spoke")
        result = json.loads(send(*base, *login, "--quit-after", "auth", "--json"))
        check(result["stopped_after"] == "auth" and result["accepted"] is False, str(result))
        for step, argv in [("tls", clear(h)), ("ehlo-tls", clear(h)), ("auth", clear(h)), ("auth", base)]:
            said = send(*argv, "--quit-after", step, ok=(69,))
            check("no step" in said, f"{step}: {said}")
        check(h.taken == [], f"sent: {h.taken}")
        check(not any(l == "DATA" for l in h.lines), "DATA was said")


# ---- the way there ----

@test("through a SOCKS5 proxy: by address, by name, IPv6 on either side; refusals in words")
def _():
    need()
    with work() as tmp, hop() as h, proxy(tmp) as (port, p):
        send(*clear(h), "--socks", f"127.0.0.1:{port}")
        send("--server", f"smtp://localhost:{h.port}", "--no-tls", "--socks", f"localhost:{port}")
        check(len(h.taken) == 2 and "connected to" in p.output(), p.output())
        dead = free_port()
        said = send("--server", f"127.0.0.1:{dead}", "--socks", f"127.0.0.1:{port}", ok=(68, 75))
        check("refused" in said and "through" in said, said)
        said = send("--server", "no-such.invalid", "--socks", f"127.0.0.1:{port}", ok=(68, 75))
        check("no-such.invalid" in said, said)
        said = send(*clear(h), "--socks", f"127.0.0.1:{free_port()}", ok=(75,))
        check("cannot connect" in said, said)
        said = send(*clear(h), "--socks", f"127.0.0.1:{h.port}", "--timeout", "2", ok=(68, 75, 76))
        check("cannot connect" in said, said)  # no proxy at all: an SMTP server
        with socket.create_server(("::1", 0), family=socket.AF_INET6) as six:
            threading.Thread(target=lambda: six.accept()[0].sendall(b"554 5.3.2 six\r\n"), daemon=True).start()
            said = send("--server", f"smtp://[::1]:{six.getsockname()[1]}", "--no-tls", "--socks",
                        f"127.0.0.1:{port}", ok=(69,))
            check("554 5.3.2 six" in said, said)
    with work() as tmp, hop() as h, proxy(tmp, address="::1") as (port, p):
        send(*clear(h), "--socks", f"[::1]:{port}")
        check(len(h.taken) == 1, "through [::1]")
    with work() as tmp, hop() as h, proxy(tmp, "-u", "u", "-P", "p") as (port, p):
        said = send(*clear(h), "--socks", f"127.0.0.1:{port}", ok=(68, 75, 77))
        check("proxy" in said, said)
        check(h.sessions == 0, "it went around the proxy")


@test("-4 and -6 take the family that was asked for; --source is our address")
def _():
    need()
    with hop() as h:
        said = send("-s", f"smtp://[::1]:{h.port}", "--no-tls", "-4", ok=(68, 75))
        check("family" in said, said)
        said = send(*clear(h), "-6", ok=(68, 75))
        check("family" in said, said)
        said = send("-s", f"smtp://::1", "--no-tls", "-4", ok=(68, 75))
        check("family" in said, said)
        send("-s", f"smtp://localhost:{h.port}", "--no-tls", "-4")
        check(send(*clear(h), "--source", "nonsense", ok=(65, 68)).count("nonsense") == 1, "source")
        send(*clear(h), "--source", "192.0.2.77", ok=(75,))  # not ours
        send(*clear(h), "--source", "::1", ok=(68, 75))
    seen = []
    with socket.create_server(("127.0.0.1", 0)) as s:
        def one():
            c, where = s.accept()
            seen.append(where[0])
            c.sendall(b"554 no\r\n")
            c.close()
        threading.Thread(target=one, daemon=True).start()
        send("-s", f"smtp://127.0.0.1:{s.getsockname()[1]}", "--no-tls", "--source", "127.0.0.9", ok=(69,))
    check(seen == ["127.0.0.9"], str(seen))
    with socket.create_server(("::1", 0), family=socket.AF_INET6) as six:
        def two():
            for _ in range(2):
                c, where = six.accept()
                seen.append(where[0])
                c.sendall(b"554 no\r\n")
                c.close()
        threading.Thread(target=two, daemon=True).start()
        port = six.getsockname()[1]
        send("-s", f"smtp://[::1]:{port}", "--no-tls", "-6", ok=(69,))
        said = send("-s", f"[::1]:{port}", "--source", "::1", ok=(69,))
    check(seen[1:] == ["::1", "::1"] and "554" in said, f"{seen} {said}")


@test("msmtp's configuration becomes accounts that send")
def _():
    with secure() as (tmp, h, base):
        (tmp / "msmtprc").write_text(f"defaults\ntls on\ntls_trust_file {base[3]}\naccount home\nhost localhost\n"
                                     f"port {h.port}\nauth on\nuser alice\npasswordeval cat {tmp}/p\n"
                                     "from alice@example.org\naccount default : home\n")
        done = subprocess.run([SALLYPORT, "send", "--import-msmtprc", str(tmp / "msmtprc")], capture_output=True)
        check(done.returncode == 0, str(done))
        (tmp / "sallyport").mkdir()
        (tmp / "sallyport/accounts.conf").write_bytes(done.stdout)
        os.chmod(tmp / "sallyport/accounts.conf", 0o600)
        for argv in [[], ["-A", "home"]]:
            said = send(*argv, stdin=b"To: bob@example.org\nSubject: x\n\nx\n", env={"XDG_CONFIG_HOME": str(tmp)})
            check("accepted by" in said, said)
        check([t[0] for t in h.taken] == ["alice@example.org"] * 2, str(h.taken))
        check(any(l.startswith("AUTH PLAIN") for l in h.lines), str(h.lines))
        (tmp / "msmtprc").write_text("account x\nhost 127.0.0.1\ntls off\nport 25\n")
        text = call([SALLYPORT, "send", "--import-msmtprc", tmp / "msmtprc"])
        check("# " in text and "no TLS" in text and not re.search(r"^ *no-tls", text, re.M), text)
        check("No such file" in send("--import-msmtprc", tmp / "none", ok=(66,)), "no file")


# ---- who is there ----

@test("an untrusted server: its fingerprint, the exact --server-pin, and the warning; the pin works")
def _():
    with secure() as (tmp, h, base):
        server = base[:2]
        said = send(*server, ok=(77,))
        pin = re.search(r"--server-pin ([0-9a-f]{64})\n", said)
        check(pin, said)
        check("Compare" in said and "telephone" in said, said)
        check(not any(l.startswith(("AUTH", "MAIL")) for l in h.lines), str(h.lines))
        send(*server, "--server-pin", pin[1])
        check(len(h.taken) == 1, "not sent")
        for wrong in ["0" * 64, pin[1][:-1] + ("0" if pin[1][-1] != "0" else "1")]:
            check("pin" in send(*server, "--server-pin", wrong, ok=(77,)), "another pin")
        for bad in ["zz", "", pin[1][:62], pin[1] + "00"]:
            send(*server, "--server-pin", bad, ok=(64, 65))
        check(len(h.taken) == 1, "sent to a server with another key")
        # the right authority, another name
        said = send("-s", f"smtp://127.0.0.2:{h.port}", *base[2:], ok=(75, 77))
        said = send("-s", f"smtp://127.0.0.1:{h.port}", *base[2:], "--tls-name", "other.example", ok=(77,))
        check("other.example" in said, said)
        send("-s", f"smtp://127.0.0.1:{h.port}", *base[2:], "--tls-name", "localhost")


@test("a password from a file, a command, the environment; none; empty; wrong; never in argv")
def _():
    with secure() as (tmp, h, base):
        want = base64.b64encode(b"\0alice\0open sesame").decode()
        user = [*base, "--user", "alice", "-m", "PLAIN"]
        for argv, env in [(["--password-file", tmp / "p"], {}), (["--password-command", f"cat {tmp}/p"], {}),
                          ([], {"SALLYPORT_PASSWORD": "open sesame"})]:
            h.lines.clear()
            send(*user, *argv, env=env)
            check(f"AUTH PLAIN {want}" in h.lines, f"{argv}: {h.lines}")
        (tmp / "crlf").write_bytes(b"open sesame\r\nsecond line\n")
        send(*user, "--password-file", tmp / "crlf")
        check(f"AUTH PLAIN {want}" in h.lines, str(h.lines))
        h.lines.clear()
        for argv, words in [(["--password-file", tmp / "none"], "No such file"),
                            (["--password-file", "/dev/null"], "empty"),
                            (["--password-file", tmp], "directory"),
                            (["--password-command", "exit 3"], "status 3"),
                            (["--password-command", "true"], "printed no"),
                            (["--password-command", "no-such-program-here"], "127"), ([], "no terminal")]:
            done = subprocess.run([SALLYPORT, "send", *map(str, [*user, *argv])], input=SMALL,
                                  capture_output=True, env={**os.environ, **NOBODY}, start_new_session=True)
            check(words in done.stderr.decode(), f"{argv}: {done}")
            check(done.returncode in (66, 77), f"{argv}: {done}")
        check(not any(l.startswith(("AUTH", "MAIL")) for l in h.lines), str(h.lines))
        h.answers["AUTH"] = "535 5.7.8 no"
        check("535" in send(*user, "--password-file", tmp / "p", ok=(77,)), "wrong password")
        h.answers["AUTH"] = "454 4.7.0 later"
        send(*user, "--password-file", tmp / "p", ok=(75,))
        check("MAIL" not in " ".join(h.lines), "mail after a failed login")
        check(not re.search(r"--password\b(?!-)", send("--help")), "--password exists")


@test("the trace of every mechanism shows no secret, plain, in base64 or as a token")
def _():
    with secure() as (tmp, h, base):
        (tmp / "t").write_text("tok3n-of-mine\n")
        secrets = [b"open sesame", b"tok3n-of-mine"]
        forms = [s.decode() for s in secrets] + [base64.b64encode(p + s + e).decode().rstrip("=")[4:-4]
                 for s in secrets for p in (b"", b"\0alice\0", b"auth=Bearer ") for e in (b"", b"\1\1")]
        challenge = {"LOGIN": ["334 VXNlcm5hbWU6", "334 UGFzc3dvcmQ6", "235 in"],
                     "CRAM-MD5": ["334 PDFAeD4=", "235 in"], "PLAIN": ["334 ", "235 in"]}
        for mech in ["PLAIN", "LOGIN", "CRAM-MD5", "SCRAM-SHA-256", "SCRAM-SHA-1", "XOAUTH2", "OAUTHBEARER"]:
            steps = iter(challenge.get(mech, []))
            heard = []

            def answer(line):
                heard.append(line)
                return next(steps, "235 in")
            listed = lambda line: f"250-hop\r\n250 AUTH {mech}" if secure_now(h) else "250-hop\r\n250 STARTTLS"
            h.answers.clear()
            h.lines.clear()
            h.answers.update({"EHLO": listed, "AUTH": answer, "": None})
            login = ["--token-file", tmp / "t"] if "OA" in mech else ["--password-file", tmp / "p"]
            said = send(*base, "--user", "alice", *login, "-m", mech, "-v", ok=range(256))
            check(f"C: AUTH {mech}" in said and "[hidden]" in said, f"{mech}: {said}")
            for form in forms:
                check(form not in said, f"{mech} shows {form}: {said}")


def secure_now(h):
    """Has the session of this EHLO been in TLS already?  STARTTLS stands before it then."""
    return "STARTTLS" in h.lines


# ---- terminals and signals ----

@contextlib.contextmanager
def terminal(argv, stdin):
    """The program with a terminal for what it says to people."""
    master, slave = pty.openpty()
    p = subprocess.Popen([str(a) for a in argv], stdin=open(stdin, "rb"), stdout=slave, stderr=slave,
                         env={**os.environ, **NOBODY}, start_new_session=True)
    os.close(slave)
    shown = bytearray()

    def more(seconds=20):
        if select.select([master], [], [], seconds)[0]:
            with contextlib.suppress(OSError):
                data = os.read(master, 65536)
                shown.extend(data)
                return data
        return b""
    try:
        yield p, shown, more
    finally:
        if p.poll() is None:
            p.kill()
        p.wait()
        os.close(master)


def swallow(s, sessions):
    """A server that takes what is sent, slowly enough to be watched."""
    def serve():
        for _ in range(sessions):
            c, _ = s.accept()
            f = c.makefile("rb")
            for reply in [b"220 x", b"250 x", b"250 x", b"250 x"]:
                c.sendall(reply + b"\r\n")
                f.readline()
            c.sendall(b"354 go\r\n")
            tail, n = b"", 0
            while tail[-5:] != b"\r\n.\r\n":
                data = f.read1(1 << 20)
                if not data:
                    break
                tail, n = (tail + data)[-5:], n + len(data)
                time.sleep(0.002)
            c.sendall(b"250 %d\r\n" % n)
            f.readline()
            c.close()
    threading.Thread(target=serve, daemon=True).start()
    return ["-s", f"smtp://127.0.0.1:{s.getsockname()[1]}", "--no-tls"]


@test("a large message shows a progress bar on a terminal, gone at the end; elsewhere none")
def _():
    need()
    with work() as tmp, socket.create_server(("127.0.0.1", 0)) as s:
        (tmp / "m").write_bytes(SMALL + b"The quick brown fox jumps over the lazy dog.\n" * 400000)
        (tmp / "s").write_bytes(SMALL)
        server = swallow(s, 4)
        with terminal([SALLYPORT, "send", *server], tmp / "m") as (p, shown, more):
            while more():
                pass
            check(p.wait(30) == 0, shown.decode())
            text = shown.decode()
        percents = [int(n) for n in re.findall(r"(\d+) %", text)]
        check(percents == sorted(set(percents)) and len(percents) > 3 and percents[-1] == 100, text)
        check(re.search(r"\[#+ +\]", text) and "waiting for the reply" in text, text)
        check("\r\033[Kaccepted by" in text, text)
        for argv in [["-q"], []]:
            done = subprocess.run([SALLYPORT, "send", *server, *argv, str(tmp / "m")],
                                  capture_output=True, env={**os.environ, **NOBODY})
            check(done.returncode == 0 and b"%" not in done.stderr + done.stdout, str(done))
        with terminal([SALLYPORT, "send", *server], tmp / "s") as (p, shown, more):
            while more():
                pass
            check(b"%" not in shown and b"accepted" in shown, shown.decode())


@test("Ctrl-C in the middle of the message: status 130, the server never sees an end")
def _():
    need()
    with work() as tmp, socket.create_server(("127.0.0.1", 0)) as s:
        (tmp / "m").write_bytes(SMALL + b"The quick brown fox jumps over the lazy dog.\n" * 400000)
        got = bytearray()
        reading = threading.Event()

        def serve():
            c, _ = s.accept()
            f = c.makefile("rwb", buffering=0)
            for reply in [b"220 x", b"250 x", b"250 x", b"250 x", b"354 go"]:
                f.write(reply + b"\r\n")
                if reply[:3] != b"354":
                    f.readline()
            reading.set()
            time.sleep(1)
            while data := c.recv(65536):
                got.extend(data)
        t = threading.Thread(target=serve, daemon=True)
        t.start()
        with terminal([SALLYPORT, "send", "-s", f"smtp://127.0.0.1:{s.getsockname()[1]}", "--no-tls"],
                      tmp / "m") as (p, shown, more):
            check(reading.wait(20), "no DATA")
            time.sleep(0.3)
            p.send_signal(signal.SIGINT)
            while more():
                pass
            check(p.wait(20) == 130, shown.decode())
            check("nothing was sent" in shown.decode(), shown.decode())
        t.join(10)
        check(len(got) > 1000 and not got.endswith(b"\r\n.\r\n"), f"{len(got)} octets: {got[-50:]}")


@test("the result cannot be written: the message counts as sent, and it is said")
def _():
    with work() as tmp, hop() as h:
        for argv in [[], ["--json"]]:
            with open("/dev/full", "w") as full:
                done = subprocess.run([SALLYPORT, "send", *clear(h), *argv], input=SMALL, stdout=full,
                                      stderr=subprocess.PIPE, env={**os.environ, **NOBODY})
            check(done.returncode == 0, "a script would send it again")
            check(b"No space left" in done.stderr, str(done))
        r, w = os.pipe()
        os.close(r)
        done = subprocess.run([SALLYPORT, "send", *clear(h)], input=SMALL, stdout=w,
                              stderr=subprocess.PIPE, env={**os.environ, **NOBODY})
        os.close(w)
        check(done.returncode == 0 and done.stderr == b"", str(done))
        check(len(h.taken) == 3, f"{len(h.taken)} taken")


# ---- files that belong to the system ----

def in_own_etc(tmp, files, script, env=None):
    """Runs a shell script where /etc holds only these files and what names need."""
    if os.geteuid() != 0:
        skip("needs root (its own /etc)")
    lines = ["set -e", "mount -t tmpfs tmpfs /etc", f"cp {tmp}/etc/* /etc/", "mkdir /etc/sallyport",
             f"cp {tmp}/etc-sallyport/* /etc/sallyport/"]
    (tmp / "etc").mkdir(exist_ok=True)
    for name in ["passwd", "group", "hosts", "nsswitch.conf", "ld.so.cache", "ld.so.conf"]:
        if Path("/etc", name).exists():
            shutil.copy(Path("/etc", name), tmp / "etc" / name)
    (tmp / "etc-sallyport").mkdir(exist_ok=True)
    for name, text in files.items():
        (tmp / "etc-sallyport" / name).write_text(text)
    return call(["unshare", "-m", "sh", "-c", "\n".join([*lines, "set +e", script])], stdin=SMALL, ok=range(256),
                env={"HOME": str(tmp / "home"), "XDG_CONFIG_HOME": "", **(env or {})})


@test("/etc/sallyport/accounts.conf serves who has no file; mailq asks the server of /etc")
def _():
    with work() as tmp, server(tmp) as srv, hop() as h:
        ours = f"account default {{\n server = smtp://127.0.0.1:{h.port}\n no-tls = yes\n}}\n"
        for name in ["sendmail", "mailq", "newaliases"]:
            (tmp / name).symlink_to(SALLYPORT)
        (tmp / "m").write_bytes(SMALL)
        said = in_own_etc(tmp, {"accounts.conf": ours}, f"{SALLYPORT} send")
        check("accepted by" in said, said)
        own = tmp / "home/.config/sallyport"
        own.mkdir(parents=True)
        (own / "accounts.conf").write_text(ours.replace("default", "mine").replace(str(h.port), "1"))
        os.chmod(own / "accounts.conf", 0o600)
        said = in_own_etc(tmp, {"accounts.conf": ours}, f"{SALLYPORT} send {tmp}/m; {SALLYPORT} send -A mine {tmp}/m; echo $?")
        check("accepted by" in said and said.rstrip().endswith("75"), said)
        said = in_own_etc(tmp, {"accounts.conf": ours}, f"{tmp}/sendmail -t -i")
        check(said == "" and len(h.taken) == 3, said)
        said = in_own_etc(tmp, {"accounts.conf": "account default {\n servr = x\n}\n"}, f"{SALLYPORT} send; echo $?")
        check("/etc/sallyport/accounts.conf:2:2" in said and "did you mean" in said and said.rstrip().endswith("78"), said)
        conf = srv.config.read_text()
        said = in_own_etc(tmp, {"sallyport.conf": conf}, f"{tmp}/mailq; echo $?; {tmp}/sendmail -bp")
        check("0" in said.split() and "rror" not in said, said)
        srv.stop()
        said = in_own_etc(tmp, {"sallyport.conf": conf}, f"{tmp}/mailq; echo $?")
        check("0" in said.split() and "rror" not in said, said)
        srv.start()
        said = call([tmp / "newaliases"])
        check("no alias database" in said and "nothing" in said, said)


run()
