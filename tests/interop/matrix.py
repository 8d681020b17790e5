#!/usr/bin/python3
"""matrix.py - the matrix of real peers: runs its cells, keeps what they gave in one file,
and makes doc/interoperability.md of that.

A test file of one side ("clients": others' programs submit to our server; "servers": our
client submits to others' servers) declares its peers and their cells and runs them:

    # sets: peers
    # timeout: 3000
    from matrix import *            # and all of tests/system/harness.py with it

    m = Matrix("clients")

    @m.peer("msmtp")                # a context manager: starts what the cells need
    @contextlib.contextmanager
    def _():
        with work() as tmp, server(tmp) as srv:
            yield SimpleNamespace(srv=srv, version="1.8.23-1")

    @m.cell("msmtp", "password", "STARTTLS")        # peer, row, column
    def _(p, n):                    # p: what the peer yields; n: the run, from 1
        ...one submission; raise Failed when it is not as it must be...
        return "SCRAM-SHA-256"      # what was seen, a few words: stands in the cell

    @m.cell("msmtp", "wrong password", "STARTTLS", want="refused")
    def _(p, n):                    # raises Failed when the mail arrives all the same
        ...
        return "535 5.7.8"

    @m.cell("Postfix", "EXTERNAL", "STARTTLS", cannot="no mechanism available")
    def _(p, n):                    # runs too: must fail, with these words of the peer's
        ...

    m.none("git", "certificate", "STARTTLS", "no option for a client certificate")
    m.run()

A cell runs RUNS times and passes when each run does.  Cells of one peer run one after the
other in the order they were declared, several peers at a time (so declare no state that
two peers share).  p.version is the peer's name and version as its packages say it; every
row of the peer shows it.  A harness.Skipped out of the peer's context manager skips its
cells, and leaves what an earlier run found.

m.run() takes the words of the command line as harness.run() does.  A run of everything
replaces all that is known of its side, a run with words only the cells that ran.  Results
stand in doc/interoperability.json, one line a cell; `matrix.py` makes the document of
them again and `matrix.py --check` says whether it is theirs.
"""
import concurrent.futures, contextlib, json, os, re, signal, sys, threading, time, traceback
from pathlib import Path
from types import SimpleNamespace

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "system"))
from harness import *
from harness import ROOT, SALLYPORT, Failed, Skipped, call, work
import marks

RUNS = 5
AT_A_TIME = 2
RESULTS = ROOT / "doc/interoperability.json"
DOCUMENT = ROOT / "doc/interoperability.md"
WANTS = ("delivered", "refused", "cannot", "none")


class Matrix:
    def __init__(self, side, runs=RUNS):
        assert side in SIDES
        self.side, self.runs = side, runs
        self.starts, self.cells = {}, []

    def peer(self, name):
        def add(start):
            self.starts[name] = start
            return start
        return add

    def cell(self, peer, row, column, want="delivered", cannot=None):
        """cannot: words that the peer itself says when it cannot do this."""
        def add(function):
            self._add(peer, row, column, "cannot" if cannot else want, function, cannot)
            return function
        return add

    def none(self, peer, row, column, why):
        """A cell that cannot be tried: the peer has no such option."""
        self._add(peer, row, column, "none", None, why)

    def _add(self, peer, row, column, want, function, words):
        assert want in WANTS and peer in self.starts, (peer, want)
        assert not any((c.peer, c.row, c.column) == (peer, row, column) for c in self.cells), \
            (peer, row, column)
        self.cells.append(SimpleNamespace(peer=peer, row=row, column=column, want=want,
                                          function=function, words=words,
                                          name=f"{peer}, {row}, {column}"))

    # ---- running ----

    def run(self):
        """Run the cells (or those whose names contain argv[1]; -l lists them) and exit."""
        only = sys.argv[1] if len(sys.argv) > 1 else ""
        if only == "-l":
            print("\n".join(c.name for c in self.cells))
            sys.exit(0)
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that "with" blocks end
        chosen = [c for c in self.cells if only in c.name]
        version = our_version()  # of this moment: the tree may move on during the run
        began = time.monotonic()
        self.lock, self.counts, self.records = threading.Lock(), [0, 0, 0], []
        self.stopping = False
        peers = list(dict.fromkeys(c.peer for c in chosen))
        with concurrent.futures.ThreadPoolExecutor(AT_A_TIME) as pool:
            done = [pool.submit(self._run_peer, p, [c for c in chosen if c.peer == p])
                    for p in peers]
            try:
                for d in done:
                    d.result()
            except BaseException:  # told to stop: what runs ends its run, no other begins
                self.stopping = True
                raise
        seconds = time.monotonic() - began
        self._keep(bool(only), seconds, version)
        passed, failed, skipped = self.counts
        print(f"{len(self.records)} cells, {sum(r['runs'] for r in self.records)} runs, "
              f"{len(peers)} peers: {seconds:.0f} s")
        print(f"{passed} passed, {failed} failed" + (f", {skipped} skipped" if skipped else ""))
        sys.exit(1 if failed else 0)

    def _say(self, index, *lines):
        with self.lock:
            self.counts[index] += 1
            for line in lines:
                print(line, flush=True)

    def _run_peer(self, name, cells):
        if self.stopping:
            return
        try:
            with self.starts[name]() as p:
                version = p.version
                for c in cells:
                    if not self.stopping:
                        self._run_cell(c, p, version)
        except Skipped as e:
            for c in cells:
                self._say(2, f"skipped: {c.name}: {e}")
        except Exception as e:  # it did not start, or not end: one failure for all of it
            if not isinstance(e, Failed):
                traceback.print_exc(file=sys.stdout)
            self._say(1, f"FAILED: {name}\n    {e}")
        with self.lock:  # a run that is stopped keeps what it found
            self._keep(True)

    def _run_cell(self, c, p, version):
        record = {"side": self.side, "peer": c.peer, "row": c.row, "column": c.column,
                  "want": c.want, "runs": 0, "passed": 0, "seen": [], "why": "",
                  "version": version}
        began = time.monotonic()
        if c.want == "none":
            record["why"] = c.words
        else:
            for n in range(1, self.runs + 1):
                if self.stopping:
                    return
                record["runs"] += 1
                try:
                    seen = self._once(c, p, n)
                    record["passed"] += 1
                    if seen and seen not in record["seen"]:
                        record["seen"].append(seen)
                except Exception as e:
                    if not isinstance(e, Failed):
                        traceback.print_exc(file=sys.stdout)
                    record["why"] = record["why"] or str(e).strip()
        with self.lock:
            self.records.append(record)
        good = record["passed"] == record["runs"]
        took = f"{time.monotonic() - began:.1f} s"
        if good:
            self._say(0, f"ok: {c.name}: {'; '.join(record['seen']) or record['why']}, {took}")
        else:
            self._say(1, f"FAILED: {c.name}: {record['passed']} of {record['runs']}\n"
                         f"    {record['why']}")

    def _once(self, c, p, n):
        if c.want != "cannot":
            return c.function(p, n)
        try:
            seen = c.function(p, n)
        except Failed as e:
            said = next((s.strip(" >\t*") for s in re.split(r"[\n;()]", str(e)) if c.words in s), "")
            if said:
                return said
            raise
        raise Failed(f"it can: {seen}")

    # ---- keeping ----

    def _keep(self, partly, seconds=0, version=""):
        known = read()
        ran = {(r["peer"], r["row"], r["column"]) for r in self.records}
        names = {r["peer"] for r in self.records}

        def stays(r):
            if r["side"] != self.side:
                return True
            if partly or r["peer"] not in names:  # the latter: skipped this time
                return (r["peer"], r["row"], r["column"]) not in ran and \
                    r["peer"] in self.starts
            return False
        order = {(c.peer, c.row, c.column): i for i, c in enumerate(self.cells)}
        cells = [r for r in known["cells"] if stays(r)] + self.records
        cells.sort(key=lambda r: (r["side"], order.get((r["peer"], r["row"], r["column"]), -1)
                                  if r["side"] == self.side else 0))
        known["cells"] = cells
        if not partly:
            known["runs"][self.side] = {"date": time.strftime("%Y-%m-%d", time.gmtime()),
                                        "sallyport": version, "seconds": round(seconds)}
        try:
            write(known)
        except OSError as e:
            print(f"the results are not kept: {e}")


def our_version():
    """Of the program and, in a git tree, of what it was built from."""
    said = call([SALLYPORT, "--version"], ok=range(256)) if SALLYPORT else ""
    version = said.splitlines()[0].strip() if said else "unknown"
    try:
        commit = call(["git", "-C", ROOT, "log", "-1", "--format=%h", "--", "src"]).strip()
    except (Failed, OSError):
        return version
    return f"{version} (src of commit {commit})" if commit else version


def read(path=None):
    try:
        return json.loads((path or RESULTS).read_text())
    except FileNotFoundError:
        return {"runs": {}, "cells": []}


def write(known):
    """One line a cell: a change is a line in the difference."""
    lines = ",\n".join(json.dumps(c, ensure_ascii=False) for c in known["cells"])
    RESULTS.write_text(f'{{"runs": {json.dumps(known["runs"], sort_keys=True)},\n'
                       f'"cells": [\n{lines}\n]}}\n')
    DOCUMENT.write_text(document(known))


# ---- the document ----

SIDES = {
    "clients": ("Mail programs as clients of Sallyport's server",
                "The server has its default configuration: listeners, a certificate, a "
                "`client-ca`, and two accounts, one with a password and a certificate, one "
                "with a certificate and no password. Each program is set up as its manual "
                "says. A run counts when the message arrives byte for byte (what a program "
                "adds in front is its own) and the server's log names the account that was "
                "meant and the way it logged in, which is what the cell shows. \"Implicit\" "
                "is a login by the certificate of the TLS session alone."),
    "servers": ("Sallyport's client and mail servers of others",
                "The client gets host, port and credentials, and nothing else: it finds out "
                "the rest. Each server is set up as its manual says. A run counts when the "
                "message arrives byte for byte and the server's log names the account that "
                "was meant; the cell shows how the client got in."),
}
HEAD = """# Interoperability

<!-- Made by tests/interop/matrix.py of doc/interoperability.json; do not edit. -->

Every cell is a run of a real program, each in a root of its own, over the loopback interface;
`./run-tests peers` runs all of them and writes this page. Each cell ran {runs} times, and the
number is given where not every run passed.

| mark | means |
|---|---|
| ✓ | delivered, as the cell says |
| ✓ refused | nothing arrived, as it must be |
| – | the peer cannot do this; the note has its own words, or the option that it lacks |
| ✗ | it should work and does not |
"""


def counts(cells):
    """(cells that were tried, those that passed, those that no run can pass)."""
    tried = [c for c in cells if c["want"] in ("delivered", "refused")]
    return (len(tried), sum(c["runs"] > 0 and c["passed"] == c["runs"] for c in tried),
            sum(c["want"] in ("cannot", "none") for c in cells))


def setups(cells):
    """Set-ups by which mail is to arrive, whatever the column."""
    good = {}
    for c in cells:
        if c["want"] == "delivered":
            passed = c["runs"] > 0 and c["passed"] == c["runs"]
            good[c["peer"], c["row"]] = good.get((c["peer"], c["row"]), True) and passed
    return f"Set-ups by which mail can arrive: {len(good)}; it does by {sum(good.values())}."


def escape(text):
    text = re.sub(r"/tmp/\S*/", "", text)  # where this run kept its files
    return re.sub(r"[\s\0]+", " ", text).replace("|", "\\|").replace("<", "&lt;")[:400]


class Notes:
    def __init__(self):
        self.known = []

    def mark(self, text):
        text = escape(text)
        if text not in self.known:
            self.known.append(text)
        return f"<sup>{self.known.index(text) + 1}</sup>"

    def text(self):
        return "".join(f"{i}. {t}\n" for i, t in enumerate(self.known, 1))


def cell_text(c, notes):
    if c is None:
        return ""
    seen, good = escape("; ".join(c["seen"])), c["runs"] == c["passed"]
    if c["want"] == "none":
        return "– " + notes.mark(c["why"])
    if not good:
        return f"✗ {c['passed']}/{c['runs']} " + notes.mark(c["why"])
    if c["want"] == "cannot":
        return "– " + notes.mark("; ".join(c["seen"]))
    return ("✓ refused: " if c["want"] == "refused" else "✓ ") + seen


def side_text(side, cells, run):
    title, what = SIDES[side]
    tried, passed, cannot = counts(cells)
    columns = list(dict.fromkeys(c["column"] for c in cells))
    rows, notes = {}, Notes()
    for c in cells:
        rows.setdefault((c["peer"], c["row"]), {})[c["column"]] = c
    out = [f"## {title}\n", what + "\n"]
    if run:
        out.append(f"{run['sallyport']}, {run['date']}, {run['seconds']} s in all: of {tried} "
                   f"cells that can work {passed} do; {cannot} cannot. {setups(cells)}\n")
    versions = {}
    for c in cells:
        versions[c["peer"]] = c["version"]
    out.append("| peer | set-up | " + " | ".join(columns) + " |\n|" + "---|" * (len(columns) + 2))
    for (peer, row), have in rows.items():
        texts = [cell_text(have.get(col), notes) for col in columns]
        out.append(f"| {peer} | {escape(row)} | " + " | ".join(texts) + " |")
    if notes.known:
        out.append("\nNotes:\n\n" + notes.text())
    out.append("\nVersions:\n")
    out += [f"- {peer}: {escape(v)}" for peer, v in versions.items()]
    return "\n".join(out) + "\n"


def document(known):
    parts = [HEAD.format(runs=RUNS)]
    for side in SIDES:
        cells = [c for c in known["cells"] if c["side"] == side]
        if cells:
            parts.append(side_text(side, cells, known["runs"].get(side)))
    if known["cells"]:
        parts.insert(1, marks.text(known["cells"]))
    return "\n".join(parts)


if __name__ == "__main__":
    if sys.argv[1:] == ["--check"]:
        same = DOCUMENT.exists() and DOCUMENT.read_text() == document(read())
        print("as the results say" if same else f"{DOCUMENT} is not what {RESULTS} says")
        sys.exit(0 if same else 1)
    DOCUMENT.write_text(document(read()))
