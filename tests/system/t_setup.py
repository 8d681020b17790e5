#!/usr/bin/python3
# sets: default
# timeout: 120
"""sallyport user setup: what it writes, used by the programs it is for."""
import plistlib, stat, xml.etree.ElementTree as ET
from harness import *

need_server()
if SALLYPORT == "standin":
    print("skipped: the stand-in has no accounts\n0 passed, 0 failed, 1 skipped")
    sys.exit(0)

TEXT = b"From: alice@example.org\nTo: bob@example.org\nSubject: by %s\n\nhello\n"


def setup(srv, out, *words, ok=(0,)):
    return call([SALLYPORT, "user", "setup", srv.user, "--config", srv.config, "--out", out, "--host", "localhost",
                 "--ca", srv.ca, *words], ok=ok)


@test("msmtp, curl, mutt and swaks send with the files as they are, by password")
def _():
    with work() as tmp, server(tmp) as srv:
        out = tmp / "settings"
        said = setup(srv, out, "--password-file", srv.password_file)
        check("msmtprc" in said and srv.password not in said, said)
        for path in out.iterdir():
            check(stat.S_IMODE(path.stat().st_mode) == 0o600 and srv.password not in path.read_text(), f"{path}")
        box, sent = srv.mailbox("bob"), 0
        call(["msmtp", "-C", out / "msmtprc", "bob@example.org"], stdin=TEXT % b"msmtp")
        (tmp / "m").write_bytes(TEXT % b"curl")
        call(["curl", "-sS", "-K", out / "curlrc", "--mail-rcpt", "bob@example.org", "--upload-file", tmp / "m", "--max-time", "60",
              "--user", f"{srv.user}:{srv.password}"])
        call(["swaks", "--config", out / "swaksrc", "--to", "bob@example.org", "--auth-password", srv.password,
              "--header", "Subject: by swaks"])
        want = [b"msmtp", b"curl", b"swaks"]
        if shutil.which("mutt"):
            call(["mutt", "-F", out / "muttrc", "-e", "set record=''; set copy=no", "-s", "by mutt", "bob@example.org"], stdin=b"hello\n")
            want.append(b"mutt")
        got = b"".join(box.wait(len(want)))
        for name in want:
            check(b"Subject: by " + name in got, f"nothing came by {name}")


@test("by certificate: msmtp and curl log in with it, and no password is asked for")
def _():
    with work() as tmp, server(tmp) as srv:
        both = tmp / "client.pem"
        both.write_bytes(Path(srv.client_certificate).read_bytes() + Path(srv.client_key).read_bytes())
        out = tmp / "settings"
        setup(srv, out, "--certificate", both)
        call(["msmtp", "-C", out / "msmtprc", "bob@example.org"], stdin=TEXT % b"msmtp")
        (tmp / "m").write_bytes(TEXT % b"curl")
        call(["curl", "-sS", "-K", out / "curlrc", "--mail-rcpt", "bob@example.org", "--upload-file", tmp / "m", "--max-time", "60"])
        srv.mailbox("bob").wait(2)
        check(srv.process.output().count("login.ok mechanism=EXTERNAL") == 2, srv.process.tail())


@test("Thunderbird's file has what its format wants: both ports, socket types, names; nothing is overwritten")
def _():
    with work() as tmp:
        srv = Sallyport(tmp)
        out = tmp / "settings"
        setup(srv, out)
        root = ET.parse(out / "config-v1.1.xml").getroot()
        check(root.tag == "clientConfig" and root.get("version") == "1.1", root.tag)
        check(root.find("emailProvider").get("id") == "example.org" and root.findtext("emailProvider/domain") == "example.org", "domain")
        got = [{c.tag: c.text for c in s} | {"type": s.get("type")} for s in root.iter("outgoingServer")]
        check(got == [{"hostname": "localhost", "port": str(port), "socketType": kind, "username": "alice",
                       "authentication": "password-cleartext", "type": "smtp"}
                      for port, kind in ((srv.tls_port, "SSL"), (srv.port, "STARTTLS"))], f"{got}")
        check("cannot make config-v1.1.xml" in setup(srv, out, ok=range(1, 256)), "it was overwritten")
        check(str(srv.tls_port) in (out / "phone.txt").read_text(), "phone.txt")
        said = call([SALLYPORT, "user", "setup", "nobody-here", "--config", srv.config, "--out", tmp / "x"], ok=range(1, 256))
        check("no such account" in said and not (tmp / "x").exists(), said)


@test("with --imap and --p12: Thunderbird's file names the mailbox, the iPhone's profile has both servers, the key and the CA")
def _():
    with work() as tmp:
        srv = Sallyport(tmp)
        p12, out = tmp / "alice.p12", tmp / "settings"
        call(["openssl", "pkcs12", "-export", "-in", srv.client_certificate, "-inkey", srv.client_key, "-out", p12, "-passout", "pass:x1"])
        said = setup(srv, out, "--imap", "imap.example.org", "--p12", p12)
        check("apple.mobileconfig" in said and "client.p12" in said and "without --imap" not in said, said)
        for path in out.iterdir():
            check(stat.S_IMODE(path.stat().st_mode) == 0o600, f"{path}")
        call(["openssl", "pkcs12", "-in", out / "client.p12", "-passin", "pass:x1", "-nodes"])
        root = ET.parse(out / "config-v1.1.xml").getroot()
        box = root.find("emailProvider/incomingServer")
        check({c.tag: c.text for c in box} == {"hostname": "imap.example.org", "port": "993", "socketType": "SSL", "username": "alice",
                                               "authentication": "password-cleartext"} and box.get("type") == "imap", "mailbox")
        profile = plistlib.loads((out / "apple.mobileconfig").read_bytes())
        parts = {p["PayloadType"]: p for p in profile["PayloadContent"]}
        check(list(parts) == ["com.apple.security.pem", "com.apple.security.pkcs12", "com.apple.mail.managed"], f"{list(parts)}")
        check(parts["com.apple.security.pkcs12"]["PayloadContent"] == p12.read_bytes(), "another key")
        check(parts["com.apple.security.pem"]["PayloadContent"] == Path(srv.ca).read_bytes(), "another CA")
        mail = parts["com.apple.mail.managed"]
        want = {"EmailAddress": "alice@example.org", "IncomingMailServerHostName": "imap.example.org", "IncomingMailServerPortNumber": 993,
                "OutgoingMailServerHostName": "localhost", "OutgoingMailServerPortNumber": srv.tls_port, "OutgoingMailServerUseSSL": True,
                "OutgoingMailServerUsername": "alice", "OutgoingMailServerAuthentication": "EmailAuthPassword"}
        check({k: mail.get(k) for k in want} == want, f"{mail}")
        ids = [p["PayloadUUID"] for p in [profile, *parts.values()]]
        check(len(set(ids)) == 4 and all(re.fullmatch(r"[0-9A-F]{8}(-[0-9A-F]{4}){3}-[0-9A-F]{12}", i) for i in ids), f"{ids}")
        check(all({"PayloadIdentifier", "PayloadVersion"} <= set(p) for p in [profile, *parts.values()]), "a payload without a name")
        (tmp / "text").write_text("no key\n")
        said = setup(srv, tmp / "y", "--p12", tmp / "text", ok=range(1, 256))
        check("is no PKCS#12 file" in said and not (tmp / "y").exists(), said)


run()
