#!/usr/bin/python3
# sets: analysis
# timeout: 3000
"""How much of each folder of src/ the unit tests run, by line and by branch, printed; the
protocol engines (src/smtp) above 95 % of their lines.  (The roles of src/daemon, the commands
and the prober are run by the system tests, as processes that may write no file.)"""
from trees import *

LINES = {"smtp": 95}  # percent, at least


def measured(build):
    for old in build.rglob("*.gcda"):
        old.unlink()
    for name, argv, folder, env in unit_tests(build):
        done = subprocess.run(argv, cwd=folder, env=env, capture_output=True, timeout=900)
        check(done.returncode == 0, f"{name}: {done.stdout[-2000:].decode(errors='replace')}")
    out = build / "coverage.json"
    call(["gcovr", "--root", ROOT, "--object-directory", build, "--filter", f"{ROOT}/src/", "--json-summary", out,
          "--exclude-throw-branches", "--gcov-ignore-parse-errors", build], seconds=1200)
    return json.loads(out.read_text())["files"]


@test("what the unit tests run of each folder, and nearly all of the protocol")
def _():
    folders = {}
    for f in measured(tree("coverage", "--buildtype=debug", "-Db_coverage=true")):
        row = folders.setdefault(f["filename"].split("/")[1], [0, 0, 0, 0])
        for i, key in enumerate(("line_covered", "line_total", "branch_covered", "branch_total")):
            row[i] += f[key]
    print(f"{'folder':10}{'lines':>16}{'':>8}{'branches':>16}")
    for name, (l, ls, b, bs) in sorted(folders.items()):
        print(f"{name:10}{l:8}/{ls:<7}{100 * l / max(ls, 1):7.1f} %{b:8}/{bs:<7}{100 * b / max(bs, 1):7.1f} %")
    low = [f"src/{n}: {100 * folders[n][0] / folders[n][1]:.1f} % of {folders[n][1]} lines"
           for n, least in LINES.items() if 100 * folders[n][0] < least * folders[n][1]]
    check(len(folders) > 10, f"only {sorted(folders)}")
    check(not low, "\n".join(low))


run()
