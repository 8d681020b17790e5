#!/usr/bin/python3
# sets: long
# timeout: 1800
"""`sallyport check --client`, the whole: our own client has no fault in any way of logging
in, a deliberately bad one has all of them, and what is found of some programs stays what it
was (golden/client-*).  It takes five minutes, most of them waiting for programs that wait
for a server that says nothing: so the default set has a sample (t_check_client.py).

A golden file lists findings above "good", one a line; each was checked by hand against the
program's manual and against dialogues.  To write them anew after a look at the difference:

    CHECK_GOLDEN=write ./run-tests check_client_all
"""
from grading import *

# ---- ourselves ----

@test("our own client with certificate and password has nothing above advice")
def _():
    no_fault(ours(*PASSWORD, *CERTIFICATE))


@test("our own client with a certificate alone has nothing above advice")
def _():
    no_fault(ours(*CERTIFICATE))


@test("our own client with implicit TLS has nothing above advice")
def _():
    command = [w.replace("smtp://{host}:{port}", "smtps://{host}:{tls-port}")
               for w in map(str, ours(*PASSWORD))]
    no_fault(command)


# ---- the bad client ----

@test("the bad client without a sin has nothing above advice but what its author left out")
def _():
    found, _ = check_client([*BAD, "-", *COMMON])
    left_out = {"nul-sent", "8bit-not-offered", "utf8-address-not-offered"}
    worse = set(found) & (rows("INSECURE") | rows("BROKEN") | rows("INTEROP"))
    check(worse == left_out, f"{worse}")


@test("every sin is found, and every finding about clients has its sin")
def _():
    missed, seen = played(SINS, CERTIFIED)
    check(not missed, "\n    ".join(["not found:", *missed]))
    every = rows("INSECURE") | rows("BROKEN") | rows("INTEROP") | rows("ADVICE")
    check(len(every) > 50, f"only {len(every)} rows could be read")
    check(every - seen == set(UNSEEN), f"never found: {every - seen - set(UNSEEN)}; "
          f"found though listed: {set(UNSEEN) & seen}")


# ---- a queue ----

@test("a queue's daemon that comes late, and speaks slowly, is waited for as --timeout says")
def _():
    late = ["sh", "-c", '(sleep 12; exec "$@") >/dev/null 2>&1 &', "queue", *BAD, "-", *COMMON]
    _, report = check_client(late, "--queues", "--timeout", "60", "--case", "slow-replies")
    good = {f["id"] for f in report["findings"] if f["severity"] == "good"}
    check({"ordinary-delivered"} <= good, f"{good}, {report['failed']}")
    _, report = check_client(late, "--queues", "--timeout", "20", "--only", "C01", ok=range(128))
    check("never connected" in str(report["failed"]), f"{report['failed']}")


# ---- programs of others ----

for name, command in PROGRAMS.items():
    test(f"{name}: what is found is what was checked by hand")(
        lambda name=name, command=command: golden(name, command))

run()
