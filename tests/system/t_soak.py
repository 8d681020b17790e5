#!/usr/bin/python3
# sets: soak
# timeout: 90000
"""Mixed traffic for an hour: nothing grows, every message is accounted for.

    t_soak.py [--minutes N]         or $SALLYPORT_SOAK_MINUTES; t_soak_short.py is a sample
"""
import soak
from harness import *
from wire import without_server

MINUTES = float(os.environ.get("SALLYPORT_SOAK_MINUTES") or 60)
if "--minutes" in sys.argv:
    at = sys.argv.index("--minutes")
    MINUTES = float(sys.argv[at + 1])
    del sys.argv[at:at + 2]
without_server()


@test(f"{MINUTES:g} minutes of everything: memory and descriptors stay flat, every message is accounted for")
def _():
    soak.whole(MINUTES)


run()
