#!/usr/bin/python3
# sets: default
# timeout: 200
"""Clients behind a load balancer (PROXY protocol) and behind a mail proxy (XCLIENT): believed
from configured proxies only."""
import base64, smtplib, ssl, struct
from harness import *

TEXT = (b"From: Alice <alice@example.org>\r\nTo: bob@example.org\r\nSubject: x\r\n"
        b"Date: Sun, 22 Nov 2026 10:00:00 +0000\r\nMessage-ID: <1@example.org>\r\n\r\nhello\r\n")
V1 = b"PROXY TCP4 192.0.2.7 198.51.100.1 4711 587\r\n"
SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"


def v2(command=1, family=0x21, addresses=None, more=b""):
    addresses = addresses if addresses is not None else (
        socket.inet_pton(socket.AF_INET6, "2001:db8::7") + socket.inet_pton(socket.AF_INET6, "::1")
        + struct.pack("!HH", 4711, 465))
    body = addresses + more
    return SIGNATURE + bytes([0x20 | command, family]) + struct.pack("!H", len(body)) + body


PROXIED = "    type = proxied\n    proxies = 127.0.0.0/8 ::1\n"


def connect(port, first=b""):
    c = socket.create_connection(("127.0.0.1", port), 20)
    c.sendall(first)
    return c


def reply(f):
    lines = []
    while line := f.readline().decode():
        lines.append(line.rstrip())
        if line[3:4] != "-":
            break
    return lines


def closed_unheard(port, octets):
    with connect(port, octets) as c:
        c.settimeout(20)
        return c.recv(1000) == b""


@test("PROXY version 1 and 2 before STARTTLS and before implicit TLS: the client's address counts")
def _():
    need_server()
    with work() as tmp, server(tmp, listener=PROXIED) as srv:
        context = ssl.create_default_context(cafile=srv.ca)
        for header, want in ((V1, b"192.0.2.7:4711"), (v2(), b"[2001:db8::7]:4711")):
            with connect(srv.port, header) as c:
                f = c.makefile("rb")
                check(reply(f)[0].startswith("220 "), "no banner")
                c.sendall(b"EHLO x\r\n")
                check(reply(f)[-1].startswith("250 "), "EHLO")
                c.sendall(b"STARTTLS\r\n")
                check(reply(f)[0].startswith("220 "), "STARTTLS")
                with context.wrap_socket(c, server_hostname="localhost") as t:
                    login_and_send(t)
            # ... and the header in one segment with the first octets of TLS
            arrived, leaving = ssl.MemoryBIO(), ssl.MemoryBIO()
            o = context.wrap_bio(arrived, leaving, server_hostname="localhost")
            with connect(srv.tls_port) as c:
                try:
                    o.do_handshake()
                except ssl.SSLWantReadError:
                    c.sendall(header + leaving.read())
                while True:
                    try:
                        o.do_handshake()
                        break
                    except ssl.SSLWantReadError:
                        c.sendall(leaving.read())
                        arrived.write(c.recv(65536))
                c.sendall(leaving.read())
                while True:
                    try:
                        check(o.read(4) == b"220 ", "banner inside TLS")
                        break
                    except ssl.SSLWantReadError:
                        arrived.write(c.recv(65536))
            log = srv.log.read_bytes()
            check(want in log, f"{want} is not in the log")
        got = [m.decode() for m in srv.mailbox("bob").wait(2)]
        check(any("192.0.2.7" in m for m in got) and any("2001:db8::7" in m for m in got),
              "Received has another address")


def login_and_send(t):
    f = t.makefile("rb")

    def say(line, code):
        t.sendall(line.encode() + b"\r\n")
        got = reply(f)
        check(got and got[-1].startswith(str(code)), f"{line}: {got}")
        return got
    say("EHLO x", 250)
    say("AUTH PLAIN " + base64.b64encode(b"\0alice\0correct horse battery staple").decode(), 235)
    say("MAIL FROM:<alice@example.org>", 250)
    say("RCPT TO:<bob@example.org>", 250)
    say("DATA", 354)
    t.sendall(TEXT + b".\r\n")
    check(reply(f)[0].startswith("250 "), "the dot")


@test("health checks pass; other octets, and other addresses, hear nothing")
def _():
    need_server()
    with work() as tmp, server(tmp, listener=PROXIED) as srv:
        for header in (v2(command=0, family=0, addresses=b""), b"PROXY UNKNOWN\r\n",
                       v2(family=0x21, more=b"\x04\x00\x03abc")):
            with connect(srv.port, header) as c:
                check(reply(c.makefile("rb"))[0].startswith("220 "), f"{header}")
        for bad in (b"EHLO x\r\n", b"PROXY TCP4 192.0.2.7 1.2.3.4 99999 1\r\n", b"PROXY TCP4 a b 1 2\r\n",
                    b"PROXY TCP6 192.0.2.7 1.2.3.4 1 2\r\n", b"PROXY " + b"x" * 200, SIGNATURE + b"\x31\x11\0\x0c" + bytes(12),
                    v2(family=0x11, addresses=b"\x01\x02"), b"\x16\x03\x01\x02\x00\x01"):
            check(closed_unheard(srv.port, bad), f"heard: {bad}")
    with work() as tmp, server(tmp, listener="    type = proxied\n    proxies = 192.0.2.10\n") as srv:
        check(closed_unheard(srv.port, V1), "anybody may say who he is")


@test("XCLIENT: the address is believed, the login only where it is configured")
def _():
    need_server()
    for trust, code in (("address", 530), ("login", 250)):
        more = PROXIED + f"    proxy-protocol = no\n    xclient = {trust}\n"
        with work() as tmp, server(tmp, listener=more) as srv, connect(srv.port) as c:
            f = c.makefile("rb")
            check(reply(f)[0].startswith("220 "), "banner")

            def say(line, want):
                c.sendall(line.encode() + b"\r\n")
                got = reply(f)
                check(got and got[-1].startswith(str(want)), f"{line}: {got}")
                return got
            check(any("XCLIENT" in l for l in say("EHLO proxy", 250)), "not offered")
            say("XCLIENT ADDR=192.0.2.300", 501)
            say("XCLIENT FOO=bar", 501)
            if trust == "login":
                say("XCLIENT ADDR=192.0.2.8 LOGIN=nobody", 550)
            say("XCLIENT ADDR=192.0.2.8 PORT=99 HELO=laptop.example NAME=[UNAVAILABLE] LOGIN=alice", 220)
            say("EHLO proxy", 250)
            say("MAIL FROM:<alice@example.org>", code)
            if code == 250:
                say("RCPT TO:<bob@example.org>", 250)
                say("DATA", 354)
                c.sendall(TEXT + b".\r\n")
                check(reply(f)[0].startswith("250 "), "the dot")
                got = srv.mailbox("bob").wait(1)[0].decode()
                check("192.0.2.8" in got and "laptop.example" in got, got)
            check(b"from=192.0.2.8:99" in srv.log.read_bytes(), "not in the log")
    with work() as tmp, server(tmp) as srv, connect(srv.port) as c:
        f = c.makefile("rb")
        reply(f)
        c.sendall(b"EHLO x\r\n")
        check(not any("XCLIENT" in l for l in reply(f)), "offered to everybody")
        c.sendall(b"XCLIENT ADDR=192.0.2.8\r\n")
        check(reply(f)[0].startswith("502 "), "taken from anybody")


@test("config explain tells of a proxied listener: XCLIENT in the EHLO reply, and who is believed")
def _():
    with work() as tmp:
        conf = tmp / "c.conf"
        conf.write_text(f"data-directory = {tmp}\nlistener p {{\n address = 127.0.0.1:5870\n type = proxied\n"
                        " proxies = 192.0.2.10 2001:db8::/64\n xclient = login\n}\n")
        said = call([SALLYPORT, "config", "explain", "--config", conf])
        check("XCLIENT" in said and "proxies = 192.0.2.10 2001:db8::/64" in said and "xclient = login" in said
              and "proxy-protocol = yes" in said, said)
        conf.write_text(f"data-directory = {tmp}\nlistener p {{\n address = 127.0.0.1:5870\n}}\n")
        said = call([SALLYPORT, "config", "explain", "--config", conf])
        check("XCLIENT" not in said and "proxies" not in said, said)


run()
