"""lossy.py - a next hop in a network of its own, and a relay of packets in between.

    with Lossy(tmp) as net:           from here on this process is in a network namespace
        net.hop                       a Scripted next hop in another one
        net.relay.loss = 0.05         of 1, both directions
        net.relay.delay = 0.03        seconds, twice that at most: packets overtake each other
        net.relay.cut = True          nothing passes
        net.relay.at(200000, f)       f() when so many octets of content went to the hop
        net.relay.mute.add(port)      what the hop says to this port of ours is lost

Both ends are TUN devices: what passes is decided packet by packet, so that loss, delay and
partitions are real to both TCPs.  Needs root, and /dev/net/tun.
"""
import ctypes, fcntl, heapq, json, os, random, select, socket, struct, subprocess, threading, time
from collections import Counter

from harness import *
from scripted import Scripted

HERE_ADDRESS, HOP_ADDRESS, HOP_PORT = "10.77.0.1", "10.77.0.2", 2525
CLONE_NEWNET, TUNSETIFF, IFF_TUN, IFF_NO_PI = 0x40000000, 0x400454CA, 1, 0x1000


def new_network(address):
    """The calling thread moves into a new namespace with this address; its TUN device."""
    if ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWNET) < 0:
        skip(f"no network namespace: {os.strerror(ctypes.get_errno())}")
    try:
        fd = os.open("/dev/net/tun", os.O_RDWR | os.O_CLOEXEC)
        fcntl.ioctl(fd, TUNSETIFF, struct.pack("16sH22x", b"way", IFF_TUN | IFF_NO_PI))
    except OSError as e:
        skip(f"no TUN device: {e}")
    for words in ("link set lo up", f"addr add {address}/30 dev way", "link set way up"):
        subprocess.run(["ip", *words.split()], check=True)
    return fd


def hop_network():
    """TUN device and listening socket of a namespace that lives as long as they do."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    child = os.fork()
    if child == 0:
        try:
            tun = new_network(HOP_ADDRESS)
            s = socket.create_server((HOP_ADDRESS, HOP_PORT))
            socket.send_fds(theirs, [b"x"], [tun, s.fileno()])
            os._exit(0)
        finally:
            os._exit(1)
    theirs.close()
    status = os.waitpid(child, 0)[1]
    if status:
        skip("no namespace for the next hop")
    _, fds, _, _ = socket.recv_fds(ours, 16, 2)
    ours.close()
    return fds[0], socket.socket(fileno=fds[1])


class Relay:
    def __init__(self, here, hop, seed):
        self.here, self.hop, self.random = here, hop, random.Random(seed)
        self.loss = self.delay = 0.0
        self.cut, self.mute = False, set()
        self.passed, self.dropped, self.content = 0, 0, 0
        self._at, self._stop, self._waiting = None, False, []
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def at(self, octets, then):
        self._at = (self.content + octets, then)

    def stop(self):
        self._stop = True
        self.thread.join()
        os.close(self.here)
        os.close(self.hop)

    def _drops(self, packet, to_hop):
        if len(packet) < 20 or packet[0] >> 4 != 4 or packet[9] != socket.IPPROTO_TCP:
            return True
        tcp = packet[(packet[0] & 15) * 4:]
        payload = len(tcp) - (tcp[12] >> 4) * 4
        if to_hop:
            self.content += payload
            if self._at and self.content >= self._at[0]:
                then, self._at = self._at[1], None
                then()
        return self.cut or self.random.random() < self.loss \
            or (not to_hop and payload > 0 and struct.unpack("!H", tcp[2:4])[0] in self.mute)

    def _run(self):
        count = 0
        while not self._stop:
            now = time.monotonic()
            while self._waiting and self._waiting[0][0] <= now:
                _, _, fd, packet = heapq.heappop(self._waiting)
                with contextlib.suppress(OSError):
                    os.write(fd, packet)
            pause = min(0.05, self._waiting[0][0] - now) if self._waiting else 0.05
            for fd in select.select([self.here, self.hop], [], [], max(pause, 0))[0]:
                packet, to_hop, count = os.read(fd, 65536), fd == self.here, count + 1
                if self._drops(packet, to_hop):
                    self.dropped += 1
                    continue
                self.passed += 1
                due = time.monotonic() + self.delay * (0.5 + 1.5 * self.random.random())
                heapq.heappush(self._waiting, (due, count, self.hop if to_hop else self.here, packet))


class Hop(Scripted):
    """What it closes in the middle is reset, not finished: its other end has to find out."""

    def __init__(self, listening, tls):
        self.given, self.open, self.thread = listening, set(), threading.local()
        super().__init__(tls=tls)

    def _serve(self):
        self.socket.close()  # the one of this namespace
        self.socket, self.port = self.given, HOP_PORT
        super()._serve()

    def _guarded(self, c):
        c.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._now(c)
        super()._guarded(c)
        self.open.discard(self.thread.connection)

    def _now(self, c):
        self.thread.connection = c
        self.open.add(c)
        return c

    def _secured(self, c):
        self.open.discard(c)  # it has lost its descriptor to the one in TLS
        return self._now(super()._secured(c))

    def gone(self):
        """It forgets all connections, as after a power loss."""
        for c in list(self.open):
            with contextlib.suppress(OSError):
                socket.socket.shutdown(c, socket.SHUT_RD)  # below TLS

    def this(self):
        return self.thread.connection


class Lossy:
    def __init__(self, tmp, seed=1):
        need_root()
        pki = Certificates(Path(tmp) / "hop")
        self.ca = pki.ca
        tun, listening = hop_network()
        self.relay = Relay(new_network(HERE_ADDRESS), tun, seed)
        self.hop = Hop(listening, pki.server())

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.hop.stop()
        self.relay.stop()

    def route(self):
        return f"route hop {{\n    match = remote.test\n    to = smarthost\n    host = {HOP_ADDRESS}:{HOP_PORT}\n"\
            f"    tls-name = localhost\n    tls-ca = {self.ca}\n}}\n"


class Ledger:
    """What was accepted, and what became of it."""

    def __init__(self, srv, hop):
        self.srv, self.hop = srv, hop
        self.accepted, self.lost = [], []  # lost: recipients whose 250 did not arrive

    def queue(self, *argv):
        return call([SALLYPORT, "queue", argv[0], "--config", self.srv.config, *argv[1:]], ok=(0, 66))

    def states(self):
        """[(recipient, status)] of everything but notices."""
        found = []
        for more in ([], ["--state", "finished"]):
            for line in self.queue("list", "--json", *more).splitlines():
                row = json.loads(line)
                found += [(r["address"], r["status"]) for r in row["recipients"] if not row.get("notice")]
        return found

    def taken(self):
        return Counter(r for _, to, _ in list(self.hop.taken) for r in to)

    def settled(self, seconds, still=lambda address: False):
        """Until nothing but what `still` says is under way."""
        end = time.monotonic() + seconds
        while [a for a, s in self.states() if s not in ("delivered", "bounced") and not still(a)]:
            if time.monotonic() > end:
                raise Failed(f"still under way: {self.states()}")
            self.queue("retry", "--all")  # a destination that failed is left alone for a while
            time.sleep(1)

    def check(self, bounced, queued):
        """Each accepted recipient is in one place, and that place is true."""
        states = self.states()
        twice = [a for a, n in Counter(a for a, _ in states).items() if n > 1]
        check(not twice and {a for a, _ in states} == set(self.accepted), f"twice {twice}, accepted {len(self.accepted)}, known {len(states)}")
        taken = self.taken()
        for address, status in states:
            want = "bounced" if bounced(address) else "queued" if queued(address) else "delivered"
            check((status if status in ("delivered", "bounced") else "queued") == want, f"{address} is {status}, not {want}")
            check((taken[address] > 0) == (want == "delivered"), f"{address} is {status} and came {taken[address]} times")
        again = {a: n - 1 for a, n in taken.items() if n > 1}
        lost = Counter(self.lost)
        check(all(n <= lost[a] for a, n in again.items()), f"twice without a lost 250: {again}, lost {dict(lost)}")
        return sum(again.values())
