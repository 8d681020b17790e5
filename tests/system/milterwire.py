"""milterwire.py - a milter of the tests' own, written from the protocol and not from ours.

    with Milter(on={"E": [add("X-Seen", "yes"), CONTINUE]}, actions=ALL) as m:
        server(tmp, more=m.section("mine"))
        m.said("M")     # what MAIL brought, newest connection last

`on` maps a command to its replies: packets, CLOSE, a number of seconds to wait, or a function of (milter,
connection, data) that returns such a list.  Without an entry: continue."""
import contextlib, os, socket, struct, threading, time

ALL = 0x1ff
CLOSE = object()
CONTINUE, ACCEPT, REJECT, TEMPFAIL, DISCARD, PROGRESS, SKIP = (c.encode() for c in "cartdps")
V6 = 6
ANSWERED = "CHMRTLNBEU"


def pack(octets):
    return struct.pack("!I", len(octets)) + octets


def text(*words):
    return b"".join(w.encode() + b"\0" for w in words)


def add(name, value):
    return b"h" + text(name, value)


def insert(index, name, value):
    return b"i" + struct.pack("!I", index) + text(name, value)


def change(index, name, value):
    return b"m" + struct.pack("!I", index) + text(name, value)


def reply(line):
    return b"y" + text(line)


class Milter:
    def __init__(self, on=None, version=V6, actions=ALL, steps=0, symlists=b"", negotiate=None, unix=None):
        self.on, self.version, self.actions, self.steps = {} if on is None else on, version, actions, steps
        self.symlists, self.negotiate = symlists, negotiate
        self.heard, self.macros, self.lock = [], [], threading.Lock()
        self.connections = 0
        if unix:
            self.socket = socket.socket(socket.AF_UNIX)
            self.socket.bind(str(unix))
            os.chmod(unix, 0o777)
            self.address = f"unix:{unix}"
        else:
            self.socket = socket.socket()
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self.socket.bind(("127.0.0.1", 0))
            self.address = f"127.0.0.1:{self.socket.getsockname()[1]}"
        self.socket.listen(64)
        self.ended = False
        threading.Thread(target=self._accept, daemon=True).start()

    def section(self, name="mine", more=""):
        return f"milter {name} {{\n  address = {self.address}\n{more}}}\n"

    def stop(self):
        self.ended = True
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def said(self, command):
        with self.lock:
            return [d for c, d in self.heard if c == command]

    def order(self):
        with self.lock:
            return "".join(c for c, _ in self.heard)

    def macro(self, command, name):
        """The newest value that came with this command."""
        with self.lock:
            for c, values in reversed(self.macros):
                if c == command and name in values:
                    return values[name]
        return None

    def _accept(self):
        while not self.ended:
            try:
                conn, _ = self.socket.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self._guarded, args=(conn,), daemon=True).start()

    def _guarded(self, conn):
        with contextlib.suppress(OSError, EOFError), conn:
            self._serve(conn)

    @staticmethod
    def _exactly(conn, n):
        out = b""
        while len(out) < n:
            piece = conn.recv(n - len(out))
            if not piece:
                raise EOFError
            out += piece
        return out

    def _serve(self, conn):
        while True:
            n, = struct.unpack("!I", self._exactly(conn, 4))
            data = self._exactly(conn, n)
            command, data = chr(data[0]), data[1:]
            with self.lock:
                if command == "D":
                    parts = data[1:].split(b"\0")
                    self.macros.append((chr(data[0]), {k.decode(): v.decode("utf-8", "replace")
                                                       for k, v in zip(parts[::2], parts[1::2])}))
                else:
                    self.heard.append((command, data))
            if command == "Q":
                return
            replies = self.on.get(command)
            if callable(replies):
                replies = replies(self, conn, data)
            if replies is None:
                replies = [b"O" + struct.pack("!III", self.version, self.actions, self.steps) + self.symlists] \
                    if command == "O" and self.negotiate is None else [self.negotiate] if command == "O" else \
                    [CONTINUE] if command in ANSWERED else []
            for r in replies:
                if r is CLOSE:
                    return
                if isinstance(r, (int, float)):
                    time.sleep(r)
                elif isinstance(r, tuple):  # octets as they are
                    conn.sendall(r[0])
                else:
                    conn.sendall(pack(r))
