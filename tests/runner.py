#!/usr/bin/python3
"""Run Sallyport's tests: C programs that Meson builds and system test scripts.

A test is a program that ends with a line "N passed, N failed" (", N skipped"); see
tests/t.h and tests/system/harness.py.  One that prints no such line, crashes, runs out
of time, or leaves a file or a process behind counts as one failure.  Only of a system
command that Meson names as a test (diff) the exit status is the result.

Where tests come from:
  - Meson: every test(); its suites are the names of its sets.
  - scripts tests/*/t_*.py and tests/*/t_*.sh with these comments near the top:
        # sets: default crash        (required)
        # timeout: 300               (seconds; 120 when absent)
"""
import argparse, concurrent.futures, json, os, re, signal, shutil, subprocess, sys, tempfile, time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SUMMARY = re.compile(r"^(\d+) passed, (\d+) failed(?:, (\d+) skipped)?$", re.M)
TAIL_LINES = 40
SETS = {
    "default": "what must pass before any change lands (unit tests and system tests)",
    "unit": "the C unit tests: seconds",
    "long": "slower tests of single parts",
    "peers": "real mail programs on the other end, each in a root of its own",
    "fuzz": "libFuzzer on every target, --minutes each (the default set replays seeds)",
    "crash": "kill -9 under load: nothing acknowledged is lost",
    "soak": "hours of load: memory and descriptors stay flat",
    "analysis": "gcc -fanalyzer, clang-tidy, ThreadSanitizer, coverage: builds of their own",
    "clean-root": "./quickstart and ./run-tests in a new Debian root",
    "package": "the Debian packages: built, installed, upgraded, purged in a new root",
}


class Test:
    def __init__(self, name, sets, argv, cwd, env, timeout):
        self.name, self.sets, self.argv = name, sets, argv
        self.cwd, self.env, self.timeout = cwd, env, timeout


def from_meson(build):
    """Tests that Meson knows.  Its suite 'unit' is part of the default set."""
    out = subprocess.run(["meson", "introspect", "--tests", str(build)],
                         check=True, capture_output=True, text=True).stdout
    for t in json.loads(out):
        sets = {s.split(":")[-1] for s in t["suite"]}
        if "unit" in sets:
            sets.add("default")
        yield Test(t["name"], sets, t["cmd"], t["workdir"] or str(build), t["env"],
                   max(int(t["timeout"]), 1))


def from_scripts():
    for path in sorted([*ROOT.glob("tests/*/t_*.py"), *ROOT.glob("tests/*/t_*.sh")]):
        head = path.read_text()[:2000]
        sets = re.search(r"^# sets: (.+)$", head, re.M)
        limit = re.search(r"^# timeout: (\d+)$", head, re.M)
        if not sets:
            continue
        interpreter = "/usr/bin/python3" if path.suffix == ".py" else "/bin/sh"
        yield Test(path.stem[2:], set(sets[1].split()), [interpreter, str(path)],
                   str(ROOT), {}, int(limit[1]) if limit else 120)


def from_fuzzers(args):
    """A test for each target of tests/fuzz/meson.build; built by build_fuzzers()."""
    driver = str(ROOT / "tests" / "fuzz" / "fuzz.py")
    out = subprocess.run([sys.executable, driver, "list"], check=True, capture_output=True,
                         text=True).stdout
    for name in out.split():
        yield Test("libfuzzer " + name, {"fuzz"},
                   ["/usr/bin/python3", driver, "run", name, "--minutes", str(args.minutes),
                    "--build", str(ROOT / "build-fuzz")], str(ROOT), {},
                   int(args.minutes * 60 * 8) + 300)


def build_fuzzers(verbose):
    build = ROOT / "build-fuzz"
    if not (build / "build.ninja").exists():
        run_quietly("configuring the fuzzers", [
            "env", "CC=clang-14", "meson", "setup", str(build), str(ROOT), "-Dfuzz=true",
            "-Db_sanitize=address,undefined", "-Doptimization=1"])
    run_quietly("building the fuzzers", ["ninja", "-C", str(build), "fuzzers"], verbose)


def binary(build):
    """The sallyport program, or "" when this tree does not build one."""
    out = subprocess.run(["meson", "introspect", "--targets", str(build)],
                         check=True, capture_output=True, text=True).stdout
    for t in json.loads(out):
        if t["name"] == "sallyport" and t["type"] == "executable":
            return t["filename"][0]
    return ""


def run_quietly(what, argv, verbose=False):
    """A build step: its output is of interest only when it fails."""
    print(f"{what} …", flush=True)
    start = time.monotonic()
    done = subprocess.run(argv, cwd=ROOT, stdin=subprocess.DEVNULL, text=True,
                          stdout=None if verbose else subprocess.PIPE,
                          stderr=subprocess.STDOUT)
    if done.returncode:
        lines = (done.stdout or "").splitlines()
        bad = [l for l in lines if re.search(r"error|warning:|ERROR|FAILED", l)]
        print("\n".join((bad + lines[-TAIL_LINES:]) if not verbose else []))
        print(f"{what}: failed\n0 passed, 1 failed")
        sys.exit(1)
    print(f"{what}: {time.monotonic() - start:.0f} s", flush=True)


def marked_processes(mark):
    """Processes that carry this test's mark in their environment, wherever they went."""
    for entry in os.listdir("/proc"):
        if not entry.isdigit() or int(entry) == os.getpid():
            continue
        try:
            env = Path("/proc", entry, "environ").read_bytes()
            if mark in env.split(b"\0"):
                stat = Path("/proc", entry, "stat").read_text().rsplit(")", 1)[1].split()
                if stat[0] not in "ZX":
                    cmd = Path("/proc", entry, "cmdline").read_bytes()
                    words = cmd.replace(b"\0", b" ").decode(errors="replace").split()
                    yield int(entry), " ".join(words)[:100]
        except OSError:
            pass  # gone, or not ours to look at


def stop_group(proc):
    for sig, wait in ((signal.SIGTERM, 10), (signal.SIGKILL, 5)):
        try:
            os.killpg(proc.pid, sig)
        except ProcessLookupError:
            return
        try:
            proc.wait(wait)
        except subprocess.TimeoutExpired:
            continue
        if sig == signal.SIGKILL:
            return
        time.sleep(0.2)


class Result:
    def __init__(self, passed=0, failed=0, skipped=0):
        self.passed, self.failed, self.skipped = passed, failed, skipped
        self.why, self.output, self.seconds = [], "", 0.0

    def add(self, other):
        self.passed += other.passed
        self.failed += other.failed
        self.skipped += other.skipped


def leftovers(tmp, mark):
    """What a finished test left: processes are stopped, files removed by the caller."""
    time.sleep(0.05)
    left = list(marked_processes(mark))
    if left:  # a child that was just told to stop may need a moment
        time.sleep(1)
        left = list(marked_processes(mark))
    for pid, cmd in left:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        yield f"left process {pid} behind: {cmd}"
    for name in sorted(os.listdir(tmp)):
        yield f"left {name} behind in the temporary folder"


running = {}  # process: the place where it began, for an interrupt


def run_test(test, only, env, keep):
    tmp = tempfile.mkdtemp(prefix="sallyport-" + re.sub(r"[^a-z0-9]+", "-", test.name.lower())[:30])
    mark = f"SALLYPORT_TEST={tmp}"
    env = {**env, **test.env, "TMPDIR": tmp, "SALLYPORT_TEST": tmp}
    start = time.monotonic()
    with tempfile.TemporaryFile() as out:
        proc = subprocess.Popen(test.argv + ([only] if only else []), cwd=test.cwd, env=env,
                                stdin=subprocess.DEVNULL, stdout=out,
                                stderr=subprocess.STDOUT, start_new_session=True)
        why, running[proc] = [], tmp
        try:
            proc.wait(test.timeout)
        except subprocess.TimeoutExpired:
            why.append(f"not finished after {test.timeout} s")
            stop_group(proc)
        running.pop(proc, None)
        out.seek(0)
        text = out.read().decode(errors="replace")

    found = SUMMARY.findall(text)
    result = Result(*(int(n or 0) for n in found[-1])) if found else Result()
    if not found and Path(test.argv[0]).name == "diff" and proc.returncode in (0, 1):
        result.passed, result.failed = 1 - proc.returncode, proc.returncode
    elif not found:
        why.append('no line "N passed, N failed"')
    if proc.returncode < 0 and not why:
        why.append(f"ended by signal {signal.Signals(-proc.returncode).name}")
    elif proc.returncode and not result.failed and not why:
        why.append(f"exit status {proc.returncode} though no check failed")
    if not keep:
        why += leftovers(tmp, mark.encode())
        shutil.rmtree(tmp, ignore_errors=True)
    if why:
        result.failed += 1
    result.why, result.output = why, text
    result.seconds = time.monotonic() - start
    return result


def stop_all():
    """An interrupt: whatever runs is stopped, with everything it started."""
    for proc, tmp in list(running.items()):
        stop_group(proc)
        list(leftovers(tmp, f"SALLYPORT_TEST={tmp}".encode()))
        shutil.rmtree(tmp, ignore_errors=True)


def keep_output(test, result, folder):
    """What show() leaves out of a long output."""
    folder.mkdir(exist_ok=True)
    path = folder / (re.sub(r"[^A-Za-z0-9]+", "-", test.name) + ".log")
    path.write_text(result.output)
    print(f"      all of it: {path}", flush=True)


def run_all(chosen, env, args, total):
    """Several at a time: most tests wait more than they work."""
    pool = concurrent.futures.ThreadPoolExecutor(args.jobs)
    try:
        jobs = {pool.submit(run_test, test, only, env, args.keep): test for test, only in chosen}
        for job in concurrent.futures.as_completed(jobs):
            show(jobs[job], job.result(), args.verbose)
            if job.result().failed:
                keep_output(jobs[job], job.result(), Path(env["SALLYPORT_BUILD"]) / "failed")
            total.add(job.result())
    except KeyboardInterrupt:
        print("\ninterrupted")
        total.failed += 1
        pool.shutdown(wait=False, cancel_futures=True)
        stop_all()
    pool.shutdown()


def show(test, result, verbose):
    word = "FAIL" if result.failed else "ok" if result.passed else "skip"
    counts = f"{result.passed} passed" + (f", {result.failed} failed" if result.failed else "")
    if result.skipped:
        counts += f", {result.skipped} skipped"
    print(f"{word:4}  {test.name:38} {counts:26} {result.seconds:7.1f} s")
    for line in result.why:
        print(f"      {line}")
    lines = result.output.splitlines()
    if result.failed and not verbose:
        if len(lines) > TAIL_LINES:
            failed = [l for l in lines[:-TAIL_LINES] if re.match(r"(    [|] )?FAIL(ED)?\b", l)]
            lines = failed + ["…"] + lines[-TAIL_LINES:]
    elif not verbose:
        lines = [l for l in lines if l.startswith(("skipped: ", "noted: "))]
    for line in lines:
        print(f"    | {line}")
    sys.stdout.flush()


def pick(tests, words):
    """Sets and test names to (test, only) pairs; NAME:TEXT runs the checks with TEXT."""
    chosen = {}
    for word in words:
        name, only = word, ""
        hits = [t for t in tests if t.name == name]
        if not hits and name not in SETS:  # names may hold colons themselves
            name, _, only = word.rpartition(":")
            hits = [t for t in tests if t.name == name]
        if name in SETS and not hits:
            hits = [t for t in tests if name in t.sets]
            if not hits:
                print(f"skipped: the set {name} is empty in this tree")
        elif not hits:
            near = [t.name for t in tests if word in t.name]
            sys.exit(f"run-tests: no set or test named {word}"
                     + (f"; did you mean {', '.join(near)}?" if near else "; see --list"))
        for t in hits:
            chosen[t.name] = (t, only)
    return list(chosen.values())


def arguments():
    text = "\n".join(f"  {name:12}{what}" for name, what in SETS.items())
    p = argparse.ArgumentParser(
        prog="run-tests", formatter_class=argparse.RawDescriptionHelpFormatter,
        description="Install what the tests need, build with ASan and UBSan in build-test, "
                    "run the named sets or single tests (default: the set 'default').",
        epilog=f"sets:\n{text}\n\nNAME:TEXT runs only those checks of test NAME whose names "
               "contain TEXT.\nThe last line is 'N passed, N failed'; the exit status is 0 "
               "only when nothing failed.")
    p.add_argument("what", nargs="*", default=["default"], metavar="SET|TEST[:TEXT]")
    p.add_argument("--list", action="store_true", help="name the tests and their sets; run none")
    p.add_argument("--no-install", action="store_true", help="install no package")
    p.add_argument("--no-build", action="store_true", help="take build-test as it is")
    p.add_argument("--build-dir", default="build-test", metavar="DIR",
                   help="another build folder (made with sanitizers when absent)")
    p.add_argument("--binary", metavar="FILE", help="system tests take this sallyport")
    p.add_argument("--keep", action="store_true",
                   help="keep temporary folders (under $TMPDIR) to look at")
    p.add_argument("--minutes", type=float, default=1, metavar="N",
                   help="CPU minutes for each target of the set fuzz (default 1)")
    p.add_argument("-j", "--jobs", type=int, default=min((os.cpu_count() or 1) + 1, 4), metavar="N",
                   help="tests at a time (default: one more than CPUs, four at most)")
    p.add_argument("-v", "--verbose", action="store_true", help="show all output")
    args = p.parse_args()
    if args.jobs < 1:
        p.error("--jobs needs a number from 1 on")
    return args


def build_tree(args):
    build = ROOT / args.build_dir
    if not args.no_build:
        if not (build / "build.ninja").exists():
            run_quietly("configuring", ["meson", "setup", str(build), str(ROOT),
                                        "-Db_sanitize=address,undefined"])
        if not args.list:
            run_quietly("building", ["ninja", "-C", str(build)], args.verbose)
    return build


def environment(args, build):
    env = {k: v for k, v in os.environ.items() if not k.startswith(("LC_", "LANG"))}
    env.update(
        LC_ALL="C.UTF-8", PYTHONDONTWRITEBYTECODE="1", PYTHONUNBUFFERED="1",
        ASAN_OPTIONS="detect_leaks=1:detect_stack_use_after_return=1",
        UBSAN_OPTIONS="print_stacktrace=1:halt_on_error=1",
        SALLYPORT=args.binary or binary(build), SALLYPORT_BUILD=str(build))
    return env


def main():
    args = arguments()
    # Started in the background of a script, SIGINT would be ignored by all that a test starts.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, lambda *_: (_ for _ in ()).throw(KeyboardInterrupt()))
    build = build_tree(args)
    tests = [*from_meson(build), *from_scripts(), *from_fuzzers(args)]
    if args.list:
        for t in tests:
            print(f"{t.name:38} {' '.join(sorted(t.sets))}")
        return 0

    env, total = environment(args, build), Result()
    chosen = pick(tests, args.what)
    if any("fuzz" in t.sets for t, _ in chosen) and not args.no_build:
        build_fuzzers(args.verbose)
    start = time.monotonic()
    chosen.sort(key=lambda one: -one[0].timeout)  # long ones last would run alone
    run_all(chosen, env, args, total)
    print(f"{time.monotonic() - start:.0f} s in all")
    print(f"{total.passed} passed, {total.failed} failed"
          + (f", {total.skipped} skipped" if total.skipped else ""))
    return 1 if total.failed else 0


if __name__ == "__main__":
    sys.exit(main())
