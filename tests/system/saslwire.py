"""saslwire.py - a client for logins: lines over TLS of a chosen version (pyOpenSSL, which gives
channel bindings), and an exchange with somebody else's SASL library as the peer."""
import base64, socket, ssl

from harness import *
from wire import b64

try:
    from OpenSSL import SSL
except ImportError:
    SSL = None

VERSIONS = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}
MESSAGE = (b"From: alice@example.org\r\nTo: bob@example.org\r\nSubject: bound\r\n"
           b"Date: Sun, 22 Nov 2026 10:00:00 +0000\r\nMessage-ID: <1@scram>\r\n\r\nhello\r\n")


def binding_of(tls, kind, client):
    """By OpenSSL, not by us.  tls-unique: the client's Finished (a full handshake)."""
    if kind == "tls-exporter":
        return kind, tls.export_keying_material(b"EXPORTER-Channel-Binding", 32, b"")
    return kind, tls.get_finished() if client else tls.get_peer_finished()


def tls_context(version, server=None, ca=None, certificate=None):
    c = SSL.Context(SSL.TLS_SERVER_METHOD if server else SSL.TLS_CLIENT_METHOD)
    number = SSL.TLS1_2_VERSION if version == "1.2" else SSL.TLS1_3_VERSION
    c.set_min_proto_version(number)
    c.set_max_proto_version(number)
    if server:
        c.use_certificate_chain_file(str(server[0]))
        c.use_privatekey_file(str(server[1]))
    else:
        if certificate:
            c.use_certificate_chain_file(str(certificate[0]))
            c.use_privatekey_file(str(certificate[1]))
        c.load_verify_locations(str(ca))
        c.set_verify(SSL.VERIFY_PEER, lambda *a: a[-1])
    return c


class Talk:
    """Lines over a socket that can become TLS."""

    def __init__(self, s):
        s.settimeout(None)  # pyOpenSSL wants blocking sockets
        self.s, self.buffer = s, b""

    def line(self):
        while b"\n" not in self.buffer:
            try:
                got = self.s.recv(65536)
            except SSL.Error:
                got = b""
            if not got:
                raise EOFError
            self.buffer += got
        line, _, self.buffer = self.buffer.partition(b"\n")
        return line.rstrip(b"\r").decode()

    def say(self, line):
        self.s.sendall(line.encode() + b"\r\n")

    def reply(self):
        lines = [self.line()]
        while lines[-1][3:4] == "-":
            lines.append(self.line())
        return int(lines[-1][:3]), [l[4:] for l in lines]

    def ask(self, line):
        self.say(line)
        return self.reply()

    def tls(self, context, client):
        self.s = SSL.Connection(context, self.s)
        (self.s.set_connect_state if client else self.s.set_accept_state)()
        self.s.do_handshake()
        self.buffer = b""


def inside(srv, version, certificate=None):
    """A connection of ours to the server, after STARTTLS and EHLO; and the mechanisms."""
    t = Talk(socket.create_connection(("127.0.0.1", srv.port)))
    t.reply()
    t.ask("EHLO c")
    check(t.ask("STARTTLS")[0] == 220, "no STARTTLS")
    t.tls(tls_context(version, ca=srv.ca, certificate=certificate), True)
    listed = next(l for l in t.ask("EHLO c")[1] if l.startswith("AUTH ")).split()[1:]
    return t, listed


def exchange(t, mechanism, peer):
    """Play Cyrus as the client; the last reply."""
    first = peer.start()
    code, lines = t.ask(f"AUTH {mechanism}" + ("" if first is None else " " + (b64(first) or "=")))
    while code == 334:
        token, _ = peer.step(base64.b64decode(lines[-1]))
        code, lines = t.ask(b64(token))
    return code, " ".join(lines)
