#!/usr/bin/env python3
"""Runs the example tiny-client against a small LMTP and SMTP server of this script's own.
usage: cli_tiny.py PROGRAM"""
import socket
import subprocess
import sys
import threading

MESSAGE = b"Subject: tiny\r\n\r\n.dot\r\n" + b"line of text\r\n" * 20000 + b"no end"


def serve(listener, lmtp, verdict, got):
    s, _ = listener.accept()
    f = s.makefile("rwb")

    def say(line):
        f.write(line + b"\r\n")
        f.flush()

    say(b"220 tiny")
    while True:
        line = f.readline().strip()
        got.append(line)
        word = line.split(b" ")[0]
        if word in (b"EHLO", b"LHLO"):
            say(b"250-tiny" if (word == b"LHLO") == lmtp else b"500-wrong")
            say(b"250 PIPELINING")
        elif word == b"DATA":
            say(b"354 go")
            body = []
            while True:
                text = f.readline()
                if text == b".\r\n":
                    break
                body.append(text[1:] if text.startswith(b".") else text)
            got.append(b"".join(body))
            say(verdict)
        elif word in (b"QUIT", b""):
            if word:
                say(b"221 bye")
            s.close()
            return
        else:
            say(b"250 ok")


def play(program, lmtp, verdict, want):
    listener = socket.create_server(("127.0.0.1", 0))
    got = []
    t = threading.Thread(target=serve, args=(listener, lmtp, verdict, got), daemon=True)
    t.start()
    p = subprocess.run([program, "lmtp" if lmtp else "smtp", str(listener.getsockname()[1]),
                        "a@x.example", "b@y.example"], input=MESSAGE, timeout=60)
    t.join(10)
    listener.close()
    assert p.returncode == want, (p.returncode, got[:6])
    assert got[1:4] == [b"MAIL FROM:<a@x.example>", b"RCPT TO:<b@y.example>", b"DATA"], got[:4]
    assert got[4] == MESSAGE + b"\r\n", len(got[4])
    assert got[5] == b"QUIT", got[5]


passed = 0
for lmtp_mode in (True, False):
    for reply, status in ((b"250 2.0.0 ok", 0), (b"452 4.2.2 full", 1)):
        play(sys.argv[1], lmtp_mode, reply, status)
        passed += 1
print("%d passed, 0 failed" % passed)
