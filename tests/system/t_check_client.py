#!/usr/bin/python3
# sets: default
# timeout: 300
"""`sallyport check --client`: our own client has no fault in it, what is insecure in a bad
one is found, and how a command is run and a program with windows is waited for.

This is a sample, a minute of what takes five: all sins, all ways of our own client, and what
is found of other programs are in t_check_client_all.py (set `long`).  What depends on every
case of every program changes seldom; what can break with any change is here.
"""
from grading import *

# ---- ourselves ----

@test("our own client, with a password over STARTTLS, has nothing above advice")
def _():
    report = no_fault(ours(*PASSWORD))
    check(any(f["id"] == "ordinary-delivered" for f in report["findings"]), "nothing sent")


# ---- the bad client ----

INSECURE = rows("INSECURE")


@test("whatever is insecure in a client is found, and what else is found by a sample of the sins")
def _():
    sample = [r for r in SINS if r[2] & INSECURE] + [r for r in SINS if not r[2] & INSECURE][::6]
    missed, seen = played(sample, CERTIFIED[:1])
    check(not missed, "\n    ".join(["not found:", *missed]))
    check(len(INSECURE) > 8, f"only {len(INSECURE)} rows could be read")
    check(INSECURE <= seen, f"never found: {INSECURE - seen}")


@test("the password and its encodings are in no report")
def _():
    with work() as tmp:
        note = tmp / "password"
        page = tmp / "report.html"
        script = f"cat '{{password-file}}' >{note}; exec \"$0\" \"$@\""
        command = ["sh", "-c", script, *BAD, "optional", *COMMON]
        _, report = check_client(command, "--only", "C04", "--html", page)
        secret = note.read_text().strip()
        check(len(secret) > 20, "no password was given")
        import base64
        for text in (json.dumps(report), page.read_text()):
            for form in (secret, *(base64.b64encode(b"\0" * n + secret.encode()).decode()[4:-8]
                                   for n in range(3))):
                check(form not in text, "the password is in the report")
        check("[hidden]" in json.dumps(report), "nothing was hidden")


# ---- how it runs a command ----

@test("a command that never connects is a failure of the check, with the command's words")
def _():
    need_server()
    text = call([SALLYPORT, "check", "--client", "--", "sh", "-c", "echo no such host >&2; exit 1"],
                ok=(69,))
    check("never connected" in text and "no such host" in text, text)


@test("a case to which the client never came is not judged, and the report says so")
def _():
    with work() as tmp:
        count = tmp / "runs"
        # Comes to the first two; to the third and the fourth never.
        script = f'echo x >>{count}; [ "$(wc -l <{count})" -le 2 ] || exit 0; exec "$0" "$@"'
        found, report = check_client(["sh", "-c", script, *BAD, "no-quit", *COMMON], "--only", "C03,C06,C07")
        why = {c["id"]: (c["ran"], c["why"]) for c in report["checks"] if c["id"] in ("C03", "C06", "C07")}
        check(why["C03"] == (True, None), f"{why}")
        check(why["C06"] == why["C07"] == (False, "the client did not connect"), f"{why}")
        check("certificate-verified" not in found and "success-claimed" not in found, f"{found}")
        count.unlink()
        _, report = check_client(["sh", "-c", script, *BAD, "no-quit", *COMMON], "--only", "C06")
        why = [(c["ran"], c["why"]) for c in report["checks"] if c["id"] == "C06"]
        check(why[0][0] and why[0][1].startswith("the client did not connect in cert-untrusted"), f"{why}")


@test("a command that cannot be run is said so")
def _():
    need_server()
    text = call([SALLYPORT, "check", "--client", "--", "/nonexistent/mailer"], ok=(69,))
    check("/nonexistent/mailer" in text, text)


@test("Ctrl-C ends the run, the command and what it started, with what was found so far")
def _():
    need_server()
    with work() as tmp:
        pids = tmp / "pids"
        p = Process("check", [SALLYPORT, "check", "--client", "--", "sh", "-c",
                              f"sleep 600 & echo $! $$ >{pids}; wait"], tmp / "log")
        wait_until(lambda: pids.exists() and pids.read_text().split(), 20, "the command")
        p.stop(signal.SIGINT)
        for pid in pids.read_text().split():
            wait_until(lambda: not os.path.exists(f"/proc/{pid}") or
                       " Z " in Path(f"/proc/{pid}/stat").read_text(), 10, f"the end of {pid}")


@test("a story of one's own is played")
def _():
    with work() as tmp:
        (tmp / "mine.story").write_text(
            "# the server is a teapot: nothing is sent\n"
            "server check=C16\n"
            "C: (tls) MAIL\nS: 550 5.3.0 I am a teapot\n"
            "= success-claimed: failure !delivered | {when}\n")
        found, report = check_client([*BAD, "-", *COMMON], "--stories", tmp)
        check(found == {"success-claimed": [["the server is a teapot"]]}, f"{found}")


@test("a program with windows is told what to do, and is graded by its visits")
def _():
    need_server()
    with work() as tmp:
        port, out = free_port(), tmp / "report.json"
        p = Process("check", ["sh", "-c", f'exec "$0" check --client --json --listen {port} '
                              f'--only C02 >{out}', SALLYPORT], tmp / "log")
        wait_until(lambda: "let the program send" in p.output(), 20, "what to do")
        shown = dict(re.findall(r"^ +(password|authority) +(\S+)", p.output(), re.M))
        check("\n1/2  " in p.output(), "how far it is counts cases that are not played")
        send = [*BAD, "-", "localhost", port, shown["authority"], "prober", shown["password"],
                "prober@check.test", "someone@check.test"]
        for n in (1, 2):
            wait_until(lambda: p.output().count("let the program send") >= n or
                       not p.running(), 30, "the next case")
            call(send, stdin=b"Subject: x\r\n\r\nhello\r\n", ok=(0, 1))
        wait_until(lambda: not p.running(), 30, "the end")
        report = json.loads(out.read_text())
        check("ehlo-after-starttls" in [f["id"] for f in report["findings"]], f"{report}")
        check("message-cut" not in [f["id"] for f in report["findings"]],
              "what a person writes is held against the message of the run")


run()
