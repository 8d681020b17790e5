#!/usr/bin/python3
# sets: default
"""The matrix of real peers counts, keeps and shows what its cells gave; the document in
doc/ is made of the results beside it."""
import marks, matrix
from matrix import *


@contextlib.contextmanager
def small(**functions):
    """A matrix of one peer with these cells (want_name=function), run to its end."""
    with work() as tmp:
        kept = matrix.RESULTS, matrix.DOCUMENT, sys.argv
        matrix.RESULTS, matrix.DOCUMENT = tmp / "r.json", tmp / "d.md"
        sys.argv = sys.argv[:1]
        m = Matrix("clients", runs=3)

        @m.peer("P")
        @contextlib.contextmanager
        def _():
            yield SimpleNamespace(version="P 1.0")

        for name, function in functions.items():
            want, _, column = name.partition("_")
            if want == "none":
                m.none("P", "row", column, function)
            elif want == "cannot":
                m.cell("P", "row", column, cannot="not in this program")(function)
            else:
                m.cell("P", "row", column, want=want)(function)
        try:
            yield m
        finally:
            matrix.RESULTS, matrix.DOCUMENT, sys.argv = kept


def run_quietly(m):
    """Exit status and the document."""
    with open(os.devnull, "w") as out, contextlib.redirect_stdout(out):
        try:
            m.run()
        except SystemExit as e:
            return e.code, matrix.DOCUMENT.read_text()


def fail(text):
    raise Failed(text)


@test("a cell passes when all of its runs do; one that fails at the third is shown with its words")
def _():
    with small(delivered_a=lambda p, n: "PLAIN",
               delivered_b=lambda p, n: fail("lost: a|b") if n == 3 else "PLAIN") as m:
        status, text = run_quietly(m)
        check(status == 1, f"status {status}")
        check("| P | row | ✓ PLAIN | ✗ 2/3 <sup>1</sup> |" in text, text)
        check("1. lost: a\\|b" in text and "- P: P 1.0" in text, text)
        check("of 2 cells that can work 1 do; 0 cannot" in text, text)


@test("what cannot work must fail in the peer's words, and a cell without a run says why")
def _():
    with small(cannot_a=lambda p, n: fail("P: not in this program"), none_b="no option",
               refused_c=lambda p, n: "535") as m:
        status, text = run_quietly(m)
        check(status == 0, f"status {status}")
        check("| – <sup>1</sup> | – <sup>2</sup> | ✓ refused: 535 |" in text, text)
        check("1. P: not in this program\n2. no option" in text, text)
    for wrong in (lambda p, n: fail("another reason"), lambda p, n: "it works"):
        with small(cannot_a=wrong) as m:
            status, text = run_quietly(m)
            check(status == 1 and "| ✗ 0/3 " in text, text)


@test("a run with words replaces its own cells and leaves the others")
def _():
    with small(delivered_a=lambda p, n: "one", delivered_b=lambda p, n: "two") as m:
        run_quietly(m)
        m.cells[0].function = lambda p, n: "three"
        sys.argv = ["t", "row, a"]
        status, text = run_quietly(m)
        check(status == 0 and "| ✓ three | ✓ two |" in text, text)
        m.cells.pop()
        sys.argv = ["t"]
        status, text = run_quietly(m)
        check("✓ two" not in text, f"a cell that is no more stands in the document:\n{text}")


@test("a peer that cannot be had skips its cells and keeps what was found before")
def _():
    with small(delivered_a=lambda p, n: "one") as m:
        run_quietly(m)

        @m.peer("P")
        @contextlib.contextmanager
        def _():
            raise Skipped("no network")
            yield
        status, text = run_quietly(m)
        check(status == 0 and "| ✓ one |" in text, text)


@test("a peer that does not start is a failure")
def _():
    with small(delivered_a=lambda p, n: "one") as m:
        @m.peer("P")
        @contextlib.contextmanager
        def _():
            raise Failed("ended with 1")
            yield
        check(run_quietly(m)[0] == 1, "no failure")


def cell_of(side, peer, row, column, want="delivered", passed=3):
    return {"side": side, "peer": peer, "row": row, "column": column, "want": want, "runs": 3, "passed": passed}


@test("what is counted: a set-up only when each of its cells passed, a setting only where there is a way in")
def _():
    check(sum(map(len, marks.SETUPS.values())) == 38, "the set-ups are not those that were tried before")
    check(sum(map(len, marks.SERVERS.values())) == 11, "the settings are not those that were tried before")
    cells = [cell_of("clients", p, r, c) for p, rows in marks.SETUPS.items() for r in rows for c in "ab"]
    check(all(marks.served(cells).values()), "one is not counted")
    check("serves **38 of 38**" in marks.text(cells), marks.text(cells))
    cells[-1]["passed"] = 2
    text = marks.text(cells)
    check("serves **37 of 38**" in text and "Not: nodemailer, certificate and password." in text, text)
    check("serves **37 of 38**" in marks.text(cells[:-2]), "one that did not run is counted")

    cells = [cell_of("servers", "Exim", "tls driver: certificate", "STARTTLS"),
             cell_of("servers", "Exim", "tls driver: certificate", "implicit TLS"),
             cell_of("servers", "Courier", "certificate", "STARTTLS"),
             cell_of("servers", "Exim", "passwords: certificate", "STARTTLS", want="refused"),
             cell_of("servers", "Exim", "tls driver: expired certificate", "STARTTLS", want="refused")]
    check("| certificate | 2 of 2 that have a way in | 2 of 2 " in marks.text(cells), marks.text(cells))
    cells[1]["passed"] = 2
    check("| certificate | 1 of 2 that have a way in | 1 of 2 " in marks.text(cells), marks.text(cells))


@test("what is counted are cells of the results")
def _():
    cells = read()["cells"]
    rows = {(c["side"], c["peer"], c["row"]) for c in cells}
    for peer, setups in marks.SETUPS.items():
        for row in setups:
            check(("clients", peer, row) in rows, f"{peer}, {row} is no row of the matrix")
    for peer, settings in marks.SERVERS.items():
        for setting in settings:
            for held in marks.HELD:
                row = f"{setting}: {held}" if setting else held
                check(("servers", peer, row) in rows, f"{peer}, {row} is no row of the matrix")


@test("doc/interoperability.md is what doc/interoperability.json says")
def _():
    if not matrix.RESULTS.exists():
        skip("no results yet")
    check(matrix.DOCUMENT.read_text() == document(read()), "run tests/interop/matrix.py")


run()
