#!/usr/bin/python3
"""Run the fuzz targets with libFuzzer: fuzz.py run NAME --minutes N --build DIR.

    fuzz.py list                         the targets
    fuzz.py unpack NAME FOLDER           the committed seeds as files, for any fuzzer
    fuzz.py run NAME [--minutes N] [--seed S] [--build DIR]

What a run learns is kept outside the tree, below $SALLYPORT_FUZZ (default:
~/.cache/sallyport-fuzz): NAME/corpus grows from sitting to sitting, NAME/crashes holds
inputs that broke something.  A run prints its seed; its last line is "N passed, N failed".
"""
import argparse, hashlib, os, re, resource, subprocess, sys, time
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
ESCAPES = {"r": b"\r", "n": b"\n", "t": b"\t", "0": b"\0"}
ENOUGH = 5  # crashes of one target, after which there is work to do


def home(name):
    top = os.environ.get("SALLYPORT_FUZZ") or Path.home() / ".cache" / "sallyport-fuzz"
    return Path(top) / name


def targets():
    rows = re.search(r"fuzz_targets = \[(.*?)\]", (HERE / "meson.build").read_text(), re.S)
    return re.findall(r"'([a-z_]+)'", rows[1])


def unescape(line):
    """The octets of one line of a .seeds file (the same rules as in fz_main.c)."""
    def octets(m):
        if m[1]:
            return bytes([int(m[1], 16)])
        return ESCAPES.get(m[2].decode("latin-1"), m[2])
    return re.sub(rb"\\(?:x([0-9a-f]{2})|(.))", octets, line, flags=re.S)


def seeds(name):
    path = HERE / "seeds" / f"{name}.seeds"
    for line in path.read_bytes().split(b"\n"):
        if not line.startswith(b"#"):
            yield unescape(line)


def unpack(name, folder):
    folder.mkdir(parents=True, exist_ok=True)
    for octets in seeds(name):
        (folder / hashlib.sha1(octets).hexdigest()).write_bytes(octets)


def cpu():
    t = resource.getrusage(resource.RUSAGE_CHILDREN)
    return t.ru_utime + t.ru_stime


def one_sitting(name, program, *options):
    """libFuzzer with these options until they end it or something breaks: its result, the
    last line of its statistics, and its output."""
    corpus, crashes = home(name) / "corpus", home(name) / "crashes"
    dictionary = HERE / "dict" / f"{name}.dict"
    argv = [str(program), *options,
            "-timeout=20", "-rss_limit_mb=2048", "-print_final_stats=1",
            f"-artifact_prefix={crashes}/", str(corpus)]
    if dictionary.exists() and dictionary.read_text().strip():
        argv.insert(1, f"-dict={dictionary}")
    env = {**os.environ, "ASAN_OPTIONS": "detect_leaks=1:detect_stack_use_after_return=1",
           "UBSAN_OPTIONS": "print_stacktrace=1:halt_on_error=1"}
    done = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, errors="replace", env=env)
    return done.returncode, done.stdout


def tell(program, text):
    """What broke, and how to see it again."""
    print("\n".join(text.splitlines()[-60:]))
    saved = re.findall(r"Test unit written to (\S+)", text)
    for path in saved:
        print(f"kept: {path}\nagain: {program} {path}")
    return saved


def run(name, minutes, seed, build):
    program = build / "tests" / "fuzz" / f"fuzz_{name}"
    if not program.exists():
        print(f"{program} is missing: meson setup {build} -Dfuzz=true with clang")
        print("0 passed, 1 failed")
        return 1
    unpack(name, home(name) / "corpus")
    (home(name) / "crashes").mkdir(exist_ok=True)
    print(f"{name}: seed {seed}, {minutes} CPU minutes", flush=True)
    failures, inputs, sittings, last = 0, 0, 0, ""
    began, start = time.monotonic(), cpu()
    # libFuzzer counts wall time; on a busy machine that is not the CPU time asked for.
    while (left := minutes * 60 - (cpu() - start)) > 1 and failures < ENOUGH:
        # Leaks are looked for behind the run: during it they cost most of the time.
        rc, text = one_sitting(name, program, f"-seed={seed + sittings}", "-detect_leaks=0",
                               f"-max_total_time={max(1, int(left))}")
        sittings += 1
        inputs += sum(map(int, re.findall(r"number_of_executed_units: (\d+)", text)))
        last = (re.findall(r"cov: \d+ ft: \d+ corp: \S+", text) or [last])[-1]
        if rc:
            failures += 1
            if not tell(program, text):
                break
    if not failures:
        rc, text = one_sitting(name, program, "-runs=0")
        if rc:
            failures += 1
            tell(program, text)
    print(f"noted: seed {seed}, {cpu() - start:.0f} s CPU, {time.monotonic() - began:.0f} s, "
          f"{inputs} inputs, {last}")
    print(f"{0 if failures else 1} passed, {failures} failed")
    return 1 if failures else 0


def main():
    p = argparse.ArgumentParser(description="libFuzzer over Sallyport's targets")
    p.add_argument("what", choices=["list", "unpack", "run"])
    p.add_argument("name", nargs="?")
    p.add_argument("folder", nargs="?", type=Path)
    p.add_argument("--minutes", type=float, default=1)
    p.add_argument("--seed", type=int, default=int(time.time()) % 1000000007)
    p.add_argument("--build", type=Path, default=ROOT / "build-fuzz")
    a = p.parse_args()
    if a.what == "list":
        print("\n".join(targets()))
        return 0
    if a.name not in targets():
        p.error(f"no target {a.name}; there are {', '.join(targets())}")
    if a.what == "unpack":
        if not a.folder:
            p.error("unpack wants a folder")
        unpack(a.name, a.folder)
        return 0
    return run(a.name, a.minutes, a.seed, a.build)


if __name__ == "__main__":
    sys.exit(main())
