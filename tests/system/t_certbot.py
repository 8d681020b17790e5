#!/usr/bin/python3
# sets: default
# timeout: 120
"""The deploy hook for certbot, called by certbot's own code with its environment."""
import ssl, socket, smtplib
from harness import *

need_server()
if SALLYPORT == "standin":
    print("skipped: the stand-in has no configuration\n0 passed, 0 failed, 1 skipped")
    sys.exit(0)

HOOK = ROOT / "examples/certbot-deploy-hook"
# What `certbot renew` does behind a renewal: certbot/_internal/hooks.py.
CERTBOT = """
import sys
from certbot._internal import hooks
hooks._run_deploy_hook(sys.argv[1], [sys.argv[3]], sys.argv[2], False)
"""


def certbot(lineage, env, direct=False):
    env = {"SALLYPORT": SALLYPORT, **env}
    have = subprocess.run([PYTHON, "-c", "import certbot._internal.hooks"], capture_output=True).returncode == 0
    if have and not direct:
        return call([PYTHON, "-c", CERTBOT, HOOK, lineage, "localhost"], env=env, ok=(0,))
    return call([HOOK], env={"RENEWED_LINEAGE": str(lineage), "RENEWED_DOMAINS": "localhost", **env}, ok=range(256))


def served(srv):
    with smtplib.SMTP("localhost", srv.port, timeout=30) as s:
        s.starttls(context=ssl.create_default_context(cafile=srv.ca))
        return s.sock.getpeercert()["serialNumber"]


@test("a renewed lineage is in force by itself, the hook is content; one that does not fit is told, the old one stays")
def _():
    with work() as tmp:
        srv = Sallyport(tmp)
        live, archive = tmp / "live/localhost", tmp / "archive/localhost"
        live.mkdir(parents=True)
        archive.mkdir(parents=True)

        def renew(n, cert, key):
            for name, content in (("fullchain", cert), ("privkey", key)):
                shutil.copy(content, archive / f"{name}{n}.pem")
                (live / f"{name}.new").symlink_to(archive / f"{name}{n}.pem")
                os.rename(live / f"{name}.new", live / f"{name}.pem")

        renew(1, srv.certificate, srv.key)
        srv.config.write_text(srv.config.read_text().replace(f"certificate = {srv.certificate}", f"certificate = {live}/fullchain.pem")
                              .replace(f"key = {srv.key}", f"key = {live}/privkey.pem"))
        srv.start()
        try:
            # Also tells that the hook came so far.
            (tmp / "wrapper").write_text(f'#!/bin/sh\necho "$RENEWED_DOMAINS $*" >>{tmp}/ran\nexec {SALLYPORT} "$@"\n')
            os.chmod(tmp / "wrapper", 0o755)
            env = {"SALLYPORT_CONF": str(srv.config), "SALLYPORT": str(tmp / "wrapper")}
            first = served(srv)
            renew(2, *srv.certificates.server("second"))
            said = certbot(live, env)
            check("cannot be used" not in said, said)
            check((tmp / "ran").read_text().startswith("localhost config check --files"), (tmp / "ran").read_text())
            wait_until(lambda: served(srv) != first, 60, "the new certificate")
            second = served(srv)
            cert, key = srv.certificates.server("third")
            renew(3, cert, srv.key)  # a key of another certificate
            check("cannot be used" in certbot(live, env, direct=True), "a pair that does not fit was not told")
            time.sleep(3)
            check(served(srv) == second, "the old certificate is gone")
            check(certbot("/etc/letsencrypt/live/else.example", env, direct=True) == "", "another lineage was minded")
            srv.stop()
        finally:
            srv.process.stop(9)


run()
