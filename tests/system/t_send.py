#!/usr/bin/python3
# sets: default
# timeout: 600
"""`sallyport send` and `sendmail`: what arrives, what they say, how they end."""
import email, email.policy, json, socketserver, threading
from harness import *
from scripted import Scripted

SMALL = b"From: alice@example.org\nTo: bob@example.org\nSubject: hello\n\nHello\n"


def send(srv, *more, stdin=SMALL, ok=(0,), login="password", server=None, env=None, verify=True):
    """Run send against srv; returns what it said."""
    logins = {"none": [], "password": ["--user", srv.user, "--password-file", srv.password_file],
              "certificate": ["--certificate", srv.client_certificate, "--key", srv.client_key]}
    logins["both"] = logins["password"] + logins["certificate"]
    return call([SALLYPORT, "send", "--server", server or f"smtp://localhost:{srv.port}",
                 *(["--ca", srv.ca] if verify else []), *logins[login], *more],
                stdin=stdin, ok=ok, env={"XDG_CONFIG_HOME": str(srv.data / "none"), **(env or {})})


def need():
    need_server()
    if SALLYPORT == "standin":
        skip("this is about the client; it runs against its own server")


def add_login(login, words, server="smtp"):
    @test(f"{login} over {server}: delivered, and the result names {words}")
    def _():
        need()
        with work() as tmp, server_(tmp) as srv:
            port = srv.port if server == "smtp" else srv.tls_port
            said = send(srv, login=login, server=f"{server}://localhost:{port}")
            check("accepted by" in said and words in said, said)
            check_same(SMALL, srv.mailbox("bob").wait(1)[0], completed=["Date", "Message-ID"])


server_ = server
add_login("password", "[AUTH SCRAM-SHA-256")
add_login("password", "[AUTH SCRAM-SHA-256", "smtps")
add_login("certificate", "EXTERNAL); to insist on it: --certificate-login explicit]")
add_login("both", "EXTERNAL")


@test("a wrong password, an unverified server, no server: each its own status and words")
def _():
    need()
    with work() as tmp, server(tmp) as srv:
        wrong = tmp / "wrong"
        wrong.write_text("not this\n")
        said = send(srv, "--user", srv.user, "--password-file", wrong, login="none", ok=(77,))
        check("535" in said, said)
        said = send(srv, verify=False, ok=(77,))
        check("--ca" in said and "--server-pin" in said, said)
        said = send(srv, server=f"smtp://localhost:{free_port()}", ok=(75,))
        check("cannot connect" in said, said)
        said = send(srv, server=f"smtp://no-such-host.invalid", ok=(68, 75))
        check("no-such-host.invalid" in said, said)
        check(srv.mailbox("bob").messages() == [], "something was delivered all the same")


@test("a pinned server needs no CA, and another pin is refused")
def _():
    need()
    with work() as tmp, server(tmp) as srv:
        pin = call(["openssl", "x509", "-in", srv.certificate, "-noout", "-fingerprint",
                    "-sha256"]).split("=")[1].strip()
        send(srv, "--server-pin", pin, verify=False)
        other = pin.replace(pin[:2], "00" if pin[:2] != "00" else "11", 1)
        send(srv, "--server-pin", other, verify=False, ok=(77,))


@test("attachment, UTF-8 header and added field, read by Python's email parser")
def _():
    need()
    with work() as tmp, server(tmp) as srv:
        data = bytes(range(256)) * 40
        (tmp / "Übersicht 1.bin").write_bytes(data)
        (tmp / "m").write_bytes("From: Älice <alice@example.org>\nTo: bob@example.org\n"
                                "Bcc: carol@example.org\n"
                                "Subject: Grüße aus Žilina\n\nHäuser\n.\n..x\n".encode())
        send(srv, "--attach", tmp / "Übersicht 1.bin", "--header", "X-Test: one", tmp / "m")
        raw = srv.mailbox("bob").wait(1)[0]
        srv.mailbox("carol").wait(1)
        m = email.message_from_bytes(raw, policy=email.policy.default)
        check(m["Subject"] == "Grüße aus Žilina", m["Subject"])
        check("Älice".encode() in raw, "the name in From")
        check(m["X-Test"] == "one" and m["Bcc"] is None, "X-Test or Bcc")
        body = m.get_body(("plain",)).get_content()
        check(body.replace("\r\n", "\n") == "Häuser\n.\n..x\n", repr(body))
        files = list(m.iter_attachments())
        check(len(files) == 1 and files[0].get_filename() == "Übersicht 1.bin", str(files))
        check(files[0].get_content() == data, "the attachment differs")


def max_rss(argv, stdin, env):
    """KB that the command held at most, and its output."""
    p = subprocess.Popen([str(a) for a in argv], stdin=open(stdin, "rb"), stdout=subprocess.PIPE,
                         stderr=subprocess.STDOUT, env={**os.environ, **env})
    out = p.stdout.read().decode()
    _, status, usage = os.wait4(p.pid, 0)
    p.returncode = os.waitstatus_to_exitcode(status)
    check(p.returncode == 0, f"ended with {p.returncode}: {out}")
    return usage.ru_maxrss


@test("a message of 60 MB takes no more memory than a small one")
def _():
    need()
    with work() as tmp, server(tmp, more="message-size = 100M") as srv:
        argv = [SALLYPORT, "send", "--server", f"smtp://localhost:{srv.port}", "--ca", srv.ca,
                "--user", srv.user, "--password-file", srv.password_file]
        env = {"XDG_CONFIG_HOME": str(tmp / "none"), "TMPDIR": str(tmp),
               "ASAN_OPTIONS": "quarantine_size_mb=1"}
        (tmp / "small").write_bytes(SMALL)
        with open(tmp / "big", "wb") as f:
            f.write(SMALL.replace(b"Hello\n", b"") + b"The quick brown fox jumps over it.\n" * 1750000)
        small = max_rss(argv, tmp / "small", env)
        srv.mailbox("bob").wait(1)
        srv.mailbox("bob").clear()
        big = max_rss(argv, tmp / "big", env)
        got = srv.mailbox("bob").wait(1, 60)[0]
        check_same((tmp / "big").read_bytes(), got, completed=["Date", "Message-ID"])
        check(big - small < 24000, f"{small} KB for a small message, {big} KB for 60 MB")


@test("recipients: --to, from the header, both with -t; refused ones are named with a status")
def _():
    need()
    with work() as tmp, server(tmp) as srv:
        send(srv, "--to", "carol@example.org, Dan <dan@example.org>")
        srv.mailbox("carol").wait(1)
        srv.mailbox("dan").wait(1)
        check(srv.mailbox("bob").messages() == [], "To was used though --to was given")
        send(srv, "-t", "--to", "erin@example.org")
        srv.mailbox("erin").wait(1)
        srv.mailbox("bob").wait(1)
        said = send(srv, "--json", "--to", "erin@example.org", "--to", "x@no-route.example", ok=(0, 67, 69, 77))
        result = json.loads(next(l for l in said.splitlines() if l.startswith("{")))
        check(result["accepted"] and len(result["recipients"]) == 2, said)
        check(result["recipients"][0]["accepted"], said)
        check(result["login"].startswith("AUTH SCRAM-SHA-256") and result["pin"] == "password", said)
        said = send(srv, "--to", "nobody at all", ok=(65,))
        check("no address" in said, said)


@test("quit-after ends politely at each step and nothing is delivered")
def _():
    need()
    with work() as tmp, server(tmp) as srv:
        for step in ["greeting", "ehlo", "tls", "ehlo-tls", "auth", "mail", "rcpt"]:
            said = send(srv, "--quit-after", step, "-v")
            last = [l for l in said.splitlines() if l.startswith("C: ")][-1]
            check(last == "C: QUIT", f"{step}: {said}")
        check("no step" in send(srv, "--quit-after", "nonsense", ok=(64,)), "nonsense")
        time.sleep(0.5)
        check(srv.mailbox("bob").messages() == [], "something was delivered")


@test("the trace shows the dialogue and no secret, in clear or base64")
def _():
    need()
    with work() as tmp, server(tmp) as srv:
        import base64
        for mechanism in ["PLAIN", "LOGIN", "SCRAM-SHA-256"]:
            said = send(srv, "-v", "-m", mechanism)
            check("C: MAIL FROM:" in said and "S: 250" in said, said)
            for secret in [srv.password.encode(), b"\0alice\0" + srv.password.encode()]:
                check(secret.decode() not in said, f"{mechanism}: {said}")
                check(base64.b64encode(secret).decode() not in said, f"{mechanism}: {said}")


# ---- servers that misbehave ----

class Script(socketserver.ThreadingTCPServer):
    """In clear: answers each line by reply(line), None ends; keeps what it heard."""
    allow_reuse_address = daemon_threads = True

    def __init__(self, reply):
        script, self.heard = self, []

        class Handler(socketserver.StreamRequestHandler):
            def handle(self):
                self.wfile.write(b"220 script ESMTP\r\n")
                for line in self.rfile:
                    script.heard.append(line)
                    answer = reply(line)
                    if answer is None:
                        return
                    self.wfile.write(answer)

        super().__init__(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.shutdown()
        self.server_close()


def dialogue(**answers):
    def reply(line):
        verb = line.strip().split(b" ")[0].split(b":")[0].upper().decode(errors="replace")
        return answers.get(verb, b"" if verb not in ("EHLO", "MAIL", "RCPT", "DATA", "QUIT", ".")
                           else {"EHLO": b"250 script\r\n", "DATA": b"354 go\r\n",
                                 "QUIT": b"221 bye\r\n"}.get(verb, b"250 fine\r\n"))
    return reply


def against(script, *more, ok=(0,), tmp="/nonexistent", stdin=SMALL):
    return call([SALLYPORT, "send", "--server", f"smtp://127.0.0.1:{script.server_address[1]}",
                 "--no-tls", *more], stdin=stdin, ok=ok, env={"XDG_CONFIG_HOME": str(tmp)})


@test("partly accepted: the refused recipient is named, the status says so")
def _():
    need()
    def reply(line):
        return b"550 5.1.1 no such user\r\n" if b"carol" in line and line.startswith(b"RCPT") \
            else dialogue()(line)
    with Script(reply) as s:
        said = against(s, "--to", "bob@example.org", "--to", "carol@example.org", ok=(67,))
        check("not accepted for carol@example.org: 550 5.1.1 no such user" in said, said)
        check("accepted by" in said, said)


# (what the server says, exit status, words): by hand
ENDS = [({"RCPT": b"550 5.1.1 no\r\n"}, 67, "not accepted for bob@example.org"),
        ({"RCPT": b"450 4.2.0 later\r\n"}, 75, "450 4.2.0 later"),
        ({"MAIL": b"550 5.7.1 not you\r\n"}, 77, "nobody is logged in"),
        ({"MAIL": b"530 5.7.0 login\r\n"}, 77, "give a user name and password"),
        ({"DATA": b"554 5.6.0 no\r\n"}, 65, "554 5.6.0 no"),
        ({".": b"552 5.3.4 too big\r\n"}, 65, "552 5.3.4"),
        ({".": b"452 4.3.1 full\r\n"}, 75, "452 4.3.1"),
        ({".": None}, 75, "may or may not have been accepted"),
        ({"DATA": None}, 75, "closed"),
        ({"MAIL": None}, 75, "closed"),
        ({"QUIT": None}, 0, "accepted by"),
        ({"EHLO": b"554 go away\r\n"}, 69, "554 go away")]


@test("each way a server can end it: status of sysexits.h and one sentence")
def _():
    need()
    for answers, status, words in ENDS:
        with Script(dialogue(**answers)) as s:
            said = against(s, ok=range(256))
            code = subprocess.run([SALLYPORT, "send", "--server",
                                   f"smtp://127.0.0.1:{s.server_address[1]}", "--no-tls", "-q"],
                                  input=SMALL, capture_output=True,
                                  env={**os.environ, "XDG_CONFIG_HOME": "/nonexistent"}).returncode
            check(words in said, f"{answers}: {said}")
            check(code == status, f"{answers}: {code}, not {status}")
            check(": 0 " not in said, f"{answers}: a reply that never was: {said}")


@test("a server that accepts SCRAM without a proof gets no mail")
def _():
    need()
    with work() as tmp:
        (tmp / "p").write_text("secret\n")
        answers = dialogue(EHLO=b"250-script\r\n250 AUTH SCRAM-SHA-256\r\n", AUTH=b"235 fine\r\n")
        with Script(answers) as s:
            said = against(s, "--insecure-clear-password", "--user", "alice", "--password-file",
                           tmp / "p", ok=(77,))
            check("without proving" in said or "prov" in said, said)
            check(not any(l.startswith((b"MAIL", b"DATA")) for l in s.heard), str(s.heard))


@test("refused with the certificate alone: the message goes again, with the password")
def _():
    need()
    with work() as tmp:
        pki = Certificates(tmp / "pki")
        client, client_key = pki.client("alice@example.org")
        (tmp / "p").write_text("secret\n")
        hop = Scripted(tls=pki.server(), client_ca=pki.ca)
        try:
            said = call([SALLYPORT, "send", "--server", f"smtp://127.0.0.1:{hop.port}",
                         "--ca", pki.ca, "--certificate", client, "--key", client_key, "--user",
                         "alice", "--password-file", tmp / "p"], stdin=SMALL,
                        env={"XDG_CONFIG_HOME": str(tmp)})
        finally:
            hop.stop()
        check("accepted by" in said and "[AUTH PLAIN" in said, said)
        check(hop.sessions == 2, f"{hop.sessions} sessions")
        check(len(hop.taken) == 1 and hop.taken[0][2].endswith(b"\r\n\r\nHello\r\n"), str(hop.taken))


@test("--no-tls and passwords in clear go nowhere by accident")
def _():
    need()
    with work() as tmp:
        (tmp / "p").write_text("secret\n")
        said = call([SALLYPORT, "send", "--server", "smtp://mail.example.org", "--no-tls", "--to",
                     "b@example.org"], ok=(64,), env={"XDG_CONFIG_HOME": str(tmp)})
        check("this machine" in said, said)
        with Script(dialogue(EHLO=b"250-script\r\n250 AUTH PLAIN\r\n")) as s:
            against(s, "--user", "alice", "--password-file", tmp / "p", ok=(77,))
            check(not any(l.startswith((b"AUTH", b"MAIL")) for l in s.heard), str(s.heard))


@test("Ctrl-C: status 130, nothing sent; after the dot it says that it may have been")
def _():
    need()
    for silent, words in [("MAIL", "nothing was sent"), (".", "may have been accepted")]:
        with Script(dialogue(**{silent: b""})) as s:
            p = subprocess.Popen([SALLYPORT, "send", "--server",
                                  f"smtp://127.0.0.1:{s.server_address[1]}", "--no-tls"],
                                 stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                 stderr=subprocess.STDOUT,
                                 env={**os.environ, "XDG_CONFIG_HOME": "/nonexistent"})
            p.stdin.write(SMALL)
            p.stdin.close()
            wait_until(lambda: any(l.upper().startswith(silent.encode()) for l in s.heard), 20,
                       f"the client to say {silent}")
            p.send_signal(signal.SIGINT)
            said = p.stdout.read().decode()
            check(p.wait(20) == 130, f"{p.returncode}: {said}")
            check(words in said, said)


def at_terminal(argv, answer):
    """Run with a terminal of its own, answer its question; (status, what it showed)."""
    import pty
    pid, fd = pty.fork()
    if pid == 0:
        os.environ["XDG_CONFIG_HOME"] = "/nonexistent"
        os.execv(argv[0], argv)
    shown, asked = b"", False
    with contextlib.suppress(OSError):
        while data := os.read(fd, 4096):
            shown += data
            if b"Password: " in shown and not asked:
                asked = True
                time.sleep(0.3)  # the echo is off by then
                os.write(fd, answer)
    os.close(fd)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), shown.decode(errors="replace")


@test("a password asked for at the terminal: not echoed, sent; Ctrl-C ends it")
def _():
    need()
    with work() as tmp, Script(dialogue(EHLO=b"250-script\r\n250 AUTH CRAM-MD5\r\n",
                                        AUTH=b"334 PDFAeD4=\r\n")) as s:
        (tmp / "m").write_bytes(SMALL)
        argv = [SALLYPORT, "send", "--server", f"smtp://127.0.0.1:{s.server_address[1]}", "--no-tls",
                "--insecure-clear-password", "--timeout", "2", "--user", "alice", str(tmp / "m")]
        status, shown = at_terminal(argv, b"hunter2\n")
        check("hunter2" not in shown, shown)
        import base64, hmac
        token = base64.b64encode(b"alice " + hmac.new(b"hunter2", b"<1@x>", "md5").hexdigest().encode())
        check(any(l.strip() == token for l in s.heard), f"{s.heard}: {shown}")
        del s.heard[:]
        status, shown = at_terminal(argv, b"\x03")
        check(status == 77 and "interrupted" in shown, f"{status}: {shown}")
        check(not any(l.startswith(b"MAIL") for l in s.heard), str(s.heard))


# ---- accounts and sendmail ----

def account(srv, folder, more=""):
    (folder / "sallyport").mkdir(exist_ok=True)
    path = folder / "sallyport" / "accounts.conf"
    path.write_text(f"account default {{\n    server = smtp://localhost:{srv.port}\n"
                    f"    ca = {srv.ca}\n    user = {srv.user}\n"
                    f"    password-command = cat {srv.password_file}\n"
                    f"    from = {srv.address} # ours\n{more}}}\n")
    os.chmod(path, 0o600)
    return {"XDG_CONFIG_HOME": str(folder)}


@test("account `default` is used without --server, --account by name; the command line wins")
def _():
    need()
    with work() as tmp, server(tmp) as srv:
        env = account(srv, tmp, "}\naccount other {\n    server = smtps://localhost:"
                      f"{srv.tls_port}\n    certificate = {srv.client_certificate}\n"
                      f"    key = {srv.client_key}\n    ca = {srv.ca}\n")
        said = call([SALLYPORT, "send"], stdin=SMALL, env=env)
        check("[AUTH SCRAM" in said and "warning" not in said, said)
        check("EXTERNAL" in call([SALLYPORT, "send", "--account", "other"], stdin=SMALL, env=env), "other")
        said = call([SALLYPORT, "send", "--account", "othr"], stdin=SMALL, env=env, ok=(78,))
        check("did you mean `other`" in said, said)
        wrong = tmp / "wrong"
        wrong.write_text("wrong\n")
        call([SALLYPORT, "send", "--password-file", wrong], stdin=SMALL, env=env, ok=(77,))
        os.chmod(tmp / "sallyport" / "accounts.conf", 0o644)
        check("warning: others can read" in call([SALLYPORT, "send"], stdin=SMALL, env=env), "mode")
        srv.mailbox("bob").wait(3)


@test("sendmail -t -i -f; arguments; a lone dot; names without a domain; mailq, newaliases")
def _():
    need()
    with work() as tmp, server(tmp) as srv:
        env = account(srv, tmp)
        for name in ["sendmail", "mailq", "newaliases"]:
            (tmp / name).symlink_to(SALLYPORT)
        sendmail = tmp / "sendmail"
        dotted = SMALL + b".\nbehind the dot\n"
        said = call([sendmail, "-t", "-i", "-oem", "-f", srv.address], stdin=dotted, env=env)
        check(said == "", f"it said: {said}")
        got = srv.mailbox("bob").wait(1)[0]
        check_same(dotted, got, completed=["Date", "Message-ID"])
        check(b"Return-Path: <alice@example.org>" in got, "the reverse-path")
        srv.mailbox("bob").clear()
        call([sendmail, "-FThe Cron", "-B8BITMIME", "-odi", "root", "--", "carol@example.org"],
             stdin=b"Subject: x\n\none\n.\nbehind the dot\n", env=env)
        got = srv.mailbox("carol").wait(1)[0]
        check(b"one" in got and b"behind" not in got, "the dot did not end it")
        check(b"The Cron" in got and b"alice@example.org" in got, "From was not made")
        srv.mailbox("root").wait(1)
        check(srv.mailbox("bob").messages() == [], "bob got something")
        call([sendmail, "-bs"], env=env, ok=(75,))  # there is no local socket here
        call([sendmail, "-Y"], env=env, ok=(64,))
        call([sendmail, "-i"], stdin=SMALL, env=env, ok=(65,))
        check("nothing" in call([tmp / "newaliases"]), "newaliases")


run()
