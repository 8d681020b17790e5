"""exchanges.py - mail exchanges, a zone that names them, and a host of MTA-STS policies.

    a = Exchange()                      a next hop (scripted.py) on an address of its own
    with PolicyHost(pki, sts_text("a.check.example")) as web, \\
         delivering(tmp, records, more="    tls = required") as srv:
        records: [("_mta-sts.check.example", "TXT", '"v=STSv1; id=1"'),
                  ("mta-sts.check.example", "A", web.address), ...]
        web.text, web.status, web.type       may change; web.hits counts
        web.go.clear()                       from now on questions wait, until web.go.set()
"""
import contextlib, http.server, random, ssl, threading

from harness import *
from scripted import Scripted
from zone import Zone

ZONE = "check.example"


def loopback():
    return f"127.{random.randrange(1, 255)}.{random.randrange(1, 255)}.{random.randrange(2, 255)}"


class Exchange(Scripted):
    """A next hop on an address of its own, all on one port."""
    port_of_all = 0

    def __init__(self, tls=None):
        for _ in range(50):
            self.address = loopback()
            try:
                super().__init__(tls=tls, host=self.address, port=Exchange.port_of_all)
                break
            except OSError:
                continue
        Exchange.port_of_all = self.port


def sts_text(host, mode="enforce", version="STSv1", age=86400):
    return f"version: {version}\r\nmode: {mode}\r\nmx: {host}\r\nmax_age: {age}\r\n"


class PolicyHost:
    """Its port is 443, its address one of loopback that nobody has; `name` is what its
    certificate says, `domain` whose policy it has."""

    def __init__(self, pki, text, status=200, name=None, domain=ZONE):
        self.text, self.status, self.type, self.hits = text, status, "text/plain", 0
        self.go = threading.Event()
        self.go.set()
        outer, expected = self, f"mta-sts.{domain}"

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                outer.hits += 1
                good = self.path == "/.well-known/mta-sts.txt" and self.headers["Host"] == expected
                outer.go.wait(600)
                with contextlib.suppress(OSError):
                    self.send_response(outer.status if good else 404)
                    self.send_header("Content-Type", outer.type)
                    self.send_header("Location", f"https://{expected}/elsewhere")
                    self.end_headers()
                    self.wfile.write(outer.text.encode())

            def log_message(self, *_):
                pass

        for _ in range(50):
            self.address = loopback()
            try:
                self.server = http.server.ThreadingHTTPServer((self.address, 443), Handler)
                break
            except PermissionError:
                skip("port 443 is for root here")
            except OSError:
                continue
        self.server.daemon_threads = True
        self.server.handle_error = lambda *_: None
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        name = name or expected
        context.load_cert_chain(*pki.sign(f"web-{name}", f"/CN={name}", f"DNS:{name}", "serverAuth"))
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True,
                                                 do_handshake_on_connect=False)
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.go.set()
        self.server.shutdown()
        self.server.server_close()


@contextlib.contextmanager
def delivering(tmp, records, more="", dns_timeout=30, top="", **zone):
    """A service whose one route is to mail exchanges, on the port of all of them."""
    with Zone(records, **zone) as z:
        anchor = tmp / "anchor.key"
        anchor.write_text(z.anchor + "\n")
        srv = Sallyport(tmp, more=f"dns-server = {z.address}\ndns-trust-anchor = {anchor}\ndns-timeout = {dns_timeout}s\n{top}",
                        routes=f"route world {{\n    match = *\n    to = mx\n    mx-port = {Exchange.port_of_all}\n{more}\n}}\n")
        srv.zone = z
        srv.start()
        try:
            yield srv
        except BaseException:
            print(srv.process.tail(40))
            raise
        finally:
            srv.stop()


def logged(srv, event, address):
    """The line that says what became of it."""
    return wait_until(lambda: re.search(rf"^.* {event} .*to=\"?{re.escape(address)}\"? .*$", srv.log.read_text(), re.M),
                      60, f"{event} of {address}")[0]
