#!/usr/bin/python3
"""standin.py - a small submission server by aiosmtpd, in the place of the server under
test when the harness itself is tried: STARTTLS on one port, implicit TLS on another, AUTH
PLAIN and LOGIN, delivery into MAIL/DOMAIN/LOCALPART Maildirs.

--fault makes it wrong on purpose, so that a test can show that it would notice:
    none
    ack-first     250 before the message is stored (one second later)
    change-octet  one octet of the body differs
    lose-dot      the dot that begins a line is lost
    twice         every message is delivered twice
"""
import argparse, asyncio, os, ssl, threading, time
from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword


def arguments():
    p = argparse.ArgumentParser()
    for name in ("certificate", "key", "client-ca", "user", "password-file", "mail"):
        p.add_argument("--" + name, required=True)
    p.add_argument("--port", type=int, required=True)
    p.add_argument("--tls-port", type=int, required=True)
    p.add_argument("--fault", default="none")
    return p.parse_args()


def store(folder, data, serial=[0]):
    """As Maildir wants it: written and synced in tmp, then moved to new."""
    for sub in ("tmp", "new", "cur"):
        os.makedirs(f"{folder}/{sub}", exist_ok=True)
    serial[0] += 1
    name = f"{time.time():.6f}.{os.getpid()}_{serial[0]}.standin"
    with open(f"{folder}/tmp/{name}", "wb") as f:
        f.write(data)
        f.flush()
        os.fsync(f.fileno())
    os.rename(f"{folder}/tmp/{name}", f"{folder}/new/{name}")


class Handler:
    def __init__(self, args):
        self.args = args

    async def handle_DATA(self, server, session, envelope):
        data, fault = envelope.original_content, self.args.fault
        if fault == "change-octet":
            data = data[:-3] + bytes([data[-3] ^ 1]) + data[-2:]
        elif fault == "lose-dot":
            data = data.replace(b"\r\n.", b"\r\n")
        trace = (f"Return-Path: <{envelope.mail_from}>\r\n"
                 f"Received: from {session.host_name}\r\n\tby standin; now\r\n").encode()
        for rcpt in envelope.rcpt_tos:
            local, _, domain = rcpt.partition("@")
            folder = f"{self.args.mail}/{domain}/{local}"
            for _ in range(2 if fault == "twice" else 1):
                if fault == "ack-first":
                    threading.Timer(1, store, (folder, trace + data)).start()
                else:
                    store(folder, trace + data)
        return "250 2.0.0 stored"


def main():
    args = arguments()
    password = open(args.password_file, "rb").read().strip()

    def authenticate(server, session, envelope, mechanism, data):
        ok = isinstance(data, LoginPassword) and \
            (data.login, data.password) == (args.user.encode(), password)
        return AuthResult(success=ok, handled=False)

    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(args.certificate, args.key)
    common = dict(hostname="standin", authenticator=authenticate, auth_required=True,
                  data_size_limit=64 << 20, enable_SMTPUTF8=True)
    loop = asyncio.new_event_loop()
    loop.run_until_complete(loop.create_server(
        lambda: SMTP(Handler(args), tls_context=tls, require_starttls=True, loop=loop, **common),
        "127.0.0.1", args.port))
    loop.run_until_complete(loop.create_server(
        lambda: SMTP(Handler(args), auth_require_tls=False, loop=loop, **common),
        "127.0.0.1", args.tls_port, ssl=tls))
    import signal
    loop.add_signal_handler(signal.SIGTERM, loop.stop)
    loop.run_forever()


main()
