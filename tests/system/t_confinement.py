#!/usr/bin/python3
# sets: default
# timeout: 300
"""A kernel that cannot lock a role in, or fails to: what `confinement` says happens."""
import smtplib, ssl
from harness import *

WITHOUT = Path(os.environ.get("SALLYPORT_BUILD", "")) / "tests/daemon/without"


def made(tmp, what, setting):
    """A server that is not started yet, on a kernel without that."""
    need_server()
    srv = Sallyport(tmp, more=f"confinement = {setting}\n" if setting else "")
    serve = srv.command()
    srv.command = lambda: [WITHOUT, what, *serve]
    return srv


def refused(what, setting, status, words):
    @test(f"{what} fails, confinement = {setting or 'offered'}: the server does not start, and says why")
    def _():
        with work() as tmp:
            srv = made(tmp, what, setting)
            said = call(srv.command(), ok=(status,), seconds=120)
            check(words in said, said)
            check("confinement = " in said, said)
            check(" ready " not in said, said)


def goes_on(what, setting, words):
    @test(f"{what} fails, confinement = {setting or 'offered'}: the server says so and takes mail")
    def _():
        with work() as tmp:
            srv = made(tmp, what, setting)
            srv.start()
            try:
                trust = ssl.create_default_context(cafile=str(srv.ca))
                with smtplib.SMTP_SSL("localhost", srv.tls_port, context=trust, timeout=60) as s:
                    s.login(srv.user, srv.password)
                    s.sendmail(srv.address, [srv.address], "Subject: x\r\n\r\nx\r\n")
                wait_until(lambda: srv.mailbox(srv.user).files(), 30, "the message")
                check(words in srv.process.output(), srv.process.output())
            finally:
                srv.stop()


refused("landlock", None, 74, "does not confine the process to its files")
refused("seccomp", None, 74, "takes no filter of system calls")
refused("no-landlock", "full", 69, "confinement = full")
goes_on("landlock", "attempted", "does not confine the process to its files")
goes_on("seccomp", "attempted", "takes no filter of system calls")
goes_on("no-landlock", None, "roles are not confined to their files")

run()
