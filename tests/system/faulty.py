"""faulty.py - a submission server in the test's own process that does right, but for the
faults that it was told to have; it counts what a prober costs it.

    with Faulty(tmp, "injection", "any-password") as srv:
        ... sallyport check 127.0.0.1:{srv.port} ...
        srv.connections, srv.failed_logins      (how many, [on each connection])
        srv.mails                               messages that were ended

Faults are the words in its code; python3 -c "import faulty; print(faulty.FAULTS)".  It
takes only alice, her password, and certificates of its own CA; the TLS layer takes any
certificate, so that the faults about certificates can be had.
"""
import base64, contextlib, socket, threading, time
from OpenSSL import SSL, crypto

from harness import Certificates

FAULTS = ("no-starttls clear-auth clear-mail clear-late clear-4xx continue continue-auth injection"
          " clear-answer old-tls no-secrecy remember no-greeting starttls-listed starttls-twice"
          " external-for-all any-identity refuse-equals implicit implicit-after-failure foreign"
          " bad-cert cert-hides-auth cert-closes password-not-with-cert any-password star listed-refused relay"
          " auth-4xx legacy twice second-auth no-ehlo-after-auth size-refused size-late"
          " pipelining chunk-executed chunk-unknown enhanced-missing enhanced-wrong"
          " message-end message-end-late message-end-refused bare-newline short-lines helo-refused argument ehlo-refused"
          " ehlo-refused-in-tls starttls-refused tickets no-close-notify scram-plus impatient"
          " wants-cert wants-cert-421 tokens auth-in-mail forgets-login short-commands ask-equals").split()
NOW_YES = b"250 2.0.0 ok"


class Gone(Exception):
    pass


class Faulty:
    user, password, address = "alice", "correct horse", "alice@example.org"
    token = "a-token-of-alice"

    def __init__(self, tmp, *faults, implicit=False, cert=None):
        unknown = set(faults) - set(FAULTS)
        assert not unknown, f"no such fault: {unknown}"
        self.faults, self.implicit = set(faults), implicit
        self.pki = Certificates(tmp / f"pki-{len(list(tmp.glob('pki-*')))}")
        self.ca = self.pki.ca
        self.cert = cert(self.pki) if cert else self.pki.server()
        self.client = self.pki.client(self.address)
        self.expired = self.pki.sign("expired", "/CN=alice", f"email:{self.address}",
                                     "clientAuth", days=-1)
        self.password_file = tmp / "password"
        self.password_file.write_text(self.password + "\n")
        self.token_file = tmp / "token"
        self.token_file.write_text(self.token + "\n")
        self.ca_cert = crypto.load_certificate(crypto.FILETYPE_PEM, self.ca.read_bytes())
        self.connections, self.failed_logins, self.mails, self.said = 0, [], [], []
        self.socket = socket.create_server(("127.0.0.1", 0), backlog=20)
        self.port = self.socket.getsockname()[1]
        self.live = set()

    def has(self, fault):
        return fault in self.faults

    def __enter__(self):
        threading.Thread(target=self._serve, daemon=True).start()
        return self

    def __exit__(self, *_):
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()
        for c in list(self.live):
            with contextlib.suppress(OSError):
                c.shutdown(socket.SHUT_RDWR)

    def _serve(self):
        while True:
            try:
                c, _ = self.socket.accept()
            except OSError:
                return
            self.connections += 1
            self.failed_logins.append(0)
            threading.Thread(target=self._guarded, daemon=True,
                             args=(c, len(self.failed_logins) - 1)).start()

    def _guarded(self, c, number):
        self.live.add(c)
        with contextlib.suppress(OSError, Gone, SSL.Error), c:
            Session(self, c, number).run()
        self.live.discard(c)


class Session:
    def __init__(self, srv, sock, number):
        self.srv, self.sock, self.number = srv, sock, number
        self.tls = self.cert = None
        self.buffer, self.errors = b"", 0
        self.forget()

    def forget(self):
        self.helo = self.esmtp = False
        self.user = self.sender = None
        self.to, self.failed, self.ever = [], False, False

    # ---- octets ----

    def context(self):
        c = SSL.Context(SSL.TLS_SERVER_METHOD)
        c.use_certificate_chain_file(str(self.srv.cert[0]))
        c.use_privatekey_file(str(self.srv.cert[1]))
        c.set_verify(SSL.VERIFY_PEER, lambda *_: True)
        ciphers = b"DEFAULT"
        if self.srv.has("old-tls") or self.srv.has("no-secrecy"):
            c.set_min_proto_version(SSL.TLS1_VERSION)
            ciphers = b"DEFAULT:@SECLEVEL=0"
        if self.srv.has("no-secrecy"):
            ciphers = b"ALL:eNULL:aNULL:@SECLEVEL=0"
        c.set_cipher_list(ciphers)
        if not self.srv.has("tickets"):
            c.set_options(SSL.OP_NO_TICKET)
            SSL._lib.SSL_CTX_set_num_tickets(c._context, 0) \
                if hasattr(SSL._lib, "SSL_CTX_set_num_tickets") else None
        return c

    def flush(self):
        with contextlib.suppress(SSL.WantReadError):
            while data := self.tls.bio_read(65536):
                self.sock.sendall(data)

    def raw(self):
        data = self.sock.recv(65536)
        if not data:
            raise Gone
        return data

    def handshake(self):
        """True; False: it failed, and this server goes on in clear."""
        self.tls = SSL.Connection(self.context(), None)
        self.tls.set_accept_state()
        if self.buffer and not (self.srv.has("injection") or self.srv.has("clear-answer")):
            self.buffer = b""
        while True:
            try:
                self.tls.do_handshake()
                break
            except SSL.WantReadError:
                self.flush()
                self.tls.bio_write(self.raw())
            except SSL.Error:
                self.flush()
                self.tls = None
                if self.srv.has("continue") or self.srv.has("continue-auth"):
                    return False
                raise Gone from None
        self.flush()
        self.cert = self.tls.get_peer_certificate()
        self.forget()
        return True

    def receive(self):
        if not self.tls:
            return self.raw()
        while True:
            try:
                return self.tls.recv(65536)
            except SSL.WantReadError:
                self.flush()
                self.tls.bio_write(self.raw())
            except SSL.Error:
                raise Gone from None

    def line(self, end=b"\r\n"):
        while end not in self.buffer:
            self.buffer += self.receive()
        line, _, self.buffer = self.buffer.partition(end)
        return line

    def say(self, text):
        if isinstance(text, str):
            text = text.encode()
        if self.srv.has("enhanced-missing") and text[4:7] == b"2.0":
            text = text[:4] + text[10:]
        if self.srv.has("enhanced-wrong") and text.startswith(b"250 2.0.0"):
            text = b"250 5.0.0" + text[9:]
        if text[:1] == b"5" and self.srv.has("impatient"):
            self.errors += 1
            if self.errors == 3:
                text = b"421 4.7.0 too many errors"
        data = text + b"\r\n"
        if self.tls:
            self.tls.sendall(data)
            self.flush()
        else:
            self.sock.sendall(data)
        if text.startswith(b"421"):
            raise Gone

    # ---- what the certificate is worth ----

    def from_our_ca(self):
        store = crypto.X509Store()
        store.add_cert(self.srv.ca_cert)
        if self.srv.has("bad-cert"):
            store.set_flags(0x200000)  # X509_V_FLAG_NO_CHECK_TIME
        try:
            crypto.X509StoreContext(store, self.cert).verify_certificate()
            return True
        except crypto.X509StoreContextError:
            return False

    def usable(self):
        return self.cert is not None and (self.srv.has("foreign") or self.from_our_ca())

    # ---- the session ----

    def run(self):
        if self.srv.implicit:
            self.handshake()
        if self.tls and self.usable() and self.srv.has("cert-closes"):
            raise Gone
        self.say("220 mail.test ESMTP")
        while True:
            line = self.line()
            self.srv.said.append(line)
            verb, _, rest = line.partition(b" ")
            verb = verb.upper().decode("latin-1")
            if len(line) > 2000 and self.srv.has("short-lines"):
                self.say("500 5.5.6 line too long")
            elif len(line) > 500 and self.srv.has("short-commands"):
                self.say("500 5.5.2 line too long")
            elif self.nobody(verb):
                self.say("421 4.7.1 No client certificate presented" if self.srv.has("wants-cert-421")
                         else "554 5.7.0 Client certificate required: none was sent")
            elif verb == "QUIT":
                self.say("221 2.0.0 bye")
                if self.tls and not self.srv.has("no-close-notify"):
                    self.tls.shutdown()
                    self.flush()
                raise Gone
            else:
                getattr(self, "do_" + verb.lower(), self.unknown)(rest)

    def nobody(self, verb):
        """Nobody is served who has no usable certificate."""
        return self.tls and not self.usable() and verb != "QUIT" and \
            (self.srv.has("wants-cert") or self.srv.has("wants-cert-421"))

    def unknown(self, rest):
        self.say("500 5.5.1 what?")

    def do_noop(self, rest):
        self.say(NOW_YES)

    def do_rset(self, rest):
        if self.srv.has("forgets-login"):
            self.user = None
        self.sender, self.to = None, []
        self.say(NOW_YES)

    def do_helo(self, rest):
        if self.srv.has("helo-refused") and self.tls:
            return self.say("502 5.5.1 EHLO, please")
        self.helo, self.esmtp = True, False
        self.say("250 mail.test")

    def mechanisms(self):
        srv = self.srv
        if not self.tls:
            return ["PLAIN", "LOGIN"] if srv.has("clear-auth") else []
        if srv.has("cert-hides-auth") and self.usable():
            return []
        found = ["OAUTHBEARER", "XOAUTH2"] if srv.has("tokens") else ["PLAIN", "LOGIN"]
        if srv.has("listed-refused"):
            found.append("CRAM-MD5")
        if srv.has("scram-plus"):
            found.append("SCRAM-SHA-256-PLUS")
        if srv.has("external-for-all") or (self.usable() and not srv.has("implicit")):
            found.append("EXTERNAL")
        return found

    def do_ehlo(self, rest):
        srv = self.srv
        if srv.has("ehlo-refused") or (self.tls and srv.has("ehlo-refused-in-tls")):
            return self.say("502 5.5.1 no")
        if self.user and srv.has("no-ehlo-after-auth"):
            return self.say("503 5.5.1 once is enough")
        self.helo = self.esmtp = True
        lines = ["mail.test", "SIZE 100000", "8BITMIME", "ENHANCEDSTATUSCODES", "PIPELINING"]
        if srv.has("chunk-executed") or srv.has("chunk-unknown"):
            lines.append("CHUNKING")
        names = " ".join(self.mechanisms())
        if names:
            if srv.has("twice"):
                names += " PLAIN"
            lines += ["AUTH=" + names] if srv.has("legacy") else ["AUTH " + names]
        if (not self.tls and not srv.has("no-starttls") and not srv.implicit) or \
                (self.tls and srv.has("starttls-listed")):
            lines.append("STARTTLS")
        self.say("".join(f"250-{l}\r\n" for l in lines[:-1]) + f"250 {lines[-1]}")

    def do_starttls(self, rest):
        srv = self.srv
        if rest and not srv.has("argument"):
            return self.say("501 5.5.4 no argument")
        if self.tls:
            return self.say("220 2.0.0 again" if srv.has("starttls-twice")
                            else "503 5.5.1 TLS is up")
        if srv.has("no-starttls"):
            return self.say("502 5.5.1 no")
        if srv.has("starttls-refused"):
            return self.say("454 4.7.0 not now")
        before = (self.helo, self.esmtp)
        if srv.has("clear-answer") and self.buffer:
            self.buffer = b""
            self.say("220 2.0.0 go\r\n250 2.0.0 ok")
        else:
            self.say("220 2.0.0 go")
        if not self.handshake():
            self.buffer = b""
            return
        if srv.has("remember"):
            self.helo, self.esmtp = before
        if self.usable() and srv.has("cert-closes"):
            raise Gone

    # ---- AUTH ----

    def refuse(self):
        self.srv.failed_logins[self.number] += 1
        self.failed = True
        self.say("535 5.7.8 no")

    def answer(self, challenge=""):
        """None: cancelled."""
        self.say(f"334 {challenge}")
        text = self.line()
        if text == b"*" and not self.srv.has("star"):
            self.say("501 5.7.0 cancelled")
            return None
        return text

    def do_auth(self, rest):
        srv = self.srv
        name, _, initial = rest.partition(b" ")
        name = name.upper().decode("latin-1")
        clear = srv.has("clear-auth") or (srv.has("continue-auth"))
        if not self.tls and not clear:
            return self.say("530 5.7.0 Must issue a STARTTLS command first")
        if not self.esmtp and not (not self.tls and clear):
            return self.say("503 5.5.1 EHLO first")
        if self.user and not srv.has("second-auth"):
            return self.say("503 5.5.1 logged in already")
        if name == "EXTERNAL" and ("EXTERNAL" in self.mechanisms()):
            return self.external(initial)
        if name == "SCRAM-SHA-256-PLUS" and srv.has("scram-plus"):
            return self.refuse() if initial else self.answer()
        if self.sender is not None and not srv.has("auth-in-mail"):
            return self.say("503 5.5.1 in a transaction")
        if name in ("OAUTHBEARER", "XOAUTH2") and srv.has("tokens"):
            return self.bearer(initial)
        if name not in ("PLAIN", "LOGIN") or (name not in self.mechanisms() and self.tls):
            return self.say("504 5.5.4 no such mechanism")
        token = initial or self.answer("" if name == "PLAIN" else "VXNlcm5hbWU6")
        if token is None:
            return
        if name == "LOGIN":
            first, token = token, self.answer("UGFzc3dvcmQ6")
            if token is None:
                return
            token = base64.b64encode(b"\0" + self.decoded(first) + b"\0" + self.decoded(token))
        if srv.has("any-password"):
            return self.enter("nobody")
        try:
            _, user, password = base64.b64decode(token, validate=True).split(b"\0")
        except ValueError:
            return self.say("501 5.5.2 no base64")
        right = (user.decode(), password.decode()) == (srv.user, srv.password)
        if not right or (srv.has("password-not-with-cert") and self.usable()):
            return self.refuse()
        self.enter(srv.user)

    def bearer(self, initial):
        token = initial or self.answer()
        if token is None:
            return
        if f"auth=Bearer {self.srv.token}\x01".encode() in self.decoded(token):
            return self.enter(self.srv.user)
        if self.answer(base64.b64encode(b'{"status":"invalid_token"}').decode()) is not None:
            self.refuse()

    @staticmethod
    def decoded(text):
        try:
            return base64.b64decode(text, validate=True)
        except ValueError:
            return b"?"

    def enter(self, user):
        self.user = user
        self.say("235 2.7.0 welcome")

    def external(self, initial):
        srv = self.srv
        if not initial or (initial == b"=" and srv.has("ask-equals")):
            initial = self.answer()
            if initial is None:
                return
        identity = "" if initial in (b"=", b"") else self.decoded(initial).decode("latin-1")
        if not self.usable() or (srv.has("refuse-equals") and not identity):
            return self.refuse()
        if identity in ("", srv.address) or srv.has("any-identity"):
            return self.enter(srv.user)
        self.refuse()

    # ---- mail ----

    def logged_in(self):
        srv = self.srv
        if self.user or srv.has("relay"):
            return True
        if not (srv.has("implicit") or srv.has("foreign") or srv.has("bad-cert")
                or srv.has("implicit-after-failure")):
            return False
        return self.usable() and (not self.failed or srv.has("implicit-after-failure"))

    def do_mail(self, rest):
        srv = self.srv
        if not self.tls and not srv.has("clear-mail") and not srv.has("clear-late"):
            if srv.has("clear-4xx"):
                return self.say("400 4.7.0 STARTTLS first")
            return self.say("530 5.7.0 Must issue a STARTTLS command first")
        if not self.helo and not srv.has("no-greeting"):
            return self.say("503 5.5.1 EHLO first")
        if self.tls and not self.logged_in():
            return self.say("450 4.7.0 log in" if srv.has("auth-4xx")
                            else "530 5.7.0 Authentication required")
        if b"SIZE=" in rest and srv.has("size-refused"):
            return self.say("555 5.5.4 SIZE?")
        if b"SIZE=100001" in rest and not srv.has("size-late"):
            return self.say("552 5.3.4 too large")
        self.sender = rest
        self.say("250 2.1.0 ok")

    def do_rcpt(self, rest):
        if self.sender is None:
            return self.say("503 5.5.1 MAIL first")
        if not self.tls and self.srv.has("clear-late"):
            return self.say("554 5.7.1 no")
        self.to.append(rest)
        self.say("250 2.1.5 ok")
        if self.srv.has("pipelining") and self.buffer:
            raise Gone

    def do_data(self, rest):
        if not self.to:
            return self.say("503 5.5.1 RCPT first")
        self.say("354 go")
        if self.srv.has("message-end"):
            got = self.until((b"\n.\n", b"\n.\r\n", b"\r.\r"))
        elif self.srv.has("message-end-late") or self.srv.has("message-end-refused"):
            got = self.until((b"\n.\r\n",))
            self.sender, self.to = None, []
            if not got.endswith(b"\r"):
                if self.srv.has("message-end-refused"):
                    return self.say("554 5.6.0 no, go on")
                time.sleep(5)  # longer than the prober waits for an answer that comes early
                return self.say("450 4.3.0 later")
        else:
            got = self.until((b"\r\n.\r\n",))
        self.sender, self.to = None, []
        self.srv.mails.append(got)
        text = got.replace(b"\r\n", b"")
        if (b"\n" in text or b"\r" in text or b"\0" in text) and \
                not self.srv.has("message-end") and not self.srv.has("bare-newline"):
            return self.say("554 5.6.0 bare newline")
        self.say("250 2.0.0 taken")

    def until(self, ends):
        while True:
            found = [(self.buffer.index(e), e) for e in ends if e in self.buffer]
            if found:
                at, end = min(found)
                got, self.buffer = self.buffer[:at], self.buffer[at + len(end):]
                return got
            self.buffer += self.receive()

    def do_bdat(self, rest):
        n = int(rest.split()[0])
        if self.srv.has("chunk-unknown"):
            return self.say("502 5.5.1 BDAT?")
        if not self.srv.has("chunk-executed"):
            while len(self.buffer) < n:
                self.buffer += self.receive()
            self.buffer = self.buffer[n:]
        self.say("503 5.5.1 MAIL first")
