#!/usr/bin/python3
"""servers_sink.py - where the servers of the matrix relay to: takes all mail, in clear, by
SMTP on a port of 127.0.0.1 and keeps it in Maildirs.

    servers_sink.py --port N --folder DIR        bob@anything goes to DIR/bob/new
"""
import argparse, asyncio, itertools, os, re, signal
from aiosmtpd.smtp import SMTP

BIGGEST = 64 << 20


class Keep:
    def __init__(self, folder):
        self.folder, self.numbers = folder, itertools.count(1)

    def put(self, user, octets):
        """Under a name that readers look at only when all of it is there."""
        box = os.path.join(self.folder, re.sub(r"[^a-z0-9]", "_", user.lower()))
        for sub in ("tmp", "new"):
            os.makedirs(os.path.join(box, sub), exist_ok=True)
        name = f"{next(self.numbers):06d}"
        with open(os.path.join(box, "tmp", name), "wb") as f:
            f.write(octets)
        os.rename(os.path.join(box, "tmp", name), os.path.join(box, "new", name))

    async def handle_DATA(self, server, session, envelope):
        for address in envelope.rcpt_tos:
            self.put(address.partition("@")[0], envelope.original_content)
        return "250 2.0.0 kept"


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--port", type=int, required=True)
    p.add_argument("--folder", required=True)
    args = p.parse_args()
    keep = Keep(args.folder)
    loop = asyncio.new_event_loop()
    loop.run_until_complete(loop.create_server(
        lambda: SMTP(keep, hostname="sink.test", loop=loop, data_size_limit=BIGGEST,
                     enable_SMTPUTF8=True), "127.0.0.1", args.port))
    loop.add_signal_handler(signal.SIGTERM, loop.stop)
    loop.run_forever()


if __name__ == "__main__":
    main()
