"""compare.py - options of bench/compare; the servers are in servers.py, what is done to
them in scenarios.py, what is read in measure.py, the tables in report.py."""
import argparse, json, signal, sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
sys.path[:0] = [str(HERE), str(ROOT / "tests/system"), str(ROOT / "tests/interop")]
from harness import Failed, work  # noqa: E402
import report  # noqa: E402


def scale(text):
    return {"small": 1.0, "full": 100.0}.get(text) or float(text)


def options():
    p = argparse.ArgumentParser()
    p.add_argument("--rounds", type=int)
    p.add_argument("--other-rounds", type=int)
    p.add_argument("--scenarios", default="ABCDEFGHIJST")
    p.add_argument("--scale", default="full")
    p.add_argument("--only", default="", type=lambda s: s.split(",") if s else "")
    p.add_argument("--write", action="store_true")
    p.add_argument("--json")
    p.add_argument("--from", dest="kept")
    o = p.parse_args()
    small = o.scale == "small"
    o.scale = scale(o.scale)
    o.rounds = o.rounds or (1 if small else 5)
    o.other_rounds = o.other_rounds or (1 if small else 5)
    return o


def measured(o):
    import scenarios, servers
    if set(o.scenarios) - set(scenarios.LETTERS):
        raise Failed(f"--scenarios takes letters of {scenarios.LETTERS}")
    known = {k.name for k in (servers.Sallyport, servers.ColdSallyport, *servers.PEERS)} | {"sink"}
    if set(o.only) - known:
        raise Failed(f"--only takes names of {', '.join(sorted(known))}")
    with work() as tmp:
        b = scenarios.Bench(o, tmp, servers.Shared(tmp / "pki"))
        b.run()
    checks = {k.name: k.check for k in (servers.Sallyport, servers.ColdSallyport, *servers.PEERS, servers.Sink, servers.DurableSink)}
    return {"facts": report.facts(), "scale": o.scale, "notes": b.notes, "checks": checks,
            "results": [[*key, runs] for key, runs in b.results.items()]}


def main():
    o = options()
    kept = json.loads(Path(o.kept).read_text()) if o.kept else measured(o)
    if o.json:
        Path(o.json).write_text(json.dumps(kept, indent=1) + "\n")
    r = report.Report(kept)
    print("\n" + r.text())
    if o.write:
        report.write(r)


signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that "finally" runs
try:
    main()
except Failed as e:
    sys.exit(f"compare: {e}")
