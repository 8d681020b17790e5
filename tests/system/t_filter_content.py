#!/usr/bin/python3
# sets: default
# timeout: 600
"""Content filters: out of the queue by SMTP or LMTP, back by the reinjection listener; the real amavis among them."""
import smtplib, socketserver, ssl, threading
from harness import *
from dkimlab import *

HEAD = "From: Alice <alice@example.org>\r\nTo: bob@example.org\r\nSubject: {}\r\n"


class Filter:
    """An SMTP or LMTP server that notes what was said, and gives the message back to `back` with a field added."""

    def __init__(self, lmtp=False, xforward=True):
        self.lmtp, self.xforward, self.back = lmtp, xforward, None
        self.said, self.broken, outer = [], False, self

        class Handler(socketserver.StreamRequestHandler):
            def handle(self):
                with contextlib.suppress(OSError, ValueError):
                    outer.serve(self.rfile, self.wfile)
        self.server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()

    def serve(self, r, w):
        def say(*lines):
            w.write("".join(f"{line}\r\n" for line in lines).encode())
        if self.broken:
            return
        say("220 filter ready")
        forward, mail, rcpt = "", "", []
        for line in iter(lambda: r.readline().decode("latin-1").rstrip("\r\n"), ""):
            self.said.append(line)
            verb = line.split()[0].upper()
            if verb in ("EHLO", "LHLO"):
                say("250-filter", "250-PIPELINING", "250-8BITMIME", *(["250-XFORWARD NAME ADDR PORT PROTO HELO IDENT SOURCE"]
                                                                     if self.xforward else []), "250 ENHANCEDSTATUSCODES")
            elif verb == "XFORWARD":
                forward = line
                say("250 2.5.0 Ok")
            elif verb == "MAIL":
                mail, rcpt = line, []
                say("250 2.1.0 Ok")
            elif verb == "RCPT":
                rcpt.append(line)
                say("250 2.1.5 Ok")
            elif verb == "DATA":
                say("354 go on")
                text = b"".join(iter(r.readline, b".\r\n"))
                answers = [self.give_back(forward, mail, rcpt, text)] * (len(rcpt) if self.lmtp else 1)
                say(*answers)
            elif verb == "QUIT":
                say("221 2.0.0 bye")
                return
            else:
                say("250 2.0.0 Ok")

    def give_back(self, forward, mail, rcpt, text):
        with socket.create_connection(("127.0.0.1", self.back), timeout=60) as s:
            f = s.makefile("rwb")

            def ask(line):
                if line:
                    f.write(line + b"\r\n")
                    f.flush()
                while (got := f.readline())[3:4] == b"-":
                    pass
                return got
            ask(b"")
            ask(b"EHLO filter")
            if forward:
                ask(forward.encode("latin-1"))
            ask(mail.encode("latin-1"))
            for to in rcpt:
                ask(to.encode("latin-1"))
            ask(b"DATA")
            return ask(b"X-Filtered: yes\r\n" + text + b".").decode().rstrip()


def sections(port, back, protocol="smtp", more=""):
    return (f"content-filter tested {{\n  address = 127.0.0.1:{port}\n  protocol = {protocol}\n{more}}}\n"
            f"listener back {{\n  address = 127.0.0.1:{back}\n  type = reinjection\n}}\n")


def submit(srv, text, rcpt=("bob@example.org",)):
    smtp = smtplib.SMTP("localhost", srv.port, timeout=120)
    smtp.starttls(context=ssl.create_default_context(cafile=srv.ca))
    smtp.login(srv.user, srv.password)
    smtp.sendmail(srv.address, list(rcpt), text.encode())
    smtp.quit()


def fields(octets, name):
    head = re.sub(rb"\r?\n[ \t]", b" ", octets.replace(b"\r\n", b"\n").split(b"\n\n")[0])
    return [v.strip().decode() for v in re.findall(rb"(?im)^" + name.encode() + rb":(.*)$", head)]


@test("out by SMTP and LMTP, once for all recipients, and back: identity and parameters are kept, DKIM is made at the end")
def _():
    for lmtp in (False, True):
        with work() as tmp, Filter(lmtp=lmtp) as f:
            f.back = free_port()
            key, record = own_key(tmp, "k1")
            with server(tmp, more=sections(f.port, f.back, "lmtp" if lmtp else "smtp") + key) as srv:
                submit(srv, HEAD.format("through") + "\r\n.hello\r\n", ("bob@example.org", "carol@example.org", "dave@example.org"))
                got = srv.mailbox("bob").wait(1)[0]
                srv.mailbox("carol").wait(1)
                check(fields(got, "X-Filtered") == ["yes"] and b"\n.hello" in got, got)
                check(len(fields(got, "Received")) == 2, fields(got, "Received"))
                check(verified(tmp, got, {"k1._domainkey.example.org": record}) == {"k1": True}, got)
                check(sum(s.startswith("MAIL") for s in f.said) == 1, f.said)
                forward = next(s for s in f.said if s.startswith("XFORWARD"))
                check("ADDR=127.0.0.1" in forward and "SOURCE=LOCAL" in forward, forward)
                name = re.search(r"IDENT=(\S+)", forward)[1]
                check(f"message.accepted id={name} " in srv.log.read_text(), name)
                wait_until(lambda: srv.log.read_text().count(f"message.delivered id={name} ") == 3, 30, "the end of the first way")
                again = re.findall(r"message.accepted id=(\S+)", srv.log.read_text())[-1]
                shown = call([SALLYPORT, "queue", "show", again, "--config", srv.config])
                check("user alice" in shown, f"whose it is was lost: {shown}")


@test("a filter that is down: acknowledged mail waits, and goes through when it is back; a message of 2 MB keeps every octet")
def _():
    with work() as tmp, Filter() as f:
        f.back, f.broken = free_port(), True
        big = "".join(f"{i:070d}\r\n" for i in range(30000))
        with server(tmp, more="retry-intervals = 1s\n" + sections(f.port, f.back)) as srv:
            submit(srv, HEAD.format("big") + "\r\n" + big)
            wait_until(lambda: " message.deferred " in srv.log.read_text(), 60, "the first attempt")
            check(not srv.mailbox("bob").files(), "it went past the filter")
            f.broken = False
            got = srv.mailbox("bob").wait(1)[0]
            check(lf(got).split(b"\n\n", 1)[1] == lf(big.encode()), "the body changed")


@test("the reinjection listener: this machine only, no TLS, no AUTH; an IDENT that is not ours gives nobody's identity")
def _():
    with work() as tmp, Filter(xforward=False) as f:
        f.back = free_port()
        with server(tmp, more=sections(f.port, f.back)) as srv:
            smtp = smtplib.SMTP("127.0.0.1", f.back)
            smtp.ehlo()
            check({k.upper() for k in smtp.esmtp_features} == {"PIPELINING", "SIZE", "8BITMIME", "SMTPUTF8", "DSN",
                                                               "ENHANCEDSTATUSCODES", "XFORWARD"}, smtp.esmtp_features)
            check(smtp.docmd("XFORWARD", "IDENT=01XXXXXXXXXXX")[0] == 250, "XFORWARD was refused")
            smtp.sendmail("someone@else.example", ["bob@example.org"], (HEAD.format("direct") + "\r\nx\r\n").encode())
            smtp.quit()
            check(fields(srv.mailbox("bob").wait(1)[0], "Subject") == ["direct"], "not delivered")
            check("did not have from us" in srv.log.read_text(), "a foreign id is not in the log")
            check("user=\"\"" in srv.log.read_text().split("message.accepted")[-1], "somebody's identity was given")
            explained = call([SALLYPORT, "config", "explain", "--listener", "submission", "--config", srv.config])
            check("content-filter = tested" in explained, explained)
        bad = tmp / "bad.conf"
        bad.write_text(srv.config.read_text().replace(f"127.0.0.1:{f.back}", f"*:{f.back}"))
        said = call([SALLYPORT, "config", "check", "--config", bad], ok=range(1, 256))
        check("can be reached from other machines" in said, said)


AMAVIS = """
use strict;
$max_servers = 2; $daemon_user = 'amavis'; $daemon_group = 'amavis';
$MYHOME = '{home}'; $TEMPBASE = "$MYHOME/tmp"; $ENV{{TMPDIR}} = $TEMPBASE;
$pid_file = "$MYHOME/amavis.pid"; $lock_file = "$MYHOME/amavis.lock"; $db_home = "$MYHOME/db";
$helpers_home = $MYHOME; $enable_db = 0; $enable_zmq = 0; $nanny_details_level = 0;
$mydomain = 'example.org'; $myhostname = 'mail.example.org'; @local_domains_maps = (["."]);
$log_level = 2; $do_syslog = 0; $LOGFILE = "$MYHOME/amavis.log"; $DO_SYSLOG = 0;
@bypass_virus_checks_maps = (1); @bypass_spam_checks_maps = (1);
@inet_acl = qw(127.0.0.1); $inet_socket_bind = '127.0.0.1'; $inet_socket_port = [{port}];
$forward_method = 'smtp:[127.0.0.1]:{back}'; $notify_method = $forward_method;
$enable_dkim_verification = 0; $enable_dkim_signing = 0;
$final_banned_destiny = D_REJECT; $banned_filename_re = new_RE( qr'\\.exe$'i );
$final_bad_header_destiny = D_PASS; $QUARANTINEDIR = undef; $virus_admin = undef; $banned_quarantine_to = undef;
$bad_header_quarantine_to = undef; $insert_received_line = 1; $allow_disclaimers = 0;
@decoders = (['mail', \\&do_mime_decode]);
1;
"""


@test("amavis, for real: out to its port, back on ours, signed behind it; what it refuses is returned to the sender")
def _():
    exe = shutil.which("amavisd") or shutil.which("amavisd", path="/usr/sbin") or skip("amavisd-new is not installed")
    need_root()
    with work() as tmp:
        home, port, back = tmp / "amavis", free_port(), free_port()
        os.chmod(tmp, 0o755)
        home.mkdir()
        for d in (home / "tmp", home / "db"):
            d.mkdir()
        (tmp / "amavis.conf").write_text(AMAVIS.format(home=home, port=port, back=back))
        for p in (home, home / "tmp", home / "db"):
            shutil.chown(p, "amavis", "amavis")
        key, record = own_key(tmp, "k1")
        with Process("amavis", [exe, "-c", tmp / "amavis.conf", "foreground"], tmp / "amavis.out") as p, \
                server(tmp, more=sections(port, back) + key) as srv:
            p.wait_ready(lambda: port_open(port))
            box = srv.mailbox("bob")
            submit(srv, HEAD.format("clean") + "\r\n.hello\r\n", ("bob@example.org", "carol@example.org"))
            got = box.wait(1)[0]
            srv.mailbox("carol").wait(1)
            received = fields(got, "Received")
            check(len(received) == 3 and "amavis" in received[1], received)
            check(not fields(got, "X-Amavis-Alert"), fields(got, "X-Amavis-Alert"))
            check(verified(tmp, got, {"k1._domainkey.example.org": record}) == {"k1": True}, got)
            ids = re.findall(r"message.accepted id=(\S+)", srv.log.read_text())
            shown = call([SALLYPORT, "queue", "show", ids[-1], "--config", srv.config])
            check(len(ids) == 2 and "user alice" in shown, shown)
            bad = ("MIME-Version: 1.0\r\nContent-Type: application/octet-stream; name=bad.exe\r\n"
                   "Content-Disposition: attachment; filename=bad.exe\r\nContent-Transfer-Encoding: base64\r\n\r\nTVqQ\r\n")
            submit(srv, HEAD.format("banned") + bad)
            notice = srv.mailbox("alice").wait(1)[0]
            check(b"5.7.0" in notice and len(box.files()) == 1, notice)


run()
