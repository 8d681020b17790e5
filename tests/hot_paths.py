#!/usr/bin/python3
"""hot_paths.py HOT_SMTP HOT_COMMIT - what the hot paths cost, in instructions.

Counted by callgrind, so the machine and its load do not matter; and as a ratio to a plain
loop over the octets of a 10 KB message, so that a table of absolute numbers need not
follow every compiler.  What a run of nothing costs is taken off.  RATIOS are what was counted when the row was last touched: a path may
cost a quarter more before its test fails.  A change that makes one dearer for a good
reason changes the number and says why; one that makes it cheaper lowers it.
"""
import os, re, subprocess, sys, tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

SLACK = 1.25
COUNTS = {"reference": 50, "parse": 100, "data": 50, "ehlo": 100, "commit": 40}
# path: (what one time is, instructions of it in those of one reference loop)
RATIOS = {
    "parse": ("MAIL, two RCPT and RSET, parsed and answered", 0.391),
    "data": ("a message of 10 KB: commands, scan to its end", 0.801),
    "ehlo": ("EHLO answered", 0.357),
    "commit": ("16 messages of 10 KB made durable (SQLite included)", 18.0),
}


def count(program, path, n, again=0):
    """Instructions of a whole run."""
    with tempfile.TemporaryDirectory() as tmp:
        done = subprocess.run(["valgrind", "--tool=callgrind", f"--callgrind-out-file={tmp}/out",
                               program, path, str(n), str(again)], capture_output=True, text=True,
                              env={**os.environ, "TMPDIR": tmp, "MALLOC_PERTURB_": "0"})
        found = re.search(r"Collected : (\d+)", done.stderr)
    if done.returncode or not found:
        raise SystemExit(f"{path}: {done.stderr[-2000:]}\n0 passed, 1 failed")
    return int(found[1])


def main():
    smtp, queue = sys.argv[1:3]
    if subprocess.run(["sh", "-c", "command -v valgrind"], stdout=subprocess.DEVNULL).returncode:
        print("skipped: valgrind is not installed\n0 passed, 0 failed, 1 skipped")
        return 0

    def whole(job):
        path, n, again = job
        return count(queue if path == "commit" else smtp, path, n, again)

    jobs = [("reference", 0, 0), ("commit", 0, 0)] + [(path, n, again) for path, n in COUNTS.items()
                                                      for again in ((0, 50) if path in RATIOS else (0,))]
    with ThreadPoolExecutor(2) as pool:
        wholes = dict(zip(jobs, pool.map(whole, jobs)))
    costs = {(path, again): (got - wholes["commit" if path == "commit" else "reference", 0, 0]) / n
             for (path, n, again), got in wholes.items() if n}
    reference, passed, failed = costs["reference", 0], 0, 0
    for path, (what, known) in RATIOS.items():
        now, half_more = (costs[path, again] / reference for again in (0, 50))
        for name, good in ((f"{path} costs what it did: {what}", now <= known * SLACK),
                           (f"{path} at 1.5 times its cost is noticed", half_more > known * SLACK)):
            passed, failed = passed + good, failed + (not good)
            if not good:
                print(f"FAILED: {name}")
        print(f"{path}: {costs[path, 0]:,.0f} instructions, {now:.3f} reference loops (row: {known}), "
              f"with half of it twice {half_more:.3f}")
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


sys.exit(main())
