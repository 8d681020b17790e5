#!/usr/bin/python3
# sets: analysis
# timeout: 3000
"""ThreadSanitizer where threads meet: the checkpointer of the spool and the workers of libuv
(signing, password checks, look-ups).  The unit tests of those folders, then a whole server."""
from trees import *

FOLDERS = ("base", "ipc", "net", "auth", "queue", "delivery", "daemon")
# Addresses as they were before a kernel spread them more than gcc's run-time library expects.
PREFIX = ["setarch", "-R"]
ENV = {"TSAN_OPTIONS": "exitcode=66:halt_on_error=0:second_deadlock_stack=1"}
HOLD = {}


def built():
    if "tree" not in HOLD:
        HOLD["tree"] = tree("threads", "-Db_sanitize=thread")
    return HOLD["tree"]


@test("no data race in the unit tests of folders with threads")
def _():
    wrong, ran = [], 0
    for name, argv, folder, env in unit_tests(built(), *FOLDERS):
        done = subprocess.run([*PREFIX, *argv], cwd=folder, env={**env, **ENV}, capture_output=True,
                              text=True, errors="replace", timeout=1200)
        ran += 1
        if "WARNING: ThreadSanitizer" in done.stderr + done.stdout or done.returncode:
            wrong.append(f"{name}: exit {done.returncode}\n{(done.stdout + done.stderr)[-3000:]}")
    check(ran > 20, f"only {ran} tests were found")
    check(not wrong, "\n".join(wrong))


@test("no data race in a server under load: passwords checked, messages signed, queued and delivered")
def _():
    import harness  # its SALLYPORT is this build here
    binary = built() / "src/cli/sallyport"
    with work() as tmp:
        wrapper = tmp / "traced"
        wrapper.write_text(f'#!/bin/sh\nexec {" ".join(PREFIX)} {binary} "$@"\n')
        wrapper.chmod(0o755)
        call(["openssl", "genrsa", "-out", tmp / "rsa.pem", "2048"])
        os.chmod(tmp / "rsa.pem", 0o644)
        os.environ.update(ENV)
        harness.SALLYPORT = wrapper
        dkim = f"dkim rsa1 {{\n    domain = example.org\n    selector = rsa1\n    key = {tmp}/rsa.pem\n}}\n"
        with harness.server(tmp, more=dkim + "confinement = attempted\n") as srv:
            for _ in range(3):
                call([wrapper, "bench", "--server", f"smtp://127.0.0.1:{srv.port}", "--ca", srv.ca, "--user", srv.user,
                      "--password-file", srv.password_file, "--from", srv.address, "--to", srv.address,
                      "--connections", 10, "--messages", 15, "--size", 5000], seconds=300)
            log = srv.log.read_text(errors="replace")
        check("WARNING: ThreadSanitizer" not in log, log[-6000:])
        check(" role.end " not in log or "signal" not in log, log[-3000:])


run()
