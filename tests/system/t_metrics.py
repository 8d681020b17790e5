#!/usr/bin/python3
# sets: default
# timeout: 200
"""What Prometheus sees: read by promtool, counted over all processes, bounded."""
import signal, socket
from harness import *
import clients

need_server()
if SALLYPORT == "standin":
    print("skipped: the stand-in has no metrics\n0 passed, 0 failed, 1 skipped")
    sys.exit(0)

MESSAGE = b"From: alice@example.org\r\nTo: bob@example.org\r\nSubject: counted\r\n\r\nhello\r\n"


def http(where, ask, seconds=20):
    """The whole answer.  where: a port, or the path of a Unix socket."""
    s = socket.socket(socket.AF_INET if isinstance(where, int) else socket.AF_UNIX)
    with s:
        s.settimeout(seconds)
        s.connect(("127.0.0.1", where) if isinstance(where, int) else str(where))
        s.sendall(ask)
        got = b""
        while piece := s.recv(65536):
            got += piece
    return got


def scrape(where, path="/metrics"):
    head, _, text = http(where, f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode()).partition(b"\r\n\r\n")
    check(head.startswith(b"HTTP/1.1 200 ") and b"text/plain; version=0.0.4" in head, f"{head}")
    size = int(re.search(rb"Content-Length: (\d+)", head)[1])
    check(len(text) == size, f"{len(text)} octets came, {size} were announced")
    return text.decode()


def value(text, row):
    hit = re.search(rf"^{re.escape(row)} (\S+)$", text, re.M)
    check(hit, f"no row {row} in\n{text[:3000]}")
    return float(hit[1])


def event(text, name, role=None):
    return sum(float(n) for n in re.findall(rf'^sallyport_events_total{{event="{re.escape(name)}",role="'
                                            rf'{role or "[a-z-]+"}"}} (\S+)$', text, re.M))


def with_metrics(tmp, more="server-processes = 2\n"):
    port, path = free_port(), tmp / "metrics"
    return port, path, Sallyport(tmp, more=f"metrics = 127.0.0.1:{port} unix:{path}\n{more}")


@test("the text is what promtool calls good, on a port and on a Unix socket, and the counts are right")
def _():
    with work() as tmp:
        port, path, srv = with_metrics(tmp)
        srv.start()
        try:
            before = scrape(port)
            lint = subprocess.run(["promtool", "check", "metrics"], input=before.encode(), capture_output=True)
            check(lint.returncode == 0, f"promtool: {lint.stdout} {lint.stderr}")
            for _ in range(6):
                clients.smtplib_(srv, MESSAGE)
            wait_until(lambda: event(scrape(port), "message.delivered") == 6, 60, "six deliveries")
            wait_until(lambda: value(scrape(path), "sallyport_sessions") == 0, 30, "sessions to end")
            text = scrape(path)
            check(event(text, "message.accepted") - event(before, "message.accepted") == 6, text)
            check(event(text, "login.ok", "server") == 6, text)
            check(event(text, "message.delivered") == 6, text)
            check(event(text, "role.start", "supervisor") >= 6, text)
            check(value(text, "sallyport_accepted_recipients_total") == 6, text)
            check(value(text, "sallyport_accepted_octets_total") == 6 * len(MESSAGE), text)
            check(value(text, "sallyport_reply_seconds_count") == 6, text)
            check(value(text, 'sallyport_reply_seconds_bucket{le="+Inf"}') == 6, text)
            check(0 < value(text, "sallyport_reply_seconds_sum") < 600, text)
            counts = [float(n) for n in re.findall(r"^sallyport_reply_seconds_bucket\S+ (\S+)$", text, re.M)]
            check(counts == sorted(counts) and len(counts) == 15, f"{counts}")
            check(value(text, 'sallyport_queue_jobs{state="waiting"}') == 0, text)
            check(value(text, "sallyport_queue_oldest_seconds") == 0, text)
            check(abs(value(text, "sallyport_start_time_seconds") - time.time()) < 600, text)
            srv.stop()
        finally:
            srv.process.stop(signal.SIGKILL)


@test("sessions count over all server processes; a killed one's sessions are gone, its counts are not")
def _():
    with work() as tmp:
        port, _, srv = with_metrics(tmp)
        srv.start()
        try:
            held = [socket.create_connection(("127.0.0.1", srv.port), 20) for _ in range(12)]
            for s in held:
                check(s.recv(100).startswith(b"220 "), "no banner")
            text = scrape(port)
            check(value(text, "sallyport_sessions") == 12 and event(text, "session.open") == 12, text)
            servers = [pid for pid, role in srv.roles() if role == "server"]
            check(len(servers) == 2, f"{srv.roles()}")
            for pid in servers:
                os.kill(pid, signal.SIGKILL)
            wait_until(lambda: value(scrape(port), "sallyport_sessions") == 0, 30, "the killed ones' sessions")
            wait_until(lambda: event(scrape(port), "role.died", "supervisor") == 2, 30, "both deaths to be known")
            text = scrape(port)
            check(event(text, "session.open") == 12, "a counter went back")
            check(event(text, "role.died", "supervisor") == 2, text)
            for s in held:
                s.close()
            srv.stop()
        finally:
            srv.process.stop(signal.SIGKILL)


@test("the queue's jobs by state, and the age of the oldest")
def _():
    with work() as tmp:
        port = free_port()
        srv = Sallyport(tmp, more=f"metrics = 127.0.0.1:{port}\n",
                        routes=f"route away {{\n    match = example.net\n    to = smarthost\n"
                               f"    host = 127.0.0.1:{free_port()}\n    tls = none\n}}\n")
        srv.start()
        try:
            clients.smtplib_(srv, MESSAGE, to=["x@example.net"])
            wait_until(lambda: event(scrape(port), "message.deferred") == 1, 60, "the deferral")
            text = scrape(port)
            check(value(text, 'sallyport_queue_jobs{state="waiting"}') == 1, text)
            check(value(text, "sallyport_queue_destinations") == 1, text)
            call([SALLYPORT, "queue", "hold", "--config", srv.config, "--all"])
            check(value(scrape(port), 'sallyport_queue_jobs{state="held"}') == 1, text)
            wait_until(lambda: value(scrape(port), "sallyport_queue_oldest_seconds") > 0.5, 30, "an age")
            srv.stop()
        finally:
            srv.process.stop(signal.SIGKILL)


@test("no label comes from outside: hostile sessions make no new row")
def _():
    with work() as tmp:
        port, _, srv = with_metrics(tmp)
        srv.start()
        try:
            rows = lambda: {line.rsplit(" ", 1)[0] for line in scrape(port).splitlines()}
            before = rows()
            for n in range(20):
                with socket.create_connection(("127.0.0.1", srv.port), 20) as s:
                    s.recv(100)
                    s.sendall(f'EHLO x{n}"\nhost\r\nAUTH X{n} abc\r\nMAIL FROM:<a{n}@b>\r\nQUIT\r\n'.encode())
                    while s.recv(1000):
                        pass
            wait_until(lambda: event(scrape(port), "session.close") >= 20, 30, "the ends of sessions")
            check(rows() == before, f"{rows() ^ before}")
            srv.stop()
        finally:
            srv.process.stop(signal.SIGKILL)


@test("other paths, methods and nonsense get a refusal or nothing; HEAD has no body")
def _():
    with work() as tmp:
        port, _, srv = with_metrics(tmp)
        srv.start()
        try:
            for ask, answer in ((b"GET / HTTP/1.1\r\n\r\n", b"HTTP/1.1 404 "),
                                (b"GET /metrics/../x HTTP/1.0\r\n\r\n", b"HTTP/1.1 404 "),
                                (b"POST /metrics HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello", b"HTTP/1.1 405 "),
                                (b"\r\n\r\n", b"HTTP/1.1 405 "), (b"\x16\x03\x01\n\n", b"HTTP/1.1 405 "),
                                (b"GET /metrics?x=y HTTP/1.1\n\n", b"HTTP/1.1 200 "),
                                (b"HEAD /metrics HTTP/1.1\r\n\r\n", b"HTTP/1.1 200 ")):
                got = http(port, ask)
                check(got.startswith(answer), f"{ask}: {got[:200]}")
                if ask.startswith(b"HEAD"):
                    check(got.endswith(b"\r\n\r\n"), "HEAD has a body")
            try:
                got = http(port, b"GET /metrics HTTP/1.1\r\n" + b"X: y\r\n" * 5000)
            except OSError:
                got = b""
            check(got == b"", "a request of 30,000 octets was answered")
            scrape(port)
            srv.stop()
        finally:
            srv.process.stop(signal.SIGKILL)


@test("scrapers that neither ask nor read hold up nobody: mail goes on, and so does the next scraper")
def _():
    with work() as tmp:
        port, _, srv = with_metrics(tmp)
        srv.start()
        try:
            lazy = [socket.create_connection(("127.0.0.1", port), 20) for _ in range(30)]
            for s in lazy[:10]:
                s.sendall(b"GET /met")
            for _ in range(3):
                clients.smtplib_(srv, MESSAGE)
            srv.mailbox("bob").wait(3)
            # The eight that were let in have ten seconds; then the next ones ...
            got = http(port, b"GET /metrics HTTP/1.1\r\n\r\n", seconds=100)
            check(got.startswith(b"HTTP/1.1 200"), f"{got[:100]}")
            for s in lazy:
                s.close()
            srv.stop()
        finally:
            srv.process.stop(signal.SIGKILL)


@test("a reload opens and closes addresses; the socket is its group's; without the key there is none")
def _():
    need_root()
    with work() as tmp:
        port, path, srv = with_metrics(tmp)
        srv.start()
        try:
            check(os.stat(path).st_mode & 0o777 == 0o600, oct(os.stat(path).st_mode))
            text, port2 = srv.config.read_text(), free_port()
            srv.config.write_text(text.replace(f"metrics = 127.0.0.1:{port} unix:{path}",
                                               f"metrics = 127.0.0.1:{port2}"))
            srv.process.p.send_signal(signal.SIGHUP)
            wait_until(lambda: port_open(port2) and not port_open(port), 60, "the reload")
            wait_until(lambda: not path.exists(), 30, "the old socket to go")
            check(value(scrape(port2), "sallyport_configuration_generation") == 1, "the generation")
            srv.config.write_text(re.sub("metrics = .*", "", text))
            srv.process.p.send_signal(signal.SIGHUP)
            wait_until(lambda: not port_open(port2), 60, "the second reload")
            srv.stop()
        finally:
            srv.process.stop(signal.SIGKILL)


run()
