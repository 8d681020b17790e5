"""What the tests of the set `analysis` share: builds of their own, in build-NAME, and the
compiler's command for each source file.  They are kept: the next run builds only changes."""
import json, os, shlex, sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "system"))
from harness import *

ROOT = Path(__file__).resolve().parent.parent.parent
BUILD = Path(os.environ.get("SALLYPORT_BUILD", ROOT / "build-test"))


def tree(name, *options):
    build = ROOT / f"build-{name}"
    if not (build / "build.ninja").exists():
        call(["meson", "setup", build, ROOT, *options], seconds=300)
    call(["ninja", "-C", build], seconds=3000)
    return build


def unit_tests(build, *folders):
    """(name, argv, folder to run in, environment) of Meson's unit tests in C, of these folders of
    tests/ or of all.  (Scripts look at the build itself, which is another one here.)"""
    for t in json.loads(call(["meson", "introspect", "--tests", build])):
        path = Path(t["cmd"][0])
        if any(s.endswith("unit") for s in t["suite"]) and build in path.parents and \
                (not folders or path.parent.name in folders):
            yield t["name"], t["cmd"], t["workdir"] or build, {**os.environ, **t["env"]}


def sources():
    """(file, the compiler's words for it without output and sanitizers) of everything in src/."""
    seen = set()  # some are compiled twice, for the program and for the library
    for entry in json.loads((BUILD / "compile_commands.json").read_text()):
        path = (Path(entry["directory"]) / entry["file"]).resolve()
        if ROOT / "src" not in path.parents or path in seen:
            continue
        seen.add(path)
        words, kept = iter(shlex.split(entry["command"])), []
        for w in words:
            if w in ("-MQ", "-MF", "-o", "-c"):
                next(words)
            elif w not in ("ccache", "-MD", "-g") and not w.startswith("-fsanitize"):
                kept.append(w)
        yield path, kept, entry["directory"]


def judged(name):
    """{line: reason} of judged/NAME.txt: reports that were read and found to be wrong."""
    found, reason = {}, ""
    for line in (Path(__file__).parent / "judged" / f"{name}.txt").read_text().splitlines():
        if line.startswith("#"):
            reason = line[1:].strip()
        elif line.strip():
            found[line.strip()] = reason
    return found


def compare(name, said, *folders):
    """said: the set of reports, each "file: function: kind".  New ones fail; so do rows about nothing."""
    known = {row: why for row, why in judged(name).items() if not folders or row.split("/")[1] in folders}
    new, gone = sorted(set(said) - set(known)), sorted(set(known) - set(said))
    check(not new, "new: read it, then mend the code or add it to judged/ with the reason:\n" + "\n".join(new))
    check(not gone, "no longer said: take it from judged/:\n" + "\n".join(gone))
    check(all(known.values()), "a row without a reason above it")


# ---- gcc -fanalyzer: t_analyzer.py everywhere, t_static.py where strangers' octets are read ----

SAID = re.compile(r"^(?P<file>\S+?):\d+:\d+: warning: .*\[-W(?P<kind>analyzer-[a-z-]+)\]$")
INSIDE = re.compile(r"^\S+?: In function [‘'](?P<function>\w+)[’']:$")


def analyse(path, words, folder):
    """What gcc says about one file, as rows of judged/."""
    done = subprocess.run([*words, "-fanalyzer", "-fdiagnostics-path-format=none", "-fno-diagnostics-show-caret",
                           "-fdiagnostics-color=never", "-S", "-o", "/dev/null", str(path)],
                          cwd=folder, capture_output=True, text=True, timeout=900)
    check(done.returncode == 0, done.stderr)
    function, rows = "", set()
    for line in done.stderr.splitlines():
        if found := INSIDE.match(line):
            function = found["function"]
        elif found := SAID.match(line):
            where = (Path(folder) / found["file"]).resolve().relative_to(ROOT)
            rows.add(f"{where}: {function}: {found['kind']}")
    return rows


def analysed(*folders):
    """Rows of judged/ about all of src/, or about these folders of it."""
    wanted = [s for s in sources() if not folders or s[0].relative_to(ROOT).parts[1] in folders]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return set().union(*pool.map(lambda one: analyse(*one), wanted))
