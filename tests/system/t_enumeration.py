#!/usr/bin/python3
# sets: long
# timeout: 900
"""The time of a refusal does not tell whether there is such an account, whether somebody asked for
it before, or whether its owner has just logged in: enumeration.py with few names, where it
shows most.  What is measured with many names: doc/evidence/enumeration.md."""
import statistics, sys
from harness import *
import enumeration

NAMES = 7
APART_MS = 40  # of the medians; the differences that were there before were 50 to 400 ms


def even(backend):
    for what, kinds in enumeration.one(backend, NAMES).items():
        medians = {kind: round(statistics.median(ms), 1) for kind, ms in kinds.items()}
        print(f"    {backend}, {what}: {medians}", flush=True)
        # Where nothing is rounded up a hash is the time, which varies with the load: a class is what counts.
        apart = max(APART_MS, max(medians.values()) / 2 if backend == "sqlite" else 0)
        check(max(medians.values()) - min(medians.values()) < apart, f"{backend}, {what}: {medians}")


for name in ("sqlite", "postgresql, 50 ms away", "dovecot", "ldap by bind", "pam"):
    @test(f"unknown, known, in use: one time ({name})")
    def _(name=name):
        even(name)

run()
