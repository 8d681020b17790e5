#!/usr/bin/python3
# sets: default
# timeout: 300
"""SIGHUP, key by key: what comes into force, what says that it needs a restart, and each
class of mistake, which leaves everything as it was."""
import grp, signal, socket, stat, time
from harness import *
from wire import *

without_server()


def submit(w, name):
    w.mail()
    w.rcpt()
    w.submit(message(name))


def hup(srv, text, *words, seconds=15):
    """Puts this configuration there, and returns what the log says once it has these words;
    without words at once, as nothing need be said."""
    before = len(srv.process.output())
    if text is not None:
        srv.config.write_text(text)
    srv.process.p.send_signal(signal.SIGHUP)

    if not words:
        return ""

    def said():
        new = srv.process.output()[before:]
        return new if all(w in new for w in words) else None
    try:
        return wait_until(said, seconds, f"{words} in the log")
    except Failed as e:
        raise Failed(f"{e}\n{srv.process.output()[before:]}") from None


def top(text, line):
    """With this line among the keys at the top."""
    return text.replace("data-directory", line + "\ndata-directory", 1)


def size(srv):
    """The SIZE that a new session is offered."""
    with Wire(srv) as w:
        return int(re.search(r"SIZE (\d+)", w.ehlo())[1])


def queue_list(srv):
    return call([SALLYPORT, "queue", "list", "--config", srv.config])


@test("every class of mistake is refused with its words; the old configuration stays, no session ends")
def _():
    need_root()
    with work() as tmp, server(tmp, more="message-size = 200000") as srv, \
            socket.create_server(("127.0.0.1", 0)) as taken:
        good = srv.config.read_text()
        wrong_ca = tmp / "junk.pem"
        wrong_ca.write_text("junk\n")
        _, other = srv.certificates.server("other")
        port = taken.getsockname()[1]
        new = good.replace("message-size = 200000", "message-size = 300000")
        ca = f"client-ca = {srv.ca}"
        mistakes = [
            (new.replace("tls main {", "tls main"), f"{srv.config}:"),
            (new + "\nlistener {\n", f"{srv.config}:"),
            (new.replace("local-domains", "local-domain"), "local-domain", "did you mean"),
            (new.replace("300000", "lots"), "message-size", "expected"),
            (new.replace(str(srv.certificate), f"{tmp}/none.pem"), f"tls main: cannot open {tmp}/none.pem: No such file"),
            (new.replace(str(srv.key), str(other)), f"the key {other} does not belong to the certificate {srv.certificate}"),
            (new.replace(ca, f"client-ca = {tmp}/none.pem"), f"listener submission: cannot open {tmp}/none.pem"),
            (new.replace(ca, f"client-ca = {wrong_ca}"), f"{wrong_ca}: no certificate (PEM) in it"),
            (new.replace(ca, f"{ca}\n    client-crl = {tmp}/none.crl"), f"cannot open {tmp}/none.crl"),
            (new.replace(f":{srv.port}\n", f":{srv.port} 127.0.0.1:{port}\n"),
             f"cannot listen on 127.0.0.1:{port}: Address already in use"),
            (top(new, "admin-group = nosuchgroup"), "there is no group nosuchgroup (admin-group)"),
            (top(new, f"control-socket = {tmp}/none/control"), f"cannot listen on {tmp}/none/control: No such file"),
            (new.replace(f"data-directory = {srv.store}", f"data-directory = {tmp}"),
             "data-directory cannot change while the service runs: stop it and start it again"),
            (new + "\nroute x {\n    match = a.test\n    to = smarthost\n    host = h.test\n    user = u\n"
             f"    password-file = {tmp}/none\n}}\n", f"route x: cannot open {tmp}/none"),
        ]
        with inside(srv) as w:
            for n, (text, *words) in enumerate(mistakes):
                check(text != good and text != new, f"mistake {n} is none")
                hup(srv, text, "reload.refused", *words)
                check(size(srv) == 200000, f"mistake {n}: the new size is in force")
            submit(w, "through all of it")
            check(len(queue_list(srv)) > 0, "the control socket is gone")
            hup(srv, new, " - reload ")
            wait_until(lambda: size(srv) == 300000, 20, "the mended configuration")
            submit(w, "afterwards")
        srv.mailbox("bob").wait(2)
        check("role.died" not in srv.process.output(), "a role died")


@test("control-socket and admin-group: the new place and the new group count at once")
def _():
    need_root()
    with work() as tmp, server(tmp) as srv:
        old, new = srv.store / "control", tmp / "elsewhere"
        text = srv.config.read_text()
        hup(srv, top(text, f"control-socket = {new}"), " - reload ")
        wait_until(new.exists, 20, "the new socket")
        check(not old.exists(), "the old socket is still there")
        check("empty" in queue_list(srv), "no answer at the new place")
        check(stat.S_IMODE(os.stat(new).st_mode) == 0o600, "mode without a group")
        group = grp.getgrnam("games")
        hup(srv, top(text, f"control-socket = {new}\nadmin-group = games"), " - reload ")
        st = wait_until(lambda: (lambda s: s if s.st_gid == group.gr_gid else None)(os.stat(new)), 20, "the group")
        check(stat.S_IMODE(st.st_mode) == 0o660, f"mode {st.st_mode:o} with a group")
        hup(srv, top(text, f"control-socket = {new}"), " - reload ")
        st = wait_until(lambda: (lambda s: s if s.st_gid != group.gr_gid else None)(os.stat(new)), 20, "no group")
        check(stat.S_IMODE(st.st_mode) == 0o600, f"mode {st.st_mode:o} without a group")
        pid = next(p for p, r in srv.roles() if r == "queue")
        os.kill(pid, signal.SIGKILL)  # the next one gets the socket that is in force
        wait_until(lambda: "role.start" in srv.process.output().split("role.died")[-1], 10, "a new queue role")
        check("empty" in queue_list(srv), "no answer after a new start of the queue role")
        hup(srv, text, " - reload ")
        wait_until(old.exists, 20, "the old place again")
        check("empty" in queue_list(srv) and not new.exists(), "back again")
        srv.stop()
        check(not old.exists(), "left behind at the end")
        srv.start()


@test("user, group and numbers of processes: the reload says that they need a restart")
def _():
    need_root()
    with work() as tmp, server(tmp, more="message-size = 200000\ndelivery-processes = 1\nserver-processes = 2") as srv:
        text = srv.config.read_text()
        for old, new, key in (("user = nobody", "user = daemon", "key=user"),
                              ("group = nogroup", "group = games", "key=group"),
                              ("server-processes = 2", "server-processes = 3", "key=server-processes"),
                              ("delivery-processes = 1", "delivery-processes = 2", "key=delivery-processes")):
            said = hup(srv, text.replace(old, new).replace("200000", "300000"), " - reload ", key)
            check("comes into force when the service is stopped and started again" in said, said)
            wait_until(lambda: size(srv) == 300000, 20, "the rest of the configuration")
            hup(srv, text, " - reload ", key)
            wait_until(lambda: size(srv) == 200000, 20, "the old configuration")
        said = hup(srv, text, " - reload ")
        check("key=" not in said, f"nothing differs: {said}")


@test("log-level and log-format count at once, in every role and the supervisor")
def _():
    with work() as tmp, server(tmp) as srv:
        text = srv.config.read_text()
        sent = 0

        def said():
            """What the log says of one message, from its connection to its delivery."""
            nonlocal sent
            sent += 1
            before = len(srv.process.output())
            with inside(srv) as w:
                submit(w, f"m{sent}")
            srv.mailbox("bob").wait(sent)
            wait_until(lambda: "empty" in queue_list(srv), 20, "the delivery to be settled")
            return [l for l in srv.process.output()[before:].splitlines() if l and "command=" not in l]
        check(len(said()) > 3, "a message leaves no trace in the log: this proves nothing")
        hup(srv, top(text, "log-format = json"), "reload")
        wait_until(lambda: all(l.startswith("{") for l in said()), 20, "every line to be JSON")
        hup(srv, top(text, "log-level = error"))
        wait_until(lambda: not said(), 20, "nothing to be said of what goes well")
        hup(srv, text, " - reload ")


@test("a listener that goes keeps its sessions; its address is free again")
def _():
    with work() as tmp, server(tmp) as srv:
        text = srv.config.read_text()
        at = text.index("listener submissions {")
        with inside(srv, implicit=True) as w:
            hup(srv, text[:at], " - reload ")
            wait_until(lambda: not port_open(srv.tls_port), 20, "the port to close")
            submit(w, "kept")
            with socket.create_server(("127.0.0.1", srv.tls_port)):
                pass
        srv.mailbox("bob").wait(1)
        hup(srv, text, " - reload ")
        wait_until(lambda: port_open(srv.tls_port), 20, "the port again")


@test("names of a tls section say for whom its certificate is shown; a reload changes them")
def _():
    with work() as tmp:
        pki = Certificates(tmp / "more")
        pairs = [pki.server(name) for name in ("first", "second")]

        def sections(*names):
            return "".join(f"tls t{i} {{\n    certificate = {c}\n    key = {k}\n    names = {n}\n}}\n"
                           for i, ((c, k), n) in enumerate(zip(pairs, names)))

        def shown(srv, name):
            context = ssl.create_default_context(cafile=pki.ca)
            context.check_hostname = False
            with socket.create_connection(("127.0.0.1", srv.tls_port), 30) as s, \
                    context.wrap_socket(s, server_hostname=name) as t:
                der = t.getpeercert(True)
            return [ssl.PEM_cert_to_DER_cert(c.read_text()) for c, _ in pairs].index(der)
        before = sections("one.test", "two.test *.two.test")
        with server(tmp, more=before, listener="    certificate = t0 t1\n") as srv:
            for name, want in (("one.test", 0), ("two.test", 1), ("a.two.test", 1), ("localhost", 0), ("x.test", 0)):
                check(shown(srv, name) == want, f"{name} is not shown certificate {want}")
            hup(srv, srv.config.read_text().replace(before, sections("two.test", "localhost")), " - reload ")
            wait_until(lambda: shown(srv, "localhost") == 1 and shown(srv, "two.test") == 0, 20, "the new names")

run()
