"""measure.py - what a tree of processes used, by /proc and strace; what the disk can do.

A server's CPU time is that of all of its processes, user and system, with children that
ended; from before the load until the server is quiet again: work that is put off until
after the 250 counts.  The work of kernel threads (writing back) is in nobody's.
"""
import collections, os, re, signal, statistics, subprocess, threading, time
from pathlib import Path

from harness import Failed, call, command_line, wait_until

TICK = os.sysconf("SC_CLK_TCK")


def stat(pid):
    """(parent, user + system ticks, those of ended children) of a process, or None."""
    try:
        f = Path("/proc", str(pid), "stat").read_text().rsplit(")", 1)[1].split()
    except OSError:
        return None
    return int(f[1]), int(f[11]) + int(f[12]), int(f[13]) + int(f[14])


def tree(root):
    """The process and everything below it, with their stat()."""
    every = {int(e): s for e in os.listdir("/proc") if e.isdigit() and (s := stat(e))}
    below = {}
    for pid, (parent, _, _) in every.items():
        below.setdefault(parent, []).append(pid)
    found, todo = {}, [root]
    while todo:
        pid = todo.pop()
        if pid in every:
            found[pid] = every[pid]
            todo += below.get(pid, [])
    return found


def cpu_seconds(root):
    return sum(own + ended for _, own, ended in tree(root).values()) / TICK


def by_role(root):
    """CPU seconds of each role of ours."""
    sums = {}
    for pid, (_, own, ended) in tree(root).items():
        found = re.search(r" role ([a-z]+) ", command_line(pid))
        if found:
            sums[found[1]] = sums.get(found[1], 0) + (own + ended) / TICK
    return sums


def pss_kb(root):
    """Proportional: a page that n processes share counts 1/n for each."""
    total = 0
    for pid in tree(root):
        try:
            found = re.search(r"^Pss:\s+(\d+)", Path("/proc", str(pid), "smaps_rollup").read_text(), re.M)
        except OSError:
            continue
        total += int(found[1]) if found else 0
    return total


def quiet(root, seconds=60):
    """Wait until the tree uses less than 4 % of a CPU."""
    end, before = time.monotonic() + seconds, cpu_seconds(root)
    while time.monotonic() < end:
        time.sleep(0.5)
        now = cpu_seconds(root)
        if now - before < 0.021:
            return
        before = now


class Peak:
    """The largest PSS of a tree while the block runs, looked at five times a second."""

    def __init__(self, root):
        self.root, self.mb, self._over = root, 0, threading.Event()

    def __enter__(self):
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()
        return self

    def _look(self):
        while True:
            self.mb = max(self.mb, pss_kb(self.root) / 1024)
            if self._over.wait(0.2):
                return

    def __exit__(self, *_):
        self._over.set()
        self._thread.join()


# ---- who syncs ----

class Syncs:
    """strace on all processes of a tree while the block runs.  Afterwards: done, the
    number of fsync and fdatasync that succeeded; files, how often on which file."""

    def __init__(self, root, out):
        self.root, self.out, self.done, self.files = root, Path(out), 0, {}

    def __enter__(self):
        said = self.out.with_suffix(".said")
        pids = [f"--attach={pid}" for pid in tree(self.root)]
        with open(said, "wb") as f:
            self.strace = subprocess.Popen(
                ["strace", "-f", "-y", "-e", "trace=fsync,fdatasync", "-o", self.out, *pids], stderr=f)
        try:
            wait_until(lambda: said.read_text().count(" attached") >= len(pids) or
                       self.strace.poll() is not None, 60, "strace to attach")
            if self.strace.poll() is not None:
                raise Failed(f"strace: {said.read_text()[-300:]}")
        except BaseException:
            self.strace.kill()
            raise
        return self

    def __exit__(self, *_):
        self.strace.send_signal(signal.SIGINT)
        self.strace.wait(60)
        if self.out.exists():
            self.read(self.out.read_text(errors="replace"))

    def read(self, text):
        """`12 fsync(3</a/b>) = 0`, or in two lines `... <unfinished ...>`, `<... fsync resumed>) = 0`."""
        self.done = len(re.findall(r"(?:fsync|fdatasync)(?:\(| resumed).*\) += 0$", text, re.M))
        kinds = collections.Counter(kind_of_file(p) for p in re.findall(r"(?:fsync|fdatasync)\(\d+<(.*?)>", text))
        self.files = dict(kinds.most_common(4))


def kind_of_file(path):
    """Queue files have a name each: what they have in common is shown, `incoming/*`."""
    parts = [re.sub(r"(?=[\w.-]*\d)[\w-]{6,}", "*", part)
             for part in path.removesuffix(" (deleted)").split("/") if len(part) > 2]
    return "/".join(parts[-2:] if parts[-1:] == ["*"] or not parts else parts[-1:]) or "/"


# ---- the disk ----

FLUSH = """
import os, sys, time
fd, took = os.open(sys.argv[1], os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600), []
for i in range(int(sys.argv[2])):
    os.write(fd, b"x" * 8192)
    start = time.perf_counter()
    os.fdatasync(fd)
    took.append(time.perf_counter() - start)
print(sorted(took)[len(took) // 2] * 1000)
"""


def flush_ms(folder, count, preload=None):
    """Median of an fdatasync behind 8 KB appended, as the servers would see it."""
    path = Path(folder) / "flush"
    try:
        return float(call(["/usr/bin/python3", "-c", FLUSH, path, count],
                          env={"LD_PRELOAD": str(preload)} if preload else None))
    finally:
        path.unlink(missing_ok=True)


def disk_mb_per_second(folder, octets, times):
    """Files of this size, written and synced one behind the other: the disk's own rate."""
    path, rates, block = Path(folder) / "rate", [], b"x" * (1 << 20)
    for _ in range(times):
        start = time.perf_counter()
        with open(path, "wb", buffering=0) as f:
            for at in range(0, octets, len(block)):
                f.write(block[:octets - at])
            os.fdatasync(f.fileno())
        rates.append(octets / 1e6 / (time.perf_counter() - start))
        path.unlink()
    return statistics.median(rates)
