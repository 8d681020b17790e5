#!/usr/bin/python3
# sets: long
# timeout: 3600
"""bench/compare, all of it with one per cent of the work: every server comes up, every
scenario ends, every queue holds what was acknowledged.  Its numbers are not looked at."""
import json
from harness import *


@test("every scenario works with every server")
def _():
    need_server()
    need_root()
    with work() as tmp:
        call([ROOT / "bench/compare", "--binary", SALLYPORT, "--scale", "small", "--json", tmp / "kept"],
             seconds=3500)
        found = [(letter, server) for letter, server, _ in json.loads((tmp / "kept").read_text())["results"]]
    peers = ("sallyport", "postfix", "exim", "opensmtpd", "haraka")
    for letter in "ABCDEFGHIT":
        missing = [p for p in peers if (letter, p) not in found]
        check(not missing, f"{letter} has no run of {', '.join(missing)}")
    for letter, server in (("A", "sallyport, cold"), ("A", "bare sink"), ("F", "the disk"), ("E many", "sallyport"),
                           ("I full", "sallyport"), ("S postfix", "smtp-source"), ("S bare sink", "bench")):
        check((letter, server) in found, f"no run of {server} in {letter}")
    check(len([l for l, _ in found if l.startswith("J ")]) == 5, "J is five: 10,000, 1,000,000, and 1, 100, 10,000")


run()
