"""clients.py - real mail programs that submit a message.  Each function takes the server
(harness.Server), the message with CRLF line ends, and options:

    to=[...]      recipients (default bob@<local domain>)
    tls=          "starttls" (default) or "implicit"
    login=        "password" (default) or "certificate" (AUTH EXTERNAL or none, as the
                  program does it); sender is always the server's user

and raises harness.Failed with the program's words when it failed.  They do what a user's
documentation says, and verify the server's certificate.
"""
import base64, contextlib, hashlib, json, os, shutil, smtplib, ssl, subprocess, tempfile
from pathlib import Path

from harness import CACHE, HERE, Failed, call, lf, skip


@contextlib.contextmanager
def _scratch():
    with tempfile.TemporaryDirectory() as d:
        yield Path(d)


def _port(srv, tls):
    return srv.tls_port if tls == "implicit" else srv.port


def _to(srv, to):
    return to or [f"bob@{srv.local_domain}"]


def curl(srv, message, to=None, tls="starttls", login="password"):
    scheme = "smtps" if tls == "implicit" else "smtp"
    with _scratch() as d:
        (d / "m").write_bytes(message)
        # The password stands in a file, as curl's manual advises: not in ps.
        (d / "rc").write_text(f'user = "{srv.user}:{srv.password}"\n' if login == "password" else
                              f'cert = "{srv.client_certificate}"\nkey = "{srv.client_key}"\n'
                              f'login-options = "AUTH=EXTERNAL"\nuser = "{srv.address}:"\n')
        call(["curl", "-sS", "-K", d / "rc", "--ssl-reqd", "--cacert", srv.ca, "--mail-from",
              srv.address, *[w for r in _to(srv, to) for w in ("--mail-rcpt", r)],
              "--upload-file", d / "m", "--max-time", 60,
              f"{scheme}://localhost:{_port(srv, tls)}/client.example.org"])


def swaks(srv, message, to=None, tls="starttls", login="password"):
    """swaks makes CRLF of LF and ends the last line itself.  It replaces words like
    %TO_ADDRESS% in the message: none of ours has them.  It knows no EXTERNAL: with a
    certificate it just sends (implicit login)."""
    with _scratch() as d:
        (d / "m").write_bytes(lf(message).removesuffix(b"\n"))
        rc = (f"--auth-user {srv.user}\n--auth-password {srv.password}\n--auth PLAIN\n"
              if login == "password" else
              f"--tls-cert {srv.client_certificate}\n--tls-key {srv.client_key}\n")
        (d / "rc").write_text(rc)
        call(["swaks", "--config", d / "rc", "--server", "localhost", "--port",
              _port(srv, tls), "--tls-on-connect" if tls == "implicit" else "--tls",
              "--tls-verify", "--tls-ca-path", srv.ca, "--from", srv.address,
              "--to", ",".join(_to(srv, to)), "--data", f"@{d / 'm'}",
              "--helo", "client.example.org"])


def msmtp(srv, message, to=None, tls="starttls", login="password"):
    with _scratch() as d:
        rc = d / "rc"
        rc.write_text(
            f"account default\nhost localhost\nport {_port(srv, tls)}\nfrom {srv.address}\n"
            f"tls on\ntls_starttls {'off' if tls == 'implicit' else 'on'}\n"
            f"tls_trust_file {srv.ca}\nset_date_header off\nset_msgid_header off\n"
            "undisclosed_recipients off\nremove_bcc_headers off\n"
            + (f"auth on\nuser {srv.user}\npassword {srv.password}\n" if login == "password"
               else f"auth external\nuser {srv.address}\ntls_cert_file {srv.client_certificate}\n"
                    f"tls_key_file {srv.client_key}\n"))
        os.chmod(rc, 0o600)
        call(["msmtp", "-C", rc, *_to(srv, to)], stdin=lf(message))


def smtplib_(srv, message, to=None, tls="starttls", login="password"):
    context = ssl.create_default_context(cafile=srv.ca)
    if login == "certificate":
        context.load_cert_chain(srv.client_certificate, srv.client_key)
    try:
        if tls == "implicit":
            s = smtplib.SMTP_SSL("localhost", srv.tls_port, context=context, timeout=60)
        else:
            s = smtplib.SMTP("localhost", srv.port, timeout=60)
            s.starttls(context=context)
        with s:
            if login == "password":
                s.login(srv.user, srv.password)
            s.sendmail(srv.address, _to(srv, to), message,
                       mail_options=["BODY=8BITMIME"] if any(c > 127 for c in message) else [])
    except (OSError, smtplib.SMTPException) as e:
        raise Failed(f"smtplib: {e!r}") from None


def node_modules():
    """nodemailer at the version of node/package-lock.json, kept in the cache folder."""
    if not shutil.which("npm") and not shutil.which("node"):
        skip("node and npm are not installed")
    lock = (HERE / "node/package-lock.json").read_bytes()
    folder = CACHE / f"node-{hashlib.sha256(lock).hexdigest()[:16]}"
    if not (folder / "node_modules/nodemailer/package.json").exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=CACHE) as d:
            for name in ("package.json", "package-lock.json"):
                shutil.copy(HERE / "node" / name, d)
            done = subprocess.run(["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"],
                                  cwd=d, stdin=subprocess.DEVNULL, text=True, timeout=300,
                                  stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
            if done.returncode:
                skip(f"npm cannot install its packages: {done.stdout.strip()[-300:]}")
            folder.mkdir(exist_ok=True)
            with contextlib.suppress(OSError):  # another run was faster
                os.rename(f"{d}/node_modules", folder / "node_modules")
    return folder / "node_modules"


def nodemailer(srv, message, to=None, tls="starttls", login="password"):
    modules = node_modules()
    options = {"host": "localhost", "port": _port(srv, tls), "secure": tls == "implicit",
               "requireTLS": True, "ca": str(srv.ca), "from": srv.address, "to": _to(srv, to)}
    if login == "password":
        options |= {"user": srv.user, "password": srv.password}
    else:
        options |= {"cert": str(srv.client_certificate), "key": str(srv.client_key)}
    with _scratch() as d:
        (d / "m").write_bytes(message)
        options["message"] = str(d / "m")
        (d / "options.json").write_text(json.dumps(options))
        call(["node", HERE / "node/send.js", d / "options.json"], env={"NODE_PATH": str(modules)})


def sallyport(srv, message, to=None, tls="starttls", login="password"):
    """Our own client, against any server."""
    from harness import SALLYPORT
    scheme = "smtps" if tls == "implicit" else "smtp"
    how = (["--user", srv.user, "--password-file", srv.password_file] if login == "password"
           else ["--certificate", srv.client_certificate, "--key", srv.client_key])
    call([SALLYPORT, "send", "--server", f"{scheme}://localhost:{_port(srv, tls)}", "--ca",
          srv.ca, *how, "--from", srv.address,
          *[w for r in _to(srv, to) for w in ("--to", r)]], stdin=message)


ALL = {"curl": curl, "swaks": swaks, "msmtp": msmtp, "smtplib": smtplib_,
       "nodemailer": nodemailer}
