#!/usr/bin/python3
# sets: default
# timeout: 120
"""`send --server srv://DOMAIN`: the submission server that the DNS names (RFC 6186).

A network and a resolver of its own: this file runs again inside them.
"""
import sys

from harness import *
from zone import Zone

INSIDE = "SALLYPORT_TEST_INSIDE"


def send(srv, domain, status=0, *more):
    return call([SALLYPORT, "send", "--server", f"srv://{domain}", "--user", srv.user, "--password-file",
                 srv.password_file, "--ca", srv.ca, "--from", srv.address, "--to", srv.address, *more],
                stdin=b"Subject: by SRV\r\n\r\nhello\r\n", ok=(status,))


def inside(tmp):
    srv = Sallyport(tmp)
    names = "DNS:submit.mail.example,DNS:outside.example,DNS:localhost"
    for new, old in zip(srv.certificates.sign("named", "/CN=named", names, "serverAuth"),
                        (srv.certificate, srv.key)):
        shutil.copy(new, old)
    here = [(n, "A", "127.0.0.1") for n in ("submit.mail.example", "mail.hoster.example", "outside.example", "submit.tls.example")]
    Zone(here + [
        ("_submissions._tcp.mail.example", "SRV", f"0 1 {srv.tls_port} submit.mail.example."),
        ("_submission._tcp.mail.example", "SRV", "0 1 9 submit.mail.example."),
        ("_submission._tcp.clear.mail.example", "SRV", "10 1 9 submit.mail.example."),
        ("_submission._tcp.clear.mail.example", "SRV", f"5 0 {srv.port} outside.example."),
        ("_submission._tcp.outside.example", "SRV", f"0 1 {srv.port} mail.hoster.example."),
        ("_submissions._tcp.evil.example", "SRV", f"0 1 {srv.tls_port} submit.mail.example."),
        ("_submissions._tcp.none.example", "SRV", "0 0 0 ."),
        ("_submissions._tcp.tls.example", "SRV", f"0 1 {srv.port} submit.tls.example."),
    ], signed=False, origin="mail.example", broken=["_submissions._tcp.dead.example"], port=53)
    srv.start()
    log = lambda: srv.log.read_text()

    @test("implicit TLS comes first; the server's name is believed inside the domain")
    def _():
        send(srv, "mail.example")
        check("session.open listener=submissions" in log() and "session.open listener=submission " not in log(), log())

    @test("a server elsewhere must prove the domain's name: it has it")
    def _():
        send(srv, "outside.example")
        check("session.open listener=submission " in log(), log())

    @test("a server elsewhere that lacks the domain's name gets no password, whatever the DNS says")
    def _():
        logins = log().count("login.ok")
        check("evil.example" in send(srv, "evil.example", 77), "the name that was missing")
        check(log().count("login.ok") == logins, "logged in")
        send(srv, "evil.example", 0, "--tls-name", "submit.mail.example")  # the user's own word

    @test("the better priority goes first")
    def _():
        said = send(srv, "clear.mail.example", 77)
        check("clear.mail.example" in said, said)  # it got as far as the certificate: port 9 is closed

    @test("implicit TLS that the DNS names is not tried again in clear")
    def _():
        # A STARTTLS port, said to speak TLS at once.
        opened = log().count("session.open")
        call([SALLYPORT, "send", "--server", "srv://tls.example", "--user", srv.user, "--password-file",
              srv.password_file, "--ca", srv.ca, "--from", srv.address, "--to", srv.address, "--timeout", "5"],
             stdin=b"Subject: x\r\n\r\n", ok=(69, 75, 76, 77))
        check(log().count("session.open") == opened + 1, "another connection")
        check("STARTTLS" not in log().rsplit("session.open", 1)[1], log())

    @test("a domain without one, a resolver that fails, a port, an address: words and a status")
    def _():
        check("names no submission server" in send(srv, "none.example", 68), "none")
        check("names no submission server" in send(srv, "nothing.mail.example", 68), "nothing")
        check("DNS" in send(srv, "dead.example", 75), "dead")
        check("port" in send(srv, "mail.example:25", 64), "port")
        check("domain" in send(srv, "127.0.0.1", 64), "address")

    run()
    srv.stop()


if os.environ.get(INSIDE):
    with work() as tmp:
        inside(tmp)
    sys.exit(0)


@test("the cases of this file, in a network of their own")
def _():
    need_root()
    if not shutil.which("ip"):
        skip("ip is missing")
    with work() as tmp:
        (tmp / "resolv.conf").write_text("nameserver 127.0.0.1\noptions timeout:2\n")
        (tmp / "nsswitch.conf").write_text("hosts: files dns\npasswd: files\ngroup: files\n")
        said = call(["unshare", "-n", "-m", "sh", "-c", f"""
            ip link set lo up
            mount --bind {tmp}/resolv.conf "$(realpath /etc/resolv.conf)"
            mount --bind {tmp}/nsswitch.conf /etc/nsswitch.conf
            exec {sys.executable} {Path(__file__).resolve()}"""], env={INSIDE: "yes"}, seconds=100, ok=range(256))
        print(said)
        check("6 passed, 0 failed" in said, "see above")


run()
