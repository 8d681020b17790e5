"""scripted.py - a next hop in the test's own process that answers what the test wants.

    hop = Scripted(lmtp=True)
    hop.answers["RCPT"] = lambda line: "550 5.1.1 no" if "bad@" in line else None
    hop.answers["."] = ["250 2.0.0 one", "550 5.0.0 two"]     # LMTP: one for each recipient
    ... hop.port ...
    hop.taken                # [(sender, [recipients], octets with CRLF)]
    hop.peers                # the address of each connection

answers: by verb ("", the banner; EHLO, MAIL, RCPT, DATA, ".", QUIT) a reply, a function
of the line that gives one, or None: what a friendly server says.  A reply of "" closes
the connection.  With tls= (certificate, key) it lists STARTTLS, and AUTH PLAIN (or auth=)
inside.

With client_ca= as well it asks for a certificate and wants the password: AUTH is listed
only to those who show no certificate, and MAIL without a login is refused.
"""
import contextlib, socket, ssl, threading


class Scripted:
    def __init__(self, lmtp=False, tls=None, port=0, lists=(), auth="PLAIN", client_ca=None,
                 host="127.0.0.1"):
        self.lmtp, self.tls, self.lists, self.auth = lmtp, tls, lists, auth
        self.client_ca = client_ca
        self.answers, self.taken, self.lines, self.sessions, self.peers = {}, [], [], 0, []
        self.socket = socket.create_server((host, port))
        self.port = self.socket.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def stop(self):
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()

    def route(self, more="", match="remote.test"):
        to = (f"lmtp\n    lmtp = 127.0.0.1:{self.port}" if self.lmtp
              else f"smarthost\n    host = 127.0.0.1:{self.port}"
              + ("\n    tls-name = localhost" if self.tls else "\n    tls = none"))
        return f"route hop {{\n    match = {match}\n    to = {to}\n{more}\n}}\n"

    def _serve(self):
        while True:
            try:
                c, peer = self.socket.accept()
            except OSError:
                return
            self.sessions += 1
            self.peers.append(peer[0])
            threading.Thread(target=self._guarded, args=(c,), daemon=True).start()

    def _guarded(self, c):
        with contextlib.suppress(OSError, EOFError), c:
            self._session(c)

    def _secured(self, c):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*self.tls)
        if self.client_ca:
            context.load_verify_locations(self.client_ca)
            context.verify_mode = ssl.CERT_OPTIONAL
        return context.wrap_socket(c, server_side=True)

    def _session(self, c):
        f, secure, sender, to = c.makefile("rwb", buffering=0), False, None, []
        shown, login = False, not self.client_ca

        def say(verb, line, friendly):
            answer = self.answers.get(verb)
            if callable(answer):
                answer = answer(line)
            answer = friendly if answer is None else answer
            if answer == "":
                raise EOFError
            f.write(answer.encode() + b"\r\n")
            return answer[0] in "23"

        say("", "", "220 hop.test ready")
        while line := f.readline().decode(errors="replace").rstrip("\r\n"):
            self.lines.append(line)
            verb = line.split()[0].upper()
            if verb in ("EHLO", "LHLO"):
                lists = [*self.lists, "PIPELINING", "8BITMIME"]
                if self.tls and not shown:
                    lists.append(f"AUTH {self.auth}" if secure else "STARTTLS")
                say("EHLO", line, "".join(f"250-{l}\r\n" for l in ["hop.test", *lists[:-1]])
                    + f"250 {lists[-1]}")
            elif verb == "STARTTLS":
                if say(verb, line, "220 2.0.0 go"):
                    c = self._secured(c)
                    f, secure, shown = c.makefile("rwb", buffering=0), True, bool(c.getpeercert())
            elif verb == "MAIL":
                sender, to = None, []
                if say(verb, line, "250 2.1.0 ok" if login else "530 5.7.0 Authentication required"):
                    sender = line[line.index("<") + 1:line.index(">")]
            elif verb == "RCPT" and sender is None:
                f.write(b"503 5.5.1 MAIL first\r\n")
            elif verb == "RCPT":
                if say(verb, line, "250 2.1.5 ok"):
                    to.append(line[line.index("<") + 1:line.index(">")])
            elif verb == "DATA":
                if not say(verb, line, "354 go" if to else "554 5.5.1 nobody"):
                    continue
                lines = [b"\r\n"]
                while (piece := f.readline()) != b".\r\n" or not lines[-1].endswith(b"\r\n"):
                    if not piece:
                        raise EOFError
                    lines.append(piece)
                got = b"".join(lines[1:]) + piece
                answer = self.answers.get(".")
                if isinstance(answer, list):
                    f.write("".join(a + "\r\n" for a in answer).encode())
                    self.taken.append((sender, to, got[:-3]))
                else:
                    for n in range(len(to) if self.lmtp else 1):
                        if say(".", to[n], "250 2.0.0 taken") and n == 0:
                            self.taken.append((sender, to, got[:-3]))
                sender = None
            elif verb == "RSET":
                sender = None
                say(verb, line, "250 2.0.0 ok")
            elif verb == "QUIT":
                say(verb, line, "221 2.0.0 bye")
                return
            elif verb == "AUTH":
                login = say(verb, line, "235 2.7.0 ok") or login
            else:
                say(verb, line, "250 2.0.0 ok")
