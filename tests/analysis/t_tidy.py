#!/usr/bin/python3
# sets: analysis
# timeout: 3000
"""clang-tidy with the checks of .clang-tidy has nothing to say about src/, but for what
judged/tidy.txt gives the reason of."""
from trees import *

SAID = re.compile(r"^(?P<file>/\S+?):\d+:\d+: (?:warning|error): .*\[(?P<kind>[\w.-]+)")


def tidy(path, words):
    # gcc's own options that clang does not know.
    words = [w for w in words[1:] if w != "-fstack-clash-protection"]
    done = subprocess.run(["clang-tidy", "--quiet", str(path), "--", *words], cwd=BUILD, capture_output=True,
                          text=True, timeout=900)
    check("error: unknown argument" not in done.stdout + done.stderr, done.stdout + done.stderr)
    rows = set()
    for line in done.stdout.splitlines():
        if found := SAID.match(line):
            where = Path(found["file"]).resolve()
            check(ROOT in where.parents, line)
            text = where.read_text().splitlines()[int(line.split(":")[1]) - 1].strip()
            rows.add(f"{where.relative_to(ROOT)}: {text}: {found['kind']}")
    return rows


@test("clang-tidy has nothing to say about src/ that was not read and judged")
def _():
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        said = set().union(*pool.map(lambda one: tidy(one[0], one[1]), sources()))
    compare("tidy", said)


@test("a number read without a look at what is behind it is noticed")
def _():
    with work() as tmp:
        (tmp / "bad.c").write_text("#include <stdlib.h>\nint bad(const char *s);\nint bad(const char *s)\n{\n"
                                   "    return atoi(s);\n}\n")
        done = subprocess.run(["clang-tidy", "--quiet", f"--config-file={ROOT}/.clang-tidy", tmp / "bad.c", "--"],
                              capture_output=True, text=True)
        check("cert-err34-c" in done.stdout, done.stdout + done.stderr)


run()
