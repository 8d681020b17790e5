"""report.py - from runs to medians, ranges, ratios, targets and the chart.

Pure but for facts() and write(): {"results": [[scenario, server, [run ...]] ...], ...} in,
text out, so that a test can check the arithmetic (tests/system/t_compare.py).
"""
import os, platform, re, statistics, time
from pathlib import Path

from harness import ROOT, Failed, call

REPORT, CHART = ROOT / "doc/performance.md", ROOT / "doc/performance.svg"
BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"
OURS, COLD, SINK, DISK = "sallyport", "sallyport, cold", "bare sink", "the disk"
SYNCED = "bare durable sink"
NO_PEERS = (OURS, COLD, SINK, SYNCED, DISK)

# key: (head, decimals, whether more is better)
COLUMNS = {
    "rate": ("a second", 0, True), "mb": ("MB/s", 0, True), "cpu_ms": ("server CPU, ms each", 3, False),
    "p50": ("p50, ms", 2, False), "p99": ("p99, ms", 2, False), "pss": ("PSS, MB", 0, False),
    "peak": ("peak PSS, MB", 0, False), "each_kb": ("kB a session", 1, False),
    "whole_mb": ("PSS, MB", 0, False), "start_ms": ("ms", 0, False), "flush": ("ms a flush", 2, False),
}
SHOWN = {  # columns of a scenario, its first word decides
    "A": "rate cpu_ms p50 p99 pss", "B": "rate cpu_ms p50 p99 pss", "C": "rate cpu_ms pss",
    "D": "rate cpu_ms", "E": "each_kb whole_mb", "F": "mb cpu_ms peak", "G": "rate cpu_ms p50 p99",
    "H": "rate cpu_ms p50 p99 flush", "I": "start_ms", "J": "cpu_ms rate", "S": "rate",
}
TITLES = {
    "A": "10 KB, STARTTLS, AUTH PLAIN, 50 connections × 100 messages",
    "B": "the same with one message a connection", "C": "TLS and login only",
    "D": "accepted, queued, relayed to a sink until the queue is empty",
    "E": "idle sessions, TLS, logged in: PSS of all processes", "F": "50 MB messages on one connection",
    "G": "one connection, one message at a time", "H": "A on a disk that is 4 ms slower a flush",
    "I": "cold start to the first 220", "J": "growth",
    "S": "`sallyport bench` beside smtp-source: in clear, no pipelining",
}


def median(runs, key):
    values = [r[key] for r in runs if key in r]
    return statistics.median(values) if values else None


def cell(runs, key):
    values = [r[key] for r in runs if key in r]
    if not values:
        return "–"
    digits = COLUMNS[key][1]
    text = f"{statistics.median(values):,.{digits}f}"
    return text + (f" ({min(values):,.{digits}f}–{max(values):,.{digits}f})" if len(values) > 1 else "")


def times(mine, other):
    """How many times of the other's: 2.0×, or 1/3.1 where that reads better."""
    if not mine or not other:
        return "–"
    return f"{mine / other:.1f}×" if mine >= other else f"1/{other / mine:.1f}"


class Report:
    def __init__(self, kept):
        self.kept = kept
        self.results = {(letter, server): runs for letter, server, runs in kept["results"]}
        self.works = list(dict.fromkeys(letter for letter, _ in self.results))

    def servers(self, work):
        return [server for letter, server in self.results if letter == work]

    def m(self, work, server, key):
        """A median, or None."""
        return median(self.results.get((work, server), []), key)

    # ---- durable or not ----

    def durable(self, server):
        """True, False, or None: it was not traced.  One message at a time, so that no two
        can share a sync."""
        runs = self.results.get(("T", server))
        return all(r["syncs"] >= r["messages"] for r in runs) if runs else None

    def label(self, server):
        return server + (" (not durable)" if self.durable(server) is False else "")

    def best(self, work, key, durable=True):
        """(its name, its median) of the best peer; only durable ones unless told otherwise."""
        found = [(self.m(work, s, key), s) for s in self.servers(work)
                 if s not in NO_PEERS and not (durable and self.durable(s) is False)]
        found = [(v, s) for v, s in found if v is not None]
        if not found:
            return None, None
        value, server = (max if COLUMNS[key][2] else min)(found)
        return server, value

    # ---- tables ----

    def table(self, work):
        keys = [k for k in SHOWN[work[0]].split() if any(k in r for s in self.servers(work) for r in self.results[work, s])]
        lines = ["| server | runs | " + " | ".join(COLUMNS[k][0] for k in keys) + " |",
                 "|---|---|" + "---|" * len(keys)]
        for s in self.servers(work):
            runs = self.results[work, s]
            lines.append(f"| {self.label(s)} | {len(runs)} | " + " | ".join(cell(runs, k) for k in keys) + " |")
        for other in dict.fromkeys(["postfix", *(self.best(work, k)[0] for k in keys), SINK, SYNCED]):
            if other and (work, OURS) in self.results and (work, other) in self.results:
                lines.append(f"| **sallyport to {other}** | | " + " | ".join(
                    f"**{times(self.m(work, OURS, k), self.m(work, other, k))}**" for k in keys) + " |")
        return "\n".join(lines)

    def traced(self):
        lines = ["| server | messages | syncs | a message | on | durable |", "|---|---|---|---|---|---|"]
        for s in self.servers("T"):
            for r in self.results["T", s]:
                files = ", ".join(f"`{name}` {n}" for name, n in r["files"].items()) or "–"
                lines.append(f"| {s} | {r['messages']} | {r['syncs']} | {r['syncs'] / r['messages']:.2f} | {files} | "
                             f"{'yes' if self.durable(s) else '**no**'} |")
        return "\n".join(lines)

    # ---- targets ----

    def ratio_of(self, work, key, other, other_key=None):
        mine, theirs = self.m(work, OURS, key), self.m(work, other, other_key or key) if other else None
        return mine / theirs if mine is not None and theirs else None

    def growth(self, what):
        """CPU at the largest number over that at the second largest."""
        works = [w for w in self.works if re.fullmatch(rf"J [\d,]+ {what}", w)]
        works.sort(key=lambda w: int(w.split()[1].replace(",", "")))
        return self.m(works[-1], OURS, "cpu_ms") / self.m(works[-2], OURS, "cpu_ms") if len(works) > 1 else None

    def slow_disk(self):
        flush, rate = self.m("H", DISK, "flush"), self.m("H", OURS, "rate")
        return rate / (50 / (flush / 1000)) if flush and rate else None

    def large(self):
        """1.8 times the best, or the disk's own rate if that is lower: what part of it."""
        _, best = self.best("F", "mb")
        disk, mine = self.m("F", DISK, "mb"), self.m("F", OURS, "mb")
        return mine / min(x for x in (best and 1.8 * best, disk) if x) if mine and (best or disk) else None

    def targets(self):
        """(work, what, at least or at most, wanted, unit, reached or None)"""
        best = {w: self.best(w, "rate")[0] for w in "ABD"}
        fastest = self.best("A", "rate", durable=False)[0]
        peaks = [self.m(w, OURS, "peak") for w in ("F", "F small")]
        rows = [
            ("A", "rate to Postfix", ">=", 9, "×", self.ratio_of("A", "rate", "postfix")),
            ("A", f"rate to the fastest of all ({fastest or 'none'})", ">=", 5, "×", self.ratio_of("A", "rate", fastest)),
            ("A′", "server CPU a message", "<=", 0.09, " ms", self.m("A", OURS, "cpu_ms")),
            ("A″", "p99 from dot to 250", "<=", 8, " ms", self.m("A", OURS, "p99")),
            ("B", f"rate to the best durable one ({best['B'] or 'none'})", ">=", 1.8, "×",
             self.ratio_of("B", "rate", best["B"])),
            ("B", "rate to the bare sink (reported; CPU judges)", ">=", 0.9, "×", self.ratio_of("B", "rate", SINK)),
            ("C", "server CPU a session", "<=", 0.36, " ms", self.m("C", OURS, "cpu_ms")),
            ("C", "rate to the bare sink (reported; CPU judges)", ">=", 0.85, "×", self.ratio_of("C", "rate", SINK)),
            ("D", f"rate to the best ({best['D'] or 'none'})", ">=", 5, "×", self.ratio_of("D", "rate", best["D"])),
            ("E", "memory a session", "<=", 24, " kB", self.m("E", OURS, "each_kb")),
            ("E", "all of 10,000 sessions", "<=", 260, " MB", self.m("E many", OURS, "whole_mb")),
            ("F", "rate to 1.8 × the best, or to the disk's", ">=", 1, "×", self.large()),
            ("F", "peak memory to that with a tenth of the size", "<=", 1.1, "×",
             peaks[0] / peaks[1] if all(peaks) else None),
            ("G", "p50 from dot to 250", "<=", 0.5, " ms", self.m("G", OURS, "p50")),
            ("H", "rate to in flight ÷ flush time", ">=", 0.6, "×", self.slow_disk()),
            ("I", "empty queue", "<=", 30, " ms", self.m("I", OURS, "start_ms")),
            ("I", "100,000 queued", "<=", 2000, " ms", self.m("I full", OURS, "start_ms")),
            ("J", "CPU, 1,000,000 queued to 10,000", "<=", 1.25, "×", self.growth("queued")),
            ("J", "CPU, 10,000 connections to 100", "<=", 1.25, "×", self.growth("connections")),
        ]
        return [r for r in rows if r[5] is not None]

    def target_table(self):
        lines = ["| work | what | target | measured | reached |", "|---|---|---|---|---|"]
        for work, what, sign, wanted, unit, got in self.targets():
            ok = got >= wanted if sign == ">=" else got <= wanted
            lines.append(f"| {work} | {what} | {'≥' if sign == '>=' else '≤'} {wanted:g}{unit} | {got:.3g}{unit} | "
                         f"{'yes' if ok else '**no**'} |")
        return "\n".join(lines)

    # ---- notes ----

    def roles(self):
        """Where our CPU time goes."""
        notes = []
        for (work, server), runs in self.results.items():
            if server == OURS and "roles" in runs[0]:
                names = dict.fromkeys(role for r in runs for role in r["roles"])
                medians = {n: statistics.median(r["roles"].get(n, 0) for r in runs) for n in names}
                notes.append(f"sallyport's CPU in {work} by role, ms: " + ", ".join(
                    f"{n} {ms:.3f}" for n, ms in medians.items() if ms >= 0.0005))
        return notes

    def head(self):
        loads = [r["load"] for runs in self.results.values() for r in runs if "load" in r]
        lines = [self.kept["facts"]]
        if loads:
            lines.append(f"Load average while measuring (the benchmark's own included): {min(loads):.1f} to {max(loads):.1f}.")
        if self.kept["scale"] != 100:
            lines.append(f"**A trial with {self.kept['scale']:g} % of the work: its numbers mean little.**")
        return "\n".join(lines)

    def text(self):
        parts = [self.head()]
        if self.targets():
            parts += ["### What was aimed at, and what was reached", self.target_table()]
        if self.servers("T"):
            parts += ["### Durable: one message at a time, traced", self.traced()]
        for work in self.works:
            if work[0] in SHOWN:
                title = TITLES[work[0]] if work == work[0] else {"E many": "more idle sessions", "I full": "cold start, messages queued",
                                                                 "F small": "a tenth of the size"}.get(work, work[2:])
                parts += [f"### {work[0]}. {title}", self.table(work)]
        checks = [f"password of {name}: {how}" for name, how in self.kept.get("checks", {}).items()
                  if any(s == name for _, s in self.results)]
        notes = self.kept.get("notes", []) + self.roles() + checks
        if notes:
            parts.append("\n".join(f"- {n}" for n in notes))
        return "\n\n".join(parts) + "\n"

    # ---- the chart ----

    def chart(self):
        """Rates in A, B, C, D beside each other, the server CPU below: one SVG, no library.
        The colours follow the reader's (prefers-color-scheme); the background is none."""
        panels = [(w, k) for k in ("rate", "cpu_ms") for w in "ABCDG" if any(
            self.m(w, s, k) for s in self.servers(w))]
        out, y, width = [], 34, 720
        for work, key in panels:
            bars = [(s, self.m(work, s, key)) for s in self.servers(work) if self.m(work, s, key)]
            top = max(v for _, v in bars)
            out.append(f'<text class="h" x="10" y="{y}">{work}. {xml(COLUMNS[key][0])} '
                       f'({"more" if COLUMNS[key][2] else "less"} is better): {xml(TITLES[work])}</text>')
            for server, value in bars:
                y += 20
                low, high = (f([r[key] for r in self.results[work, server] if key in r]) for f in (min, max))
                long, span = 400 * value / top, 400 / top
                kind = "us" if server == OURS else "cold" if server == COLD else "sink" if server in (SINK, SYNCED) else "peer"
                out.append(f'<text x="190" y="{y}" text-anchor="end">{xml(self.label(server))}</text>'
                           f'<rect class="{kind}" x="200" y="{y - 11}" width="{max(long, 1):.1f}" height="13" rx="2"/>'
                           f'<path class="range" d="M{200 + low * span:.1f} {y - 4.5}H{min(200 + high * span, width - 70):.1f}"/>'
                           f'<text x="{208 + min(max(long, high * span), 430):.1f}" y="{y}">{value:,.{COLUMNS[key][1]}f}</text>')
            y += 36
        style = ("text{font:12px sans-serif;fill:#24292f}.h{font-weight:bold}.us{fill:#1a7f37}.cold{fill:#4ac26b}"
                 ".peer{fill:#8c959f}.sink{fill:#c9a227}.range{stroke:#24292f;stroke-width:1.5;fill:none}"
                 "@media(prefers-color-scheme:dark){text{fill:#e6edf3}.us{fill:#3fb950}.cold{fill:#2ea04380}"
                 ".peer{fill:#6e7681}.sink{fill:#bb8009}.range{stroke:#e6edf3}}")
        return (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {y}" width="{width}" height="{y}" role="img">'
                f"<title>Sallyport beside others: medians, with the range of all runs</title><style>{style}</style>"
                + "\n".join(out) + "</svg>\n")


def xml(text):
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def facts():
    cpu = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    memory = int(re.search(r"MemTotal:\s+(\d+)", Path("/proc/meminfo").read_text())[1]) / 2**20
    source = ["src", "include", "meson.build"]
    commit = call(["git", "-C", ROOT, "log", "-1", "--format=%h", "--", *source]).strip()
    dirty = call(["git", "-C", ROOT, "status", "--porcelain", "--", *source]).strip()
    disk = call(["stat", "-f", "-c", "%T", os.environ.get("TMPDIR", "/tmp")]).strip()
    return (f"Source of commit {commit}{' with changes' if dirty else ''}, {os.cpu_count()} CPUs "
            f"({cpu[1] if cpu else platform.machine()}), {memory:.0f} GB of memory, {disk}, "
            f"Linux {platform.release().split('-')[0]}, {time.strftime('%Y-%m-%d')}.")


def write(report):
    """Into the document, the chart beside it."""
    whole = REPORT.read_text()
    head, _, rest = whole.partition(BEGIN)
    _, end, tail = rest.partition(END)
    if not end:
        raise Failed(f"{REPORT} has no {BEGIN} … {END}")
    REPORT.write_text(f"{head}{BEGIN}\n![medians and ranges](performance.svg)\n\n{report.text()}{END}{tail}")
    CHART.write_text(report.chart())
