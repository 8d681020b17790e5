#!/usr/bin/python3
# sets: crash
# timeout: 3600
"""The crash ledger, many kills with several seeds.  SALLYPORT_SEED chooses the first,
SALLYPORT_RUNS how many there are."""
from crash import LmtpSink, MaildirSink, run_crash
from harness import *

FIRST = int(os.environ.get("SALLYPORT_SEED", "100"))
RUNS = int(os.environ.get("SALLYPORT_RUNS", "4"))
KILLS = 60


def add(seed, by_lmtp):
    @test(f"{KILLS} kills, seed {seed}, {'LMTP' if by_lmtp else 'Maildir'}: nothing is lost")
    def _():
        if by_lmtp and SALLYPORT == "standin":
            skip("the stand-in relays nothing")
        need_server()
        with work() as tmp:
            sink = LmtpSink(tmp, delay=0.03) if by_lmtp else None
            try:
                with server(tmp, routes=sink.route() if sink else "") as srv:
                    run_crash(srv, sink or MaildirSink(srv), kills=KILLS, seed=seed, settle_s=300)
            finally:
                if sink:
                    sink.stop()


for n in range(RUNS):
    add(FIRST + n, n % 2 == 0)

run()
