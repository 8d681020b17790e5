#!/usr/bin/python3
# sets: default
# timeout: 600
"""Real mail programs submit; what arrives in the Maildir is what they sent."""
import clients
from harness import *

HEAD = (b"From: Alice <alice@example.org>\r\nTo: bob@example.org\r\nSubject: %s\r\n"
        b"Date: Sun, 22 Nov 2026 10:00:00 +0000\r\nMessage-ID: <%s@example.org>\r\n")
MESSAGES = {
    "plain": HEAD % (b"plain", b"1") + b"\r\nHello\r\n",
    "dots": HEAD % (b"dots", b"2") + b"\r\n.\r\n..\r\n.a\r\n...b\r\nend.\r\n",
    "8bit": HEAD % (b"8bit", b"3") + b"MIME-Version: 1.0\r\nContent-Type: text/plain; "
            b"charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"
            + "Grüße, žluťoučký kůň, 日本語\r\n".encode(),
    "long lines": HEAD % (b"long", b"4") + b"\r\n" + b"x" * 998 + b"\r\n" + b"." * 998 + b"\r\n",
    "no body": HEAD % (b"empty", b"5") + b"\r\n",
    "1 MB": HEAD % (b"big", b"6") + b"\r\n" + b"The quick brown fox jumps over it.\r\n" * 29000,
}


def all_messages(client, tls="starttls", login="password"):
    with work() as tmp, server(tmp) as srv:
        for name, message in MESSAGES.items():
            if name == "no body" and client is clients.swaks:
                continue  # swaks ends every message with one more line
            client(srv, message, tls=tls, login=login)
            try:
                check_same(message, srv.mailbox("bob").wait(1)[0])
            except Failed as e:
                raise Failed(f"{name}: {e}") from None
            srv.mailbox("bob").clear()


def add(name, client, tls, login):
    @test(f"{name}, {tls}, {login}: every message arrives byte for byte")
    def _():
        if SALLYPORT == "standin" and login == "certificate":
            skip("aiosmtpd has no EXTERNAL")
        all_messages(client, tls, login)


for name, client in clients.ALL.items():
    for tls in ("starttls", "implicit"):
        add(name, client, tls, "password")
for name in ("curl", "swaks", "msmtp"):
    add(name, clients.ALL[name], "starttls", "certificate")

run()
