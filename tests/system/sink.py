#!/usr/bin/python3
"""sink.py - an LMTP server by aiosmtpd that notes what arrived, for load and crash tests.

    sink.py --port N --file FILE [--delay SECONDS]

Before it answers the dot it appends a line "TIME ID SHA256" to FILE: the Message-ID
without <> and host, and the hash of the body.  --delay makes it slow, so that a queue builds up.
"""
import argparse, asyncio, hashlib, re, signal, time
from aiosmtpd.lmtp import LMTP


class Handler:
    def __init__(self, path, delay):
        self.out, self.delay = open(path, "a", buffering=1), delay

    async def handle_DATA(self, server, session, envelope):
        header, _, body = envelope.original_content.partition(b"\r\n\r\n")
        found = re.search(rb"^message-id:\s*<([^@>]+)", header, re.I | re.M)
        name = found[1].decode() if found else "?"
        for _ in envelope.rcpt_tos:
            self.out.write(f"{time.time():.6f} {name} {hashlib.sha256(body).hexdigest()}\n")
        if self.delay:
            await asyncio.sleep(self.delay)
        return "250 2.0.0 noted"


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--port", type=int, required=True)
    p.add_argument("--file", required=True)
    p.add_argument("--delay", type=float, default=0)
    args = p.parse_args()
    handler = Handler(args.file, args.delay)
    loop = asyncio.new_event_loop()
    loop.run_until_complete(loop.create_server(
        lambda: LMTP(handler, hostname="sink", loop=loop, data_size_limit=64 << 20,
                     enable_SMTPUTF8=True), "127.0.0.1", args.port))
    loop.add_signal_handler(signal.SIGTERM, loop.stop)
    loop.run_forever()


main()
