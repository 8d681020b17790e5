#!/usr/bin/python3
# sets: default
# timeout: 400
"""Logins by access token, with tokens of another implementation (PyJWT), an introspection
endpoint that misbehaves in every way it can, and real clients."""
import base64, contextlib, http.server, json, os, shutil, smtplib, ssl, sys, threading, time, types
from harness import *
from wire import *
from peers import Peer
import clients
from issuer import ISSUER, Issuer, jwt

HOLD = types.SimpleNamespace()
MECHS = ("OAUTHBEARER", "XOAUTH2")


class Endpoint:
    """RFC 7662.  mode: what it does with the next questions."""

    def __init__(self, certificate=None):
        self.mode, self.asked, self.answer = "good", [], {}
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def log_message(self, *_):
                pass

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"])).decode()
                outer.asked.append((self.path, self.headers, body))
                with contextlib.suppress(OSError):
                    outer.reply(self)

        class Quiet(http.server.ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_):
                pass
        self.httpd = Quiet(("127.0.0.1", 0), Handler)
        self.port = self.httpd.server_address[1]
        if certificate:
            c = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            c.load_cert_chain(*certificate)
            self.httpd.socket = c.wrap_socket(self.httpd.socket, server_side=True)
        threading.Thread(target=self.httpd.serve_forever, daemon=True).start()

    def reply(self, h):
        good = json.dumps({"active": True, "email": "alice@example.org", "aud": "mail", "scope": "mail.send",
                           **self.answer}).encode()
        status, body = {"good": (200, good), "inactive": (200, b'{"active":false}'), "garbage": (200, b"<html>hello"),
                        "empty": (200, b""), "denied": (401, b'{"error":"invalid_client"}'), "broken": (500, good),
                        "redirect": (302, b""), "huge": (200, b'{"active":true,"x":"' + b"x" * (1 << 20) + b'"}'),
                        "slow": (200, good), "cut": (200, good)}[self.mode]
        if self.mode == "slow":
            time.sleep(4)
        h.send_response(status)
        if self.mode == "redirect":
            h.send_header("Location", f"http://127.0.0.1:{self.port}/elsewhere")
        h.send_header("Content-Type", "application/json")
        h.send_header("Content-Length", str(len(body) + (10 if self.mode == "cut" else 0)))
        h.end_headers()
        h.wfile.write(body)

    def close(self):
        self.httpd.shutdown()
        self.httpd.server_close()


def first_response(mech, token, user="alice", more=""):
    if mech == "XOAUTH2":
        return b64(f"user={user}\1auth=Bearer {token}\1\1")
    gs2 = "n,a=" + user + "," if user else "n,,"
    return b64(f"{gs2}\1host=localhost\1port=587\1{more}auth=Bearer {token}\1\1")


@contextlib.contextmanager
def connected(srv):
    with Wire(srv) as w:
        w.ehlo()
        w.starttls()
        w.ehlo()
        yield w


def log_in(w, mech, token, user="alice"):
    w.send(f"AUTH {mech} {first_response(mech, token, user)}\r\n")
    return w.reply()


def refused(w, mech, token, user="alice", dummy="AQ=="):
    code, text = log_in(w, mech, token, user)
    check(code == 334, f"{mech}: {code} {text}")
    why = json.loads(base64.b64decode(text))
    check(why["status"] == "invalid_token" and why["scope"] == "mail.send"
          and why["openid-configuration"].startswith(ISSUER), text)
    w.expect(535, dummy, "5.7.8")


# ---- tokens that the issuer signed ----

@test("a good token logs in by OAUTHBEARER and by XOAUTH2, and mail is sent")
def _():
    for mech in MECHS:
        for user in ("alice", "alice@example.org", "alice@EXAMPLE.org"):
            with connected(HOLD.srv) as w:
                code, text = log_in(w, mech, HOLD.issuer.token(), user)
                check(code == 235 and "alice" in text, text)
                w.mail()
    with connected(HOLD.srv) as w:
        check(log_in(w, "OAUTHBEARER", HOLD.issuer.token(), "")[0] == 235, "without an authorization identity")


@test("neither mechanism is listed or taken in the clear")
def _():
    with Wire(HOLD.srv) as w:
        check("OAUTH" not in w.ehlo(), "listed in clear")
        for mech in MECHS:
            code, _ = log_in(w, mech, HOLD.issuer.token())
            check(code == 530, f"{code}")
        w.starttls()
        check("OAUTHBEARER XOAUTH2" in w.ehlo(), "not listed inside TLS")


@test("tokens that are not ours are refused with the JSON of RFC 7628, then 535, and say why in the log only")
def _():
    i, other = HOLD.issuer, Issuer(HOLD.srv.data / "other.jwks")
    bad = {
        "expired": i.token(life=-120), "not good yet": i.token(nbf=int(time.time()) + 600),
        "another issuer": i.token(iss="https://evil.example"), "another audience": i.token(aud="web"),
        "no scope": i.token(scope="openid"), "no claim": i.token(email=None),
        "unverified": i.token(email_verified=False), "another's key": other.token(kid="k1"),
        "unknown kid": jwt.encode({"iss": ISSUER}, i.keys["k1"], "ES256", headers={"kid": "../../k1"}),
        "none": jwt.encode({"iss": ISSUER, "aud": "mail", "exp": 4e9, "email": "alice@example.org"}, None, "none"),
        "nobody": i.token(email="mallory@example.org"), "opaque": "ya29.opaque",
        "disabled": i.token(email="carol@example.org"),
    }
    for mech in MECHS:
        for name, token in bad.items():
            with connected(HOLD.srv) as w:
                refused(w, mech, token, "carol" if name == "disabled" else "alice")
                w.expect(530, "MAIL FROM:<alice@example.org>")
    log = HOLD.srv.log.read_text()
    for words in ("expired", "of no issuer", "not for us", "scope mail.send", "signature is wrong", "disabled",
                  "no such account", "email_verified"):
        check(words in log, f"the log does not say: {words}")
    check("eyJ" not in log and "ya29" not in log, "a token is in the log")


@test("the client's dummy answer may be ^A, empty, or anything; * is a cancelled login")
def _():
    for dummy, code in (("AQ==", 535), ("", 535), ("=", 535), ("e30=", 535), ("*", 501)):
        with connected(HOLD.srv) as w:
            check(log_in(w, "OAUTHBEARER", "x.y.z")[0] == 334, "no challenge")
            w.expect(code, dummy)
            check(log_in(w, "OAUTHBEARER", HOLD.issuer.token())[0] == 235, "the next login")


@test("an identity that the token is not for needs may-act-as")
def _():
    i = HOLD.issuer
    for mech in MECHS:
        with connected(HOLD.srv) as w:
            refused(w, mech, i.token(), "bob")
            code, text = log_in(w, mech, i.token(email="bob@example.org"), "alice")
            check(code == 235 and "alice" in text, f"bob may act as alice: {code} {text}")


@test("tokens of 8 KB come in the AUTH line, and behind a 334")
def _():
    token = HOLD.issuer.token(filler="x" * 5800)
    check(7900 < len(token) < 8300, f"{len(token)}")
    for mech in MECHS:
        with connected(HOLD.srv) as w:
            check(log_in(w, mech, token)[0] == 235, "in the line")
        with connected(HOLD.srv) as w:
            w.expect(334, f"AUTH {mech}")
            w.expect(235, first_response(mech, token))
    with connected(HOLD.srv) as w:
        w.expect(500, "AUTH OAUTHBEARER " + "A" * 12300)
        check(log_in(w, "OAUTHBEARER", HOLD.issuer.token())[0] == 235, "after the long line")


@test("malformed messages are 501 and no attempt")
def _():
    with connected(HOLD.srv) as w:
        for mech, text in (("OAUTHBEARER", "n,a=alice,\1auth=Bearer x"), ("OAUTHBEARER", "y\1auth=Bearer x\1\1"),
                           ("OAUTHBEARER", "n,,\1port=x\1auth=Bearer x\1\1"), ("OAUTHBEARER", "n,,\1auth=Basic x\1\1"),
                           ("XOAUTH2", "auth=Bearer x\1\1"), ("XOAUTH2", "user=a\1auth=Bearer x\1auth=Bearer y\1\1")):
            w.expect(501, f"AUTH {mech} {b64(text)}", "5.5.2")
        w.expect(501, "AUTH XOAUTH2 !!!", "5.5.2")
        check(log_in(w, "XOAUTH2", HOLD.issuer.token())[0] == 235, "after them")


@test("a question for the issuer (an empty auth) gets the JSON: RFC 7628 4.3")
def _():
    with connected(HOLD.srv) as w:
        w.send(f"AUTH OAUTHBEARER {b64('n,a=alice,' + chr(1) + 'auth=' + chr(1) + chr(1))}\r\n")
        code, text = w.reply()
        check(code == 334 and ISSUER in base64.b64decode(text).decode(), f"{code} {text}")
        w.expect(535, "AQ==")


@test("the third refused token ends the connection")
def _():
    with connected(HOLD.srv) as w:
        for _ in range(2):
            refused(w, "XOAUTH2", "x.y.z")
        check(log_in(w, "XOAUTH2", "x.y.z")[0] == 334, "third")
        w.expect(535, "AQ==")
        w.expect(421, None)
        w.closed(5)


@test("a login lives no longer than its token: 421 at the next MAIL")
def _():
    with connected(HOLD.srv) as w:  # leeway of this server: 1 s
        check(log_in(w, "XOAUTH2", HOLD.issuer.token(life=2))[0] == 235, "login")
        w.mail()
        w.expect(250, "RSET")
        time.sleep(4)
        w.expect(421, "MAIL FROM:<alice@example.org>", "token expired")
        w.closed(5)


@test("a disabled account ends a login by token; one without a password keeps it")
def _():
    i = HOLD.issuer
    with connected(HOLD.srv) as w, connected(HOLD.srv) as x:
        check(log_in(w, "XOAUTH2", i.token(email="dora@example.org"), "dora")[0] == 235, "login")
        check(log_in(x, "XOAUTH2", i.token(email="erik@example.org"), "erik")[0] == 235, "login")
        user("disable", "dora")
        user("grant", "erik", "*@erik.example")
        time.sleep(2.5)
        w.expect(421, "MAIL FROM:<dora@example.org>", "4.7.0")
        x.expect(250, "MAIL FROM:<erik@example.org>")


@test("new keys count within seconds of the change of the file, old ones no longer")
def _():
    i = HOLD.issuer
    old = i.token()
    i.new("k2", keep=False)
    new = i.token()

    def works(token):
        with connected(HOLD.srv) as w:
            code, _ = log_in(w, "OAUTHBEARER", token)
            return code == 235
    wait_until(lambda: works(new), 10, "the new key")
    check(not works(old), "the old key still works")
    HOLD.issuer.path.write_text("{}")  # half-written: the good ones stay
    time.sleep(3)
    check(works(new), "an unreadable file took the keys away")
    check("no public key" in HOLD.srv.log.read_text(), "the log does not name the bad file")
    i.write()


# ---- real clients ----

def sent(srv, how):
    box = srv.mailbox("bob")
    box.clear()
    m = message(how.__name__ + str(time.time()))
    how(srv, m)
    check_same(m, box.wait(1)[0])


@test("curl sends by OAUTHBEARER and XOAUTH2")
def _():
    for mech in MECHS:
        def curl(srv, m):
            with clients._scratch() as d:
                (d / "m").write_bytes(m)
                (d / "rc").write_text(f'user = "alice"\noauth2-bearer = "{HOLD.issuer.token()}"\n'
                                      f'login-options = "AUTH={mech}"\n')
                call(["curl", "-sS", "-K", d / "rc", "--ssl-reqd", "--cacert", srv.ca, "--mail-from", srv.address,
                      "--mail-rcpt", "bob@example.org", "--upload-file", d / "m", "--max-time", 60,
                      f"smtp://localhost:{srv.port}/client.example.org"])
        sent(HOLD.srv, curl)


@test("msmtp sends by oauthbearer and xoauth2")
def _():
    for mech in MECHS:
        def msmtp(srv, m):
            with clients._scratch() as d:
                (d / "token").write_text(HOLD.issuer.token() + "\n")
                (d / "rc").write_text(
                    f"account default\nhost localhost\nport {srv.port}\nfrom {srv.address}\ntls on\n"
                    f"tls_trust_file {srv.ca}\nset_date_header off\nset_msgid_header off\n"
                    f"undisclosed_recipients off\nremove_bcc_headers off\nauth {mech.lower()}\nuser alice@example.org\n"
                    f"passwordeval cat {d / 'token'}\n")
                os.chmod(d / "rc", 0o600)
                call(["msmtp", "-C", d / "rc", "bob@example.org"], stdin=lf(m))
        sent(HOLD.srv, msmtp)


@test("Python smtplib sends by both, through auth()")
def _():
    for mech in MECHS:
        def smtplib_(srv, m):
            with smtplib.SMTP("localhost", srv.port, timeout=60) as s:
                s.starttls(context=ssl.create_default_context(cafile=srv.ca))
                s.ehlo()
                text = base64.b64decode(first_response(mech, HOLD.issuer.token())).decode()
                s.auth(mech, lambda challenge=None: text if not challenge else "\1")
                s.sendmail(srv.address, ["bob@example.org"], m)
        sent(HOLD.srv, smtplib_)


@test("nodemailer sends by OAuth2")
def _():
    modules = clients.node_modules()
    def nodemailer(srv, m):
        with clients._scratch() as d:
            (d / "m").write_bytes(m)
            (d / "s.js").write_text("""
const nm = require("nodemailer"), fs = require("fs"), o = JSON.parse(fs.readFileSync(process.argv[2]));
nm.createTransport({host: "localhost", port: o.port, requireTLS: true, tls: {ca: fs.readFileSync(o.ca)},
    auth: {type: "OAuth2", user: "alice@example.org", accessToken: o.token}})
  .sendMail({envelope: {from: "alice@example.org", to: ["bob@example.org"]}, raw: fs.readFileSync(o.m)})
  .then(() => process.exit(0), e => { console.error(e.message); process.exit(1); });
""")
            (d / "o").write_text(json.dumps({"port": srv.port, "ca": str(srv.ca), "token": HOLD.issuer.token(),
                                             "m": str(d / "m")}))
            call(["node", d / "s.js", d / "o"], env={"NODE_PATH": str(modules)})
    sent(HOLD.srv, nodemailer)


@test("mutt sends by oauthbearer and xoauth2, with its refresh command")
def _():
    need_root()
    for mech in MECHS:
        box = HOLD.srv.mailbox("bob")
        box.clear()
        with work() as tmp:
            shutil.copy(HOLD.srv.ca, tmp / "ca.pem")
            (tmp / "token").write_text(HOLD.issuer.token() + "\n")
            (tmp / "rc").write_text(
                f'set smtp_url="smtp://alice@localhost:{HOLD.srv.port}/"\nset smtp_authenticators="{mech.lower()}"\n'
                f'set smtp_oauth_refresh_command="cat {tmp}/token"\nset ssl_force_tls=yes\n'
                f'set ssl_use_system_certs=no\nset certificate_file={tmp}/ca.pem\nset from=alice@example.org\n'
                'set use_from=yes\nset use_envelope_from=yes\nset copy=no\nset ssl_verify_dates=no\n')
            (tmp / "send").write_text(f"export HOME={tmp} LANG=C\necho 'hello by {mech}' | "
                                      f"mutt -n -F {tmp}/rc -s {mech} bob@example.org </dev/stdin\n")
            call([ROOT / "tools/fresh-root", "--packages", "mutt ca-certificates", "--bind", tmp, "--", "sh", tmp / "send"],
                 seconds=300)
        got = box.wait(1)[0].decode()
        check(f"Subject: {mech}" in got and f"hello by {mech}" in got, got)
        check(f"mechanism={mech}" in HOLD.srv.log.read_text(), "another mechanism")


def our_send(srv, m, *how, ok=(0,)):
    user_name = () if "--user" in how else ("--user", "alice")
    return call([SALLYPORT, "send", "--server", f"smtp://localhost:{srv.port}", "--ca", srv.ca, *user_name, "--from",
                 srv.address, "--to", "bob@example.org", *how], stdin=m, ok=ok)


@test("our own client sends by both, with a token from a file, a command and the environment's accounts")
def _():
    for mech in MECHS:
        def from_file(srv, m):
            with clients._scratch() as d:
                (d / "token").write_text(HOLD.issuer.token() + "\n")
                our_send(srv, m, "--token-file", d / "token", "--mechanism", mech)

        def from_command(srv, m):
            with clients._scratch() as d:
                (d / "token").write_text(HOLD.issuer.token() + "\n")
                our_send(srv, m, "--token-command", f"cat {d / 'token'}", "--mechanism", mech)
        sent(HOLD.srv, from_file)
        sent(HOLD.srv, from_command)


@test("our own client fetches the token anew, once, when it was refused")
def _():
    with clients._scratch() as d:
        (d / "old").write_text(HOLD.issuer.token(life=-999) + "\n")
        (d / "new").write_text(HOLD.issuer.token() + "\n")
        (d / "get").write_text(f"#!/bin/sh\necho x >> {d}/count\nif [ -e {d}/was ]; then cat {d}/new\n"
                               f"else touch {d}/was; cat {d}/old; fi\n")
        os.chmod(d / "get", 0o755)
        sent(HOLD.srv, lambda srv, m: our_send(srv, m, "--token-command", d / "get"))
        check((d / "count").read_text() == "x\nx\n", "fetched otherwise than twice")
        (d / "new").write_text((d / "old").read_text())
        done = our_send(HOLD.srv, message(), "--token-command", d / "get", ok=range(1, 256))
        check((d / "count").read_text() == "x\n" * 4, "fetched otherwise than twice more")
        check("eyJ" not in str(done), "the token is in the words")


@test("an account of our own client names a token, and msmtp's accounts become such ones")
def _():
    def account(srv, m):
        with clients._scratch() as d:
            (d / "token").write_text(HOLD.issuer.token() + "\n")
            (d / "msmtprc").write_text(f"account default\nhost localhost\nport {srv.port}\ntls on\n"
                                       f"tls_trust_file {srv.ca}\nfrom {srv.address}\nauth xoauth2\n"
                                       f"user alice\npasswordeval cat {d / 'token'}\n")
            (d / "sallyport").mkdir()
            made = call([SALLYPORT, "send", "--import-msmtprc", d / "msmtprc"])
            (d / "sallyport/accounts.conf").write_text(made)
            call([SALLYPORT, "send", "--to", "bob@example.org"], stdin=m, env={"XDG_CONFIG_HOME": str(d)})
    sent(HOLD.srv, account)


def relay(tmp, lines):
    """A server that gives everything to HOLD.srv, with these lines in its route."""
    return server(tmp, more="retry-intervals = 1s",
                  routes=f"route all {{\n    match = example.org\n    to = smarthost\n    host = localhost:{HOLD.srv.port}\n"
                  f"    tls-ca = {HOLD.srv.ca}\n    user = alice\n{lines}\n}}\n")


def relayed(srv):
    box = HOLD.srv.mailbox("bob")
    box.clear()
    m = message("relay" + str(time.time()))
    clients.smtplib_(srv, m, to=["bob@example.org"])
    box.wait(1, 40)


@test("a route logs in at its smart host with a token of a file; with an old one mail waits until the file changes")
def _():
    with work() as tmp:
        file, new = tmp / "token", tmp / "new"
        file.write_text(HOLD.issuer.token() + "\n")
        with relay(tmp, f"    token-file = {file}\n    connection-reuse = 1") as srv:
            relayed(srv)
            new.write_text(HOLD.issuer.token(life=-999) + "\n")
            os.replace(new, file)
            time.sleep(4)
            m = message("waits")
            box = HOLD.srv.mailbox("bob")
            box.clear()
            clients.smtplib_(srv, m, to=["bob@example.org"])
            wait_until(lambda: "535" in srv.log.read_text(), 20, "the refusal in the log")
            check(not box.messages(), "delivered without a login")
            new.write_text(HOLD.issuer.token() + "\n")
            os.replace(new, file)
            box.wait(1, 40)
        check("eyJ" not in srv.log.read_text(), "a token is in the log")


@test("a route runs its token-command without a shell, once more when the token was refused, and waits for it alone")
def _():
    with work() as tmp:
        (tmp / "old").write_text(HOLD.issuer.token(life=-999) + "\n")
        (tmp / "new").write_text(HOLD.issuer.token() + "\n")
        state = tmp / "state"
        state.mkdir()
        os.chmod(state, 0o777)
        (tmp / "get").write_text(f"#!/bin/sh\necho \"$@\" >> {state}/count\nsleep 1\nls -l /proc/self/fd >> {state}/fds\n"
                                 f"if [ -e {state}/was ]; then cat {tmp}/new\nelse touch {state}/was; cat {tmp}/old; fi\n")
        os.chmod(tmp / "get", 0o755)
        with relay(tmp, f"    token-command = {tmp}/get \"a b\" $HOME ;id\n    connection-reuse = 1") as srv:
            relayed(srv)
            relayed(srv)  # the token is kept
        check((state / "count").read_text() == "a b $HOME ;id\n" * 2, (state / "count").read_text())
        fds = (state / "fds").read_text()
        check("socket:" not in fds and "users.db" not in fds, f"it has descriptors of ours:\n{fds}")
        check("eyJ" not in srv.log.read_text(), "a token is in the log")


# ---- independent servers ----

@test("our own client against aiosmtpd: both mechanisms, and an error in JSON")
def _():
    from aiosmtpd.controller import Controller
    from aiosmtpd.smtp import AuthResult, SMTP
    seen = []

    class Hook:
        async def handle_DATA(self, server, session, envelope):
            seen.append((session.auth_data, envelope.content))
            return "250 2.0.0 OK"

        async def bearer(self, server, args, mech):
            if len(args) > 1:
                text = base64.b64decode(args[1]).decode()
            else:
                text = (await server.challenge_auth(b"", encode_to_b64=False)).decode()
            if f"auth=Bearer {HOLD.good}\1\1" not in text:
                await server.challenge_auth(b'{"status":"400"}')
                await server.push("535 5.7.8 refused")
                return AuthResult(success=False, handled=True)
            return AuthResult(success=True, auth_data=(mech, text.split("\1")[0]))

        async def auth_OAUTHBEARER(self, server, args):
            return await self.bearer(server, args, "OAUTHBEARER")

        async def auth_XOAUTH2(self, server, args):
            return await self.bearer(server, args, "XOAUTH2")

    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(HOLD.srv.certificate, HOLD.srv.key)
    for only, gs2 in ((["OAUTHBEARER"], "n,a=alice,"), (["XOAUTH2"], "user=alice")):
        class Mine(Controller):
            def factory(self):
                return SMTP(self.handler, tls_context=tls, require_starttls=True, auth_required=True, hostname="localhost",
                            auth_exclude_mechanism=[m for m in ("LOGIN", "PLAIN", *MECHS) if m not in only])
        c = Mine(Hook(), hostname="127.0.0.1", port=free_port(), server_hostname="localhost")
        c.start()
        there = types.SimpleNamespace(port=c.port, ca=HOLD.srv.ca, address=HOLD.srv.address)
        try:
            with clients._scratch() as d:
                for token, works in (("short", True), ("x" * 500, True), ("good", False)):
                    HOLD.good = token if works else "another"
                    (d / "token").write_text(token + "\n")
                    before = len(seen)
                    our_send(there, message(), "--token-file", d / "token", ok=(0,) if works else range(1, 256))
                    check(len(seen) == before + works, f"{only}: {len(seen) - before} messages")
            check(all(a == (only[0], gs2) for a, _ in seen[-2:]), f"{[a for a, _ in seen]}")
        finally:
            c.stop()


class DovecotSubmission(Peer):
    """Dovecot's submission service: tokens by introspection, mail goes on to a relay."""
    packages = "dovecot-core dovecot-submissiond"

    def __init__(self, tmp, endpoint, relay_port):
        super().__init__(tmp)
        self.port, self.endpoint, self.relay_port = free_port(), endpoint, relay_port
        self.address = "alice@example.org"

    def ports(self):
        return [self.port]

    def script(self):
        self.file("oauth2.conf", f"""\
            introspection_mode = post
            introspection_url = http://127.0.0.1:{self.endpoint.port}/introspect
            client_id = dovecot
            client_secret = secret
            username_attribute = email
            active_attribute = active
            active_value = true
            """)
        self.file("dovecot.conf", f"""\
            protocols = submission
            base_dir = /run/dovecot/
            state_dir = /run/dovecot-state
            log_path = /dev/stderr
            auth_verbose = yes
            hostname = dovecot.remote.test
            listen = 127.0.0.1
            ssl = required
            ssl_cert = <{self.certificate}
            ssl_key = <{self.key}
            auth_mechanisms = oauthbearer xoauth2
            mail_location = maildir:{self.folder}/mail/%n
            first_valid_uid = 1
            submission_relay_host = 127.0.0.1
            submission_relay_port = {self.relay_port}
            passdb {{
              driver = oauth2
              mechanisms = oauthbearer xoauth2
              args = {self.folder}/oauth2.conf
            }}
            userdb {{
              driver = static
              args = uid=5000 gid=5000 home={self.folder}/mail/%n
            }}
            service submission-login {{
              inet_listener submission {{
                address = 127.0.0.1
                port = {self.port}
              }}
            }}
            """)
        return f"""\
            mkdir -p {self.folder}/mail /run/dovecot-state
            chown 5000:5000 {self.folder}/mail
            exec dovecot -F -c {self.folder}/dovecot.conf
            """


@test("our own client against Dovecot submission with an oauth2 passdb: both mechanisms, and a refused token")
def _():
    from aiosmtpd.controller import Controller
    got, e = [], Endpoint()

    class Sink:
        async def handle_DATA(self, server, session, envelope):
            got.append(envelope.content)
            return "250 2.0.0 OK"
    sink = Controller(Sink(), hostname="127.0.0.1", port=free_port())
    sink.start()
    try:
        with work() as tmp, DovecotSubmission(tmp, e, sink.port) as there, clients._scratch() as d:
            for mech in MECHS:
                for length in (20, 3000):
                    (d / "token").write_text("t" * length + "\n")
                    m = message(f"{mech}-{length}")
                    our_send(there, m, "--token-file", d / "token", "--mechanism", mech, "--user", there.address)
                    check(lf(m) in lf(got[-1]), f"{got[-1]!r}")
            e.mode = "inactive"
            for mech in MECHS:
                our_send(there, message(), "--token-file", d / "token", "--mechanism", mech, "--user", there.address,
                         ok=(77,))
            check(len(got) == 4, f"{len(got)} messages")
    finally:
        sink.stop()
        e.close()


# ---- introspection ----

def introspecting(tmp, url, more="", **options):
    secret = Path(tmp) / "secret"
    secret.write_text("s3cr:t &+\n")
    os.chmod(secret, 0o600)
    return server(tmp, listener="    auth-tls = PLAIN OAUTHBEARER XOAUTH2",
                  routes=f"oauth main {{\n    introspection-url = {url}\n    client-id = mail/server\n"
                  f"    client-secret-file = {secret}\n    audience = mail\n    scope = mail.send\n"
                  f"    openid-configuration = {ISSUER}/.well-known/openid-configuration\n{more}\n}}\n", **options)


@test("introspection: the endpoint is asked as RFC 7662 says, and good answers are kept for a while")
def _():
    e = Endpoint()
    with work() as tmp, introspecting(tmp, f"http://127.0.0.1:{e.port}/ask", "    introspection-cache = 3s") as srv:
        for _ in range(3):
            with connected(srv) as w:
                check(log_in(w, "OAUTHBEARER", "opaque+token/==")[0] == 235, "login")
                w.mail()
        check(len(e.asked) == 1, f"asked {len(e.asked)} times")
        path, headers, body = e.asked[0]
        check(path == "/ask" and "token=opaque%2Btoken%2F%3D%3D" in body and "token_type_hint=access_token" in body, body)
        login = base64.b64decode(headers["Authorization"].split()[1]).decode()
        check(login == "mail%2Fserver:s3cr%3At%20%26%2B", login)
        time.sleep(4)
        with connected(srv) as w:
            check(log_in(w, "XOAUTH2", "opaque+token/==")[0] == 235, "login")
        check(len(e.asked) == 2, "not asked again after the cache's time")
        e.answer = {"exp": int(time.time()) + 1}
        for _ in range(2):
            with connected(srv) as w:
                code, _ = log_in(w, "XOAUTH2", "short")
            check(code == 235, "login")
            time.sleep(1.5)
        check(len(e.asked) == 4, "kept longer than the token lives")
        with connected(srv) as w:
            e.mode = "inactive"
            refused(w, "XOAUTH2", "other")
    e.close()


@test("introspection: an endpoint that is down, slow, broken, or talks nonsense is 454, never 535 or 235")
def _():
    e = Endpoint()
    with work() as tmp, introspecting(tmp, f"http://127.0.0.1:{e.port}/ask", "    introspection-timeout = 2s") as srv:
        for mode in ("garbage", "empty", "denied", "broken", "redirect", "huge", "cut", "slow"):
            e.mode = mode
            for mech in MECHS:
                with connected(srv) as w:
                    code, text = log_in(w, mech, "token-" + mode)
                    check(code == 454 and text.startswith("4.7.0"), f"{mode}: {code} {text}")
        check(not any(p == "/elsewhere" for p, _, _ in e.asked), "the redirect was followed")
        e.close()
        with connected(srv) as w:
            check(log_in(w, "XOAUTH2", "token")[0] == 454, "down")
            w.expect(235, f"AUTH PLAIN {b64(chr(0) + srv.user + chr(0) + srv.password)}")


@test("introspection: a slow endpoint holds up nobody else")
def _():
    e = Endpoint()
    with work() as tmp, introspecting(tmp, f"http://127.0.0.1:{e.port}/ask") as srv:
        e.mode = "slow"
        waiting = []
        with contextlib.ExitStack() as stack:
            for n in range(20):
                w = stack.enter_context(connected(srv))
                w.send(f"AUTH XOAUTH2 {first_response('XOAUTH2', f't{n}')}\r\n")
                waiting.append(w)
            wait_until(lambda: len(e.asked) >= 20, 10, "all questions")
            began = time.time()
            with connected(srv) as w:
                w.expect(235, f"AUTH PLAIN {b64(chr(0) + srv.user + chr(0) + srv.password)}")
            took = time.time() - began
            check(took < 2, f"a password took {took:.1f} s")
            for w in waiting:
                check(w.reply()[0] == 235, "a slow one")
    e.close()


@test("introspection by HTTPS: the endpoint's certificate is verified")
def _():
    with work() as tmp:
        ours = Certificates(Path(tmp) / "ours")
        e = Endpoint(ours.server())
        for ca, want in ((ours.ca, 235), (Certificates(Path(tmp) / "foreign").ca, 454)):
            folder = Path(tmp) / str(want)
            folder.mkdir()
            os.chmod(folder, 0o755)
            with introspecting(folder, f"https://localhost:{e.port}/ask", f"    tls-ca = {ca}") as srv:
                with connected(srv) as w:
                    code, text = log_in(w, "OAUTHBEARER", "token")
                    check(code == want, f"{code} {text}")
        check(len(e.asked) == 1, "a token went to an endpoint that was not verified")
        e.close()


# ---- beside a certificate ----

@test("client-certificates = required: a token counts for the certificate's account and those it may act for, only")
def _():
    pki, i = HOLD.srv.certificates, HOLD.issuer
    at = types.SimpleNamespace(port=HOLD.required, ca=HOLD.srv.ca)
    pair = {n: pki.client(f"{n}@example.org", f"{n}-required") for n in ("alice", "fred")}
    for mech in MECHS:
        for who, certificate, good in (("alice", "alice", True), ("alice", "fred", True), ("fred", "fred", True),
                                       ("bob", "alice", False), ("bob", "fred", False), ("fred", "alice", False)):
            with inside(at, pair[certificate], login=False) as w:
                token = i.token(email=f"{who}@example.org")
                if not good:
                    refused(w, mech, token, who)
                    continue
                code, text = log_in(w, mech, token, who)
                check(code == 235 and who in text, f"{who}'s token, {certificate}'s certificate: {code} {text}")
                w.expect(250, f"MAIL FROM:<{who}@example.org>")
    check("the certificate of alice may not act as bob" in HOLD.srv.log.read_text(), "the log does not say why")
    with Wire(at) as w:  # a token is no certificate
        w.ehlo()
        w.starttls()
        w.expect(554, "EHLO c", "Client certificate required: none was sent")
        w.expect(554, f"AUTH OAUTHBEARER {first_response('OAUTHBEARER', i.token())}")


def user(*argv):
    call([SALLYPORT, "user", argv[0], "--data", HOLD.srv.store, *argv[1:]])


def main():
    without_server()
    if jwt is None:
        print("skipped: all of it: needs python3-jwt\n0 passed, 0 failed, 1 skipped")
        sys.exit(0)
    with work() as tmp:
        HOLD.issuer = Issuer(tmp / "issuer.jwks")
        HOLD.required = free_port()
        with server(tmp, listener="    auth-tls = SCRAM-SHA-256 PLAIN LOGIN OAUTHBEARER XOAUTH2",
                    routes=f"oauth main {{\n    issuer = {ISSUER}\n    audience = mail\n"
                    f"    keys = {HOLD.issuer.path}\n    scope = mail.send\n    leeway = 1s\n"
                    f"    openid-configuration = {ISSUER}/.well-known/openid-configuration\n}}\n"
                    f"listener required {{\n    address = 127.0.0.1:{HOLD.required}\n    client-certificates = required\n"
                    f"    client-ca = {tmp}/sallyport/pki/ca.pem\n    auth-tls = SCRAM-SHA-256 PLAIN OAUTHBEARER XOAUTH2\n"
                    "}\n") as srv:
            HOLD.srv = srv
            user("add", "fred", "--password-file", srv.password_file, "--address", "fred@example.org")
            for name in ("bob", "carol", "dora", "erik"):
                user("add", name, "--no-password", "--address", f"{name}@example.org")
            user("disable", "carol")
            user("grant", "--act-as", "bob", "alice")
            user("grant", "--act-as", "fred", "alice")
            time.sleep(1.5)
            try:
                run()
            except SystemExit as e:
                status = e.code
            if not status:
                check_log(srv)
                check("eyJ" not in srv.log.read_text(), "a token is in the log")
    sys.exit(status)


main()
