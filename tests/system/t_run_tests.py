#!/usr/bin/python3
# sets: default
# timeout: 120
"""./run-tests as a person uses it: its options, its last line and its exit status.  How it
judges a test is t_harness.py's."""
from harness import *

BUILD = os.environ.get("SALLYPORT_BUILD", "")


def run_tests(*argv, ok=(0,)):
    if not BUILD:
        skip("needs a build folder: run it by ./run-tests")
    return call([ROOT / "run-tests", *argv], ok=ok, seconds=100)


def here(*argv, ok=(0,)):
    return run_tests("--no-install", "--no-build", "--build-dir", BUILD, *argv, ok=ok)


@test("--help names every set and the last line; nothing is installed or built for it")
def _():
    text = run_tests("--help")
    for word in ("default", "unit", "long", "peers", "fuzz", "crash", "soak", "clean-root", "package",
                 "'N passed, N failed'", "NAME:TEXT"):
        check(word in text, f"--help lacks {word}")


@test("--list names each test with its sets; every set has a test")
def _():
    text = here("--list")
    rows = [l.split() for l in text.splitlines() if re.match(r"\S+ .*\S", l)]
    sets = {w for r in rows for w in r}
    for name in ("default", "unit", "long", "peers", "crash", "soak", "clean-root", "package"):
        check(name in sets, f"the set {name} is empty")
    check(re.search(r"^crash +.*\bcrash default$", text, re.M), "t_crash.py is not in its sets")


@test("a wrong name ends with 1 and says what is near it")
def _():
    said = here("nosuchset", ok=(1,))
    check(said.strip() == "run-tests: no set or test named nosuchset; see --list", said)
    said = here("attack", ok=(1,))
    check("did you mean attack_limits" in said, said)
    run_tests("--nosuchoption", ok=(2,))


@test("the last line is 'N passed, N failed', with skips counted and their reasons shown; the status follows")
def _():
    last = here("port").splitlines()[-1]
    check(re.fullmatch(r"[1-9]\d* passed, 0 failed", last), last)
    out = run_tests("--no-install", "--no-build", "--build-dir", BUILD, "--binary", "standin",
                    "t_serve_local"[2:]).splitlines()
    check(out[-1] == "0 passed, 0 failed, 1 skipped", out[-1])
    check(any("skipped: all of it: needs the sallyport program" in l for l in out), f"{out}")
    out = here("--binary", "/bin/false", "submit", ok=(1,)).splitlines()
    check(re.fullmatch(r"\d+ passed, [1-9]\d* failed(, \d+ skipped)?", out[-1]), out[-1])


@test("without what it needs the build says what failed, and the last line counts it")
def _():
    with work() as tmp:
        (tmp / "b").mkdir()
        (tmp / "b/build.ninja").write_text("garbage\n")
        out = run_tests("--no-install", "--build-dir", str(tmp / "b"), ok=(1,)).splitlines()
        check(out[-1] == "0 passed, 1 failed", out[-1])


run()
