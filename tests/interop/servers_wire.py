"""servers_wire.py - between our client and a server: what they say is passed on.

    with Between(port) as b:              connect to b.port
    with Between(port, strip=True) as b:  STARTTLS is made unreadable in the reply to EHLO
    b.connections                         how many there were
    b.said                                what the client said in clear, a line each
"""
import contextlib, socket, threading


class Between:
    def __init__(self, port, strip=False):
        self.to, self.strip = port, strip
        self.connections, self.said, self.threads = 0, [], []

    def __enter__(self):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self._start(self._accept)
        return self

    def __exit__(self, *_):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        for t in self.threads:
            t.join(10)

    def _start(self, function, *args):
        t = threading.Thread(target=function, args=args, daemon=True)
        self.threads.append(t)
        t.start()

    def _accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            self.connections += 1
            server = socket.create_connection(("127.0.0.1", self.to))
            self._start(self._pass, client, server, self._note)
            self._start(self._pass, server, client, self._cut)

    def _note(self, octets):
        if self.strip:
            self.said += octets.decode("latin-1").splitlines()
        return octets

    def _cut(self, octets):
        """As boxes that "protect" mail servers do: the word is made one that means nothing."""
        return octets.replace(b"STARTTLS", b"XXXXXXXX") if self.strip else octets

    def _pass(self, source, target, change):
        with contextlib.suppress(OSError):
            while octets := source.recv(65536):
                target.sendall(change(octets))
        with contextlib.suppress(OSError):
            target.shutdown(socket.SHUT_WR)
