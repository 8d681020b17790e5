"""powerloss.py - what a disk may hold after the power went away.

    log = Log(recorder.map, before).read()
    disk = Disk(log)
    while disk.position < len(log.records):
        disk.step()
        disk.write(folder, rng, "some")     if the power goes away now

record.c writes down every write, length, name and sync of the unmodified program.  A Disk
is what can be there when the power goes away after the records it has taken in:

  - what was recorded before the begin of a sync that had ended by then is there;
  - of the rest anything may be there: each write, each sector of 512 octets of it, each
    change of a file's length and each single name of a folder on its own.  That is less
    than any file system promises.

A sync is one of its file or folder alone: a new file's name lasts only when the folder was
synced.  Shared memory (SQLite's index of the WAL) holds anything, here left-over octets.
"""
import ctypes, mmap, os, shutil, stat, struct
from pathlib import Path

from harness import check

HERE = Path(__file__).resolve().parent
SECTOR = 512
ENTRY = struct.Struct("<IIQQQQQQ")
WRITE, TRUNCATE, NAME, UNNAME, SYNC, SYNCED, ODD, MARK = range(1, 9)
ENTRIES, OCTETS = 1 << 20, 1 << 31  # the file has holes where nothing was recorded


class Recorder:
    """The map that record.c writes to, and the library."""

    def __init__(self, tmp, watched):
        self.library, self.map = Path(tmp) / "record.so", Path(tmp) / "record.map"
        done = os.system(f"cc -D_GNU_SOURCE -shared -fPIC -O2 -Wall -Werror -o {self.library} {HERE}/record.c -ldl")
        check(done == 0, "record.c does not compile")
        with open(self.map, "wb") as f:
            f.truncate(4096 + ENTRIES * ENTRY.size + OCTETS)
            f.write(struct.pack("<QQQ", os.stat(watched).st_dev, ENTRIES, OCTETS))
        os.chmod(self.map, 0o666)

    def environment(self):
        return {"LD_PRELOAD": str(self.library), "RECORD_MAP": str(self.map)}

    def marker(self):
        """A function that puts a text between the records, for this process."""
        os.environ["RECORD_MAP"] = str(self.map)
        library = ctypes.CDLL(str(self.library))
        del os.environ["RECORD_MAP"]
        return lambda text: library.record_mark(text.encode())


class Record:
    __slots__ = ("kind", "node", "at", "other", "octets", "mode")

    def __init__(self, kind, node, at, other, octets, mode):
        self.kind, self.node, self.at, self.other, self.octets, self.mode = kind, node, at, other, octets, mode


class Log:
    """All records of a run that has ended, and what was on the disk before."""

    def __init__(self, map_, before):
        self.files, self.folders, self.records = {}, {}, []
        self.root = os.stat(before).st_ino
        self.aside = {}  # node: (mode, uid, gid)
        for path in [Path(before), *sorted(Path(before).rglob("*"))]:
            st = path.lstat()
            if stat.S_ISDIR(st.st_mode):
                self.folders[st.st_ino] = {e.name: e.stat(follow_symlinks=False).st_ino for e in os.scandir(path)}
            elif stat.S_ISREG(st.st_mode):
                self.files[st.st_ino] = path.read_bytes()
        self.map = map_

    def read(self):
        with open(self.map, "rb") as f, mmap.mmap(f.fileno(), 0, prot=mmap.PROT_READ) as m:
            n = struct.unpack_from("<Q", m, 24)[0]
            octets = 4096 + ENTRIES * ENTRY.size
            for i in range(n):
                done, kind, node, at, other, data, length, mode = ENTRY.unpack_from(m, 4096 + i * ENTRY.size)
                check(done, f"record {i} of {n} was not completed")
                self.records.append(Record(kind, node, at, other, m[octets + data:octets + data + length], mode))
        odd = {bytes(r.octets) for r in self.records if r.kind == ODD} - {b"mmap"}
        check(not odd, f"not followed: {odd}")
        self.shared = {r.node for r in self.records if r.kind == ODD}
        return self


class Node:
    """A file or folder: what lasts, and what may yet be lost, in order."""
    __slots__ = ("lasting", "open", "folder")

    def __init__(self, lasting, folder):
        self.lasting, self.open, self.folder = lasting, [], folder


class Disk:
    """Goes along the records; write() makes a disk that the power left at this moment."""

    def __init__(self, log, lasts=lambda disk, record: True):
        """lasts: does this sync do anything?  For disks that lie and programs that skip it."""
        self.log, self.position, self.lasts = log, 0, lasts
        self.nodes = {i: Node(bytearray(d), False) for i, d in log.files.items()}
        self.nodes |= {i: Node(dict(d), True) for i, d in log.folders.items()}
        self.begun, self.marks, self.names = {}, [], {}
        for folder in log.folders.values():
            self.names.update({node: name for name, node in folder.items()})

    def node(self, number, mode):
        return self.nodes.setdefault(number, Node({} if stat.S_ISDIR(mode) else bytearray(), stat.S_ISDIR(mode)))

    def step(self):
        """Takes in the next record, and returns it."""
        r = self.log.records[self.position]
        self.position += 1
        if r.kind == MARK:
            self.marks.append(r.octets.decode())
        elif r.kind == NAME:
            self.node(r.other, r.mode)
            self.names[r.other] = r.octets.decode()
            self.node(r.node, stat.S_IFDIR).open.append(r)
        elif r.kind == UNNAME:
            self.node(r.node, stat.S_IFDIR).open.append(r)
        elif r.kind in (WRITE, TRUNCATE):
            self.node(r.node, r.mode).open.append(r)
        elif r.kind == SYNC:
            self.begun[r.other] = len(self.node(r.node, r.mode).open), self.node(r.node, r.mode)
        elif r.kind == SYNCED:
            self._synced(r)
        return r

    def _synced(self, r):
        n, node = self.begun.pop(r.other)
        if not self.lasts(self, r):
            return
        for old in node.open[:n]:
            apply(node.lasting, old)
        del node.open[:n]
        # Another sync of it that began earlier covered some of these.
        for number, (count, other) in self.begun.items():
            if other is node:
                self.begun[number] = max(0, count - n), node

    def write(self, folder, rng, how):
        """how: "all" of what may be lost is there, "none" of it, or "some"."""
        owner = os.stat(folder)
        self._folder(self.log.root, Path(folder), rng, how, owner)

    def _content(self, node, rng, how):
        content = dict(node.lasting) if node.folder else bytearray(node.lasting)
        if how == "none":
            return content
        some = how == "some"
        keep = rng.choice((0.1, 0.5, 0.9)) if some else 1
        torn = some and rng.random() < 0.5
        for r in node.open:
            for piece in sectors(r) if torn and r.kind == WRITE else (r,):
                if not some or rng.random() < keep:
                    apply(content, piece)
        return content

    def _folder(self, number, path, rng, how, owner):
        for name, child in self._content(self.nodes[number], rng, how).items():
            node, to = self.nodes[child], path / name
            if node.folder:
                to.mkdir()
                self._folder(child, to, rng, how, owner)
            elif child in self.log.shared:
                to.write_bytes(rng.randbytes(rng.choice((0, 100, 32768))))
            else:
                to.write_bytes(self._content(node, rng, how))
            os.chown(to, owner.st_uid, owner.st_gid)
            to.chmod(0o700 if node.folder else 0o600)


def sectors(r):
    """The write, cut where sectors end."""
    at, end = r.at, r.at + len(r.octets)
    while at < end:
        to = min(end, (at // SECTOR + 1) * SECTOR)
        yield Record(WRITE, r.node, at, 0, r.octets[at - r.at:to - r.at], r.mode)
        at = to


def apply(content, r):
    if r.kind == NAME:
        content[r.octets.decode()] = r.other
    elif r.kind == UNNAME:
        content.pop(r.octets.decode(), None)
    elif r.kind == TRUNCATE:
        if len(content) > r.at:
            del content[r.at:]
        else:
            content.extend(bytes(r.at - len(content)))
    else:
        if len(content) < r.at:
            content.extend(bytes(r.at - len(content)))
        content[r.at:r.at + len(r.octets)] = r.octets


def same(disk, folder):
    """With everything there it is what is really there: nothing was done that was not
    recorded."""
    here, there = {}, {}
    for path in Path(folder).rglob("*"):
        if path.is_file() and path.stat().st_ino not in disk.log.shared:
            here[str(path.relative_to(folder))] = path.read_bytes()

    def walk(number, at):
        node = disk.nodes[number]
        content = disk._content(node, None, "all") if node.folder else None
        for name, child in content.items():
            if disk.nodes[child].folder:
                walk(child, at + name + "/")
            elif child not in disk.log.shared:
                there[at + name] = bytes(disk._content(disk.nodes[child], None, "all"))
    walk(disk.log.root, "")
    check(here.keys() == there.keys(), f"other files than recorded: {here.keys() ^ there.keys()}")
    wrong = [name for name in here if here[name] != there[name]]
    check(not wrong, f"other octets than recorded in {wrong}")
