#!/usr/bin/python3
# sets: default
# timeout: 120
"""bench/compare: medians, ratios, targets and the chart of runs that are known, and what
it says of itself.  That every scenario works is in t_compare_long.py."""
import json, re
import xml.dom.minidom
from harness import *

COMPARE = ROOT / "bench/compare"


def runs(key, *values, **more):
    return [{key: v, **more} for v in values]


# Numbers chosen so that each answer can be worked out by hand.
KEPT = {
    "facts": "A machine.", "scale": 100, "notes": ["a note"], "checks": {"postfix": "clear", "nobody": "x"},
    "results": [
        ["A", "sallyport", [{"rate": r, "cpu_ms": c, "p50": 1, "p99": 7.5, "pss": 100, "load": 1.5, "roles": {"queue": c / 2}}
                            for r, c in ((9000, 0.1), (12000, 0.08), (10000, 0.2))]],
        ["A", "postfix", runs("rate", 900, 1000, 1100, cpu_ms=1.0, load=3)],
        ["A", "exim", runs("rate", 1250, cpu_ms=1.5)],
        ["A", "opensmtpd", runs("rate", 2500, 2500, cpu_ms=0.5)],
        ["A", "bare sink", runs("rate", 20000, cpu_ms=0.05)],
        ["F", "sallyport", runs("mb", 300, peak=60)],
        ["F", "postfix", runs("mb", 200, peak=90)],
        ["F", "the disk", runs("mb", 250)],
        ["F small", "sallyport", runs("peak", 40)],
        ["H", "the disk", runs("flush", 5)],
        ["H", "sallyport", runs("rate", 6000)],
        ["J 10,000 queued", "sallyport", runs("cpu_ms", 0.2)],
        ["J 1,000,000 queued", "sallyport", runs("cpu_ms", 0.3)],
        ["T", "sallyport", [{"messages": 20, "syncs": 20, "files": {"spool.db-wal": 20}}]],
        ["T", "postfix", [{"messages": 20, "syncs": 40, "files": {"incoming/*": 40}}]],
        ["T", "exim", [{"messages": 20, "syncs": 60, "files": {}}]],
        ["T", "opensmtpd", [{"messages": 20, "syncs": 0, "files": {}}]],
    ],
}


def report(kept):
    with work() as tmp:
        (tmp / "kept.json").write_text(json.dumps(kept))
        return call([COMPARE, "--from", tmp / "kept.json"])


def row(text, *begin):
    """The cells of the table row that begins with these."""
    for line in text.splitlines():
        cells = [c.strip() for c in line.strip("|").split("|")]
        if cells[:len(begin)] == list(begin):
            return cells
    raise Failed(f"no row {begin} in\n{text}")


@test("a cell is the median, with the range when there were several runs")
def _():
    text = report(KEPT)
    got = row(text, "sallyport", "3")
    check(got[2:] == ["10,000 (9,000–12,000)", "0.100 (0.080–0.200)", "1.00 (1.00–1.00)", "7.50 (7.50–7.50)",
                      "100 (100–100)"], str(got))
    got = row(text, "exim", "1")
    check(got[2:] == ["1,250", "1.500", "–", "–", "–"], str(got))
    check("to 3.0." in text and "1.5" in text, "the load is not told")
    check("by role, ms: queue 0.050" in text, "the roles are not told")
    check("- a note" in text and "password of postfix: clear" in text and "nobody" not in text, "notes")


@test("ratios are of medians, to Postfix, to the best durable one and to the bare sink")
def _():
    text = report(KEPT)
    check(row(text, "**sallyport to postfix**")[2:4] == ["**10.0×**", "**1/10.0**"], text)
    check(row(text, "**sallyport to exim**")[2:4] == ["**8.0×**", "**1/15.0**"], text)
    check(row(text, "**sallyport to bare sink**")[2:4] == ["**1/2.0**", "**2.0×**"], text)


@test("a server that does not sync before its 250 is named so, and is not the best durable one")
def _():
    text = report(KEPT)
    check(row(text, "opensmtpd", "20")[-1] == "**no**" and row(text, "exim", "20")[-1] == "yes", text)
    check(row(text, "opensmtpd (not durable)", "2")[2] == "2,500 (2,500–2,500)", text)
    check("sallyport to opensmtpd" not in text, "compared as if it were durable")
    kept = json.loads(json.dumps(KEPT))
    kept["results"] = [r for r in kept["results"] if r[:2] != ["T", "opensmtpd"]]
    check("**sallyport to opensmtpd**" in report(kept), "with a run that was not traced nothing is known")
    kept["results"].append(["T", "postfix", [{"messages": 20, "syncs": 19, "files": {}}]])
    check("postfix (not durable)" in report(kept), "19 syncs for 20 messages are one too few")


@test("targets stand beside what was reached, also when it was not")
def _():
    text = report(KEPT)

    def target(work, what):
        return row(text, work, what)[2:]
    check(target("A", "rate to Postfix") == ["≥ 9×", "10×", "yes"], text)
    check(target("A", "rate to the fastest of all (opensmtpd)") == ["≥ 5×", "4×", "**no**"], text)
    check(target("A′", "server CPU a message") == ["≤ 0.09 ms", "0.1 ms", "**no**"], text)
    check(target("A″", "p99 from dot to 250") == ["≤ 8 ms", "7.5 ms", "yes"], text)
    # 1.8 × 200 is 360, the disk can only do 250
    check(target("F", "rate to 1.8 × the best, or to the disk's") == ["≥ 1×", "1.2×", "yes"], text)
    check(target("F", "peak memory to that with a tenth of the size") == ["≤ 1.1×", "1.5×", "**no**"], text)
    # 50 in flight, 5 ms a flush: 10,000 a second
    check(target("H", "rate to in flight ÷ flush time") == ["≥ 0.6×", "0.6×", "yes"], text)
    check(target("J", "CPU, 1,000,000 queued to 10,000") == ["≤ 1.25×", "1.5×", "**no**"], text)
    check("G" not in [line.split("|")[1].strip() for line in text.splitlines() if line.startswith("| ")],
          "a target without a measurement")


@test("a trial with less work says so")
def _():
    check("trial with 1 %" in report({**KEPT, "scale": 1}) and "trial" not in report(KEPT), "not said")


@test("the chart is well-formed, names everybody, and has colours for light and dark")
def _():
    sys.path.insert(0, str(ROOT / "bench"))
    from report import Report
    chart = Report(KEPT).chart()
    xml.dom.minidom.parseString(chart)
    check(chart.count("<rect") == 10 and "prefers-color-scheme:dark" in chart, chart)
    check("opensmtpd (not durable)" in chart and "bare sink" in chart, chart)
    longest = re.search(r'<rect class="sink" x="200" y="\d+" width="([\d.]+)"', chart)[1]
    ours = re.search(r'<rect class="us" x="200" y="\d+" width="([\d.]+)"', chart)[1]
    check(float(longest) == 2 * float(ours), f"{ours} of {longest}: 10,000 beside 20,000")


@test("a trace counts the syncs that succeeded, whole or in two lines")
def _():
    sys.path.insert(0, str(ROOT / "bench"))
    from measure import Syncs
    s = Syncs(0, "/nonexistent")
    s.read("1 fsync(3</s/incoming/A/4A3F0C2D11>) = 0\n"
           "2 fdatasync(4</d/spool.db-wal> <unfinished ...>\n1 fsync(3</s/incoming/B/5B3F0C2D12>) = -1 EIO (x)\n"
           "2 <... fdatasync resumed>)        = 0\n3 --- SIGCHLD ---\n")
    check(s.done == 2, f"{s.done} succeeded")
    check(s.files == {"incoming/*": 2, "spool.db-wal": 1}, str(s.files))


@test("compare knows its options and refuses others")
def _():
    text = call([COMPARE, "--help"])
    check(all(f"  {letter}  " in text for letter in "ABCDEFGHIJST"), text)
    check("usage" in call([COMPARE, "--fast"], ok=(2,)), "an unknown option")
    with work() as tmp:
        call([COMPARE, "--from", tmp / "none"], ok=(1,))


run()
