#!/usr/bin/python3
# sets: default crash
# timeout: 600
"""A short run of the crash ledger; t_crash_long.py is the long one."""
from crash import LmtpSink, MaildirSink, run_crash
from harness import *

SEED = int(os.environ.get("SALLYPORT_SEED", "1"))


@test("kill -9 of any role under load loses nothing: delivery by LMTP")
def _():
    if SALLYPORT == "standin":
        skip("the stand-in relays nothing")
    need_server()
    with work() as tmp:
        sink = LmtpSink(tmp)
        try:
            with server(tmp, routes=sink.route()) as srv:
                run_crash(srv, sink, kills=12, seed=SEED)
        finally:
            sink.stop()


@test("kill -9 of any role under load loses nothing: delivery into a Maildir")
def _():
    with work() as tmp, server(tmp) as srv:
        run_crash(srv, MaildirSink(srv), kills=12, seed=SEED + 1)


if __name__ == "__main__":
    run()
