#!/usr/bin/python3
# sets: default
# timeout: 600
"""Filters as others make them: OpenDKIM, a milter by libmilter (python3-milter), rspamd, and postgrey as a policy service."""
import importlib.util, smtplib, ssl, threading
from harness import *
from dkimlab import *

HEAD = "From: Alice <alice@example.org>\r\nTo: bob@example.org\r\nSubject: {}\r\nX-Remove: me\r\n"


def program(name):
    found = shutil.which(name) or shutil.which(name, path="/usr/sbin:/sbin")
    if not found:
        skip(f"{name} is not installed")
    return found


@contextlib.contextmanager
def running(name, argv, tmp, ready):
    with Process(name, argv, Path(tmp) / f"{name}.log") as p:
        p.wait_ready(ready)
        yield p


def session(srv):
    smtp = smtplib.SMTP("localhost", srv.port, timeout=120)
    smtp.starttls(context=ssl.create_default_context(cafile=srv.ca))
    smtp.login(srv.user, srv.password)
    return smtp


def submit(srv, text, rcpt=("bob@example.org",)):
    with contextlib.closing(session(srv)) as smtp:
        try:
            smtp.sendmail(srv.address, list(rcpt), text.encode())
            return None
        except (smtplib.SMTPDataError, smtplib.SMTPSenderRefused) as e:
            return e.smtp_code, e.smtp_error.decode()


def fields(octets, name):
    head = re.sub(rb"\r?\n[ \t]", b" ", octets.replace(b"\r\n", b"\n").split(b"\n\n")[0])
    return [v.strip().decode() for v in re.findall(rb"(?im)^" + name.encode() + rb":(.*)$", head)]


# ---- DKIM ----

def dkim_keys(tmp, *selectors):
    """Keys as OpenDKIM wants them; selector to record."""
    records = {}
    for s in selectors:
        call(["openssl", "genrsa", "-traditional", "-out", tmp / f"{s}.private", "2048"])
        public = call(["openssl", "rsa", "-in", tmp / f"{s}.private", "-pubout"])
        records[f"{s}._domainkey.example.org"] = "v=DKIM1; k=rsa; p=" + "".join(
            line for line in public.splitlines() if not line.startswith(("-----", "writing")))
        os.chmod(tmp / f"{s}.private", 0o600)
    return records


@contextlib.contextmanager
def opendkim(tmp, selectors):
    exe, port = program("opendkim"), free_port()
    (tmp / "keytable").write_text("".join(f"{s} example.org:{s}:{tmp}/{s}.private\n" for s in selectors))
    (tmp / "signingtable").write_text("".join(f"*@example.org {s}\n" for s in selectors))
    (tmp / "opendkim.conf").write_text(
        f"Mode s\nSocket inet:{port}@127.0.0.1\nKeyTable {tmp}/keytable\nSigningTable refile:{tmp}/signingtable\n"
        f"MultipleSignatures yes\nSyslog no\nBackground no\nRequireSafeKeys no\nOversignHeaders From\n")
    with running("opendkim", [exe, "-f", "-x", tmp / "opendkim.conf", "-P", tmp / "opendkim.pid"], tmp, lambda: port_open(port)):
        yield f"milter opendkim {{\n  address = 127.0.0.1:{port}\n}}\n"


@test("OpenDKIM signs through us: one signature, two of them, and ours behind them; all verify")
def _():
    for selectors in (["k1"], ["k1", "k2"]):
        with work() as tmp:
            records = dkim_keys(tmp, *selectors)
            section, record = own_key(tmp, "ours")
            records["ours._domainkey.example.org"] = record
            with opendkim(tmp, selectors) as milter, server(tmp, more=milter + section) as srv:
                box = srv.mailbox("bob")
                for n, body in enumerate(["small\r\n.\r\n\r\n\r\n", "".join(f"{i:060d} \r\n" for i in range(5000))], 1):
                    check(submit(srv, HEAD.format("signed") + "\r\n" + body) is None, "refused")
                    got = box.wait(n)[-1]
                    said = verified(tmp, got, records)
                    check(said == {s: True for s in [*selectors, "ours"]}, f"{said}\n{got[:3000].decode()}")
                    check(list(said)[0] == "ours", f"ours is not on top: {said}")


@contextlib.contextmanager
def changer(tmp):
    if not importlib.util.find_spec("Milter"):
        skip("python3-milter is not installed")
    port = free_port()
    with running("pymilter", ["/usr/bin/python3", HERE / "pymilter.py", f"inet:{port}@127.0.0.1"], tmp, lambda: port_open(port)):
        yield f"milter changer {{\n  address = 127.0.0.1:{port}\n}}\n"


@test("libmilter by python3-milter: body, header fields, envelope, hold, a refusal in lines, and time for slow work")
def _():
    with work() as tmp:
        section, record = own_key(tmp, "ours")
        records = {"ours._domainkey.example.org": record}
        with changer(tmp) as milter, server(tmp, more=milter.replace("}", "  content-timeout = 2s\n}") + section) as srv:
            box = srv.mailbox("bob")

            def delivered(n, what):
                check(submit(srv, HEAD.format(what) + "\r\nas it came\r\n") is None, what)
                got = box.wait(n)[-1]
                check(verified(tmp, got, records) == {"ours": True}, f"{what}: {verified(tmp, got, records)}\n{got.decode()}")
                return got
            got = delivered(1, "body")
            check(got.replace(b"\r\n", b"\n").endswith(b"\n\n" + b"the new body\n" * 3), got)
            got = delivered(2, "headers")
            check(fields(got, "X-Octets") == ["12"] and fields(got, "Subject") == ["changed"], got)
            check(fields(got, "X-First") == ["top"] and not fields(got, "X-Remove"), got)
            got = delivered(3, "body and headers, slow")
            check(b"the new body" in got and fields(got, "X-Octets") == ["12"], got)
            check(submit(srv, HEAD.format("envelope") + "\r\nx\r\n") is None, "envelope")
            got = srv.mailbox("carol").wait(1)[0]
            check(b"bounces@example.org" in got and len(box.files()) == 3, got)
            said = submit(srv, HEAD.format("reject") + "\r\nx\r\n")
            check(said == (550, "5.7.9 first line\n5.7.9 second line"), said)
            check(submit(srv, HEAD.format("hold") + "\r\nx\r\n") is None, "hold")
            listed = call([SALLYPORT, "queue", "list", "--state", "held", "--config", srv.config])
            check(listed.count("alice@example.org") == 1, listed)
            check(submit(srv, HEAD.format("plain") + "\r\nx\r\n", ("refused@example.org", "bob@example.org")) is None, "one of two")
            box.wait(4)
            check(not srv.mailbox("refused").files(), "a refused recipient got mail")


@test("the filter role dies by kill -9 under load: 451, nothing acknowledged is lost, and it goes on")
def _():
    with work() as tmp, changer(tmp) as milter, server(tmp, more=milter) as srv:
        acknowledged, refused, stop, lock = [], [], [], threading.Lock()

        def load(me):
            n = 0
            while not stop:
                with contextlib.suppress(OSError, smtplib.SMTPException), contextlib.closing(session(srv)) as smtp:
                    for _ in range(20):
                        n += 1
                        name = f"{me}-{n}"
                        try:
                            smtp.sendmail(srv.address, ["bob@example.org"], (HEAD.format(f"body {name}") + "\r\nx\r\n").encode())
                            with lock:
                                acknowledged.append(f"body {name}")
                        except (smtplib.SMTPResponseException, smtplib.SMTPRecipientsRefused) as e:
                            codes = [c for c, _ in e.recipients.values()] if hasattr(e, "recipients") else [e.smtp_code]
                            with lock:
                                refused.extend(codes)
                            smtp.rset()  # smtplib leaves the transaction open when DATA is refused
        threads = [threading.Thread(target=load, args=(i,), daemon=True) for i in range(6)]
        for t in threads:
            t.start()
        for kill in range(4):
            before = len(acknowledged)
            wait_until(lambda: len(acknowledged) >= before + 15, 60, "mail through the milter")
            pid = next(p for p, role in srv.roles() if role == "filter")
            os.kill(pid, signal.SIGKILL)
            wait_until(lambda: srv.log.read_text().count("role.start role=filter") == kill + 2, 30, "the next filter role")
        stop.append(1)
        for t in threads:
            t.join(60)
        check(set(refused) <= {451, 421}, f"refused with {set(refused)}")
        got = srv.mailbox("bob").wait(len(acknowledged), seconds=90)
        subjects = [fields(g, "Subject")[0] for g in got]
        check(set(acknowledged) <= set(subjects), f"lost: {set(acknowledged) - set(subjects)}")
        check(all(b"the new body" in g for g in got), "mail went past the milter")


@test("rspamd refuses what it must, and adds what it says of the rest")
def _():
    exe = program("rspamd")
    with work() as tmp:
        port = free_port()
        os.chmod(tmp, 0o755)
        state = tmp / "rspamd"
        state.mkdir()
        shutil.chown(state, "nobody", "nogroup")
        (tmp / "rspamd.conf").write_text(f"""
options {{ filters = ""; pidfile = "{state}/pid"; dns {{ timeout = 0.1; retransmits = 1; nameserver = ["127.0.0.1:{free_port()}"]; }}
  gtube_patterns = "all"; }}
logging {{ type = "console"; level = "info"; }}
actions {{ reject = 15; add_header = 6; }}
worker "rspamd_proxy" {{ bind_socket = "127.0.0.1:{port}"; milter = yes; timeout = 20s; count = 1;
  upstream "local" {{ default = yes; self_scan = yes; }} }}
milter_headers {{ use = ["x-spamd-result", "x-rspamd-server"]; }}
lua = "/usr/share/rspamd/rules/rspamd.lua";
modules {{ path = "/usr/share/rspamd/plugins/milter_headers.lua"; }}
""")
        with running("rspamd", [exe, "-f", "-u", "nobody", "-g", "nogroup", "-c", tmp / "rspamd.conf"], tmp, lambda: port_open(port)), \
                server(tmp, more=f"milter rspamd {{\n  address = 127.0.0.1:{port}\n}}\n") as srv:
            gtube = "XJS*C4JDBQADN1.NSBN3*2IDNEN*GTUBE-STANDARD-ANTI-UBE-TEST-EMAIL*C.34X"
            said = submit(srv, HEAD.format("spam") + "\r\n" + gtube + "\r\n")
            check(said and said[0] in (550, 554) and "tube" in said[1], said)
            check(submit(srv, HEAD.format("ham") + "\r\nhello\r\n") is None, "ham was refused")
            got = srv.mailbox("bob").wait(1)[0]
            check(fields(got, "Subject") == ["ham"], got)


@test("postgrey as a policy service: refused at RCPT for now, accepted when it comes again, with its field")
def _():
    exe = program("postgrey")
    with work() as tmp:
        port, db = free_port(), tmp / "db"
        os.chmod(tmp, 0o755)
        db.mkdir()
        shutil.chown(db, "nobody", "nogroup")
        argv = [exe, f"--inet=127.0.0.1:{port}", f"--dbdir={db}", "--delay=2", "--user=nobody", "--group=nogroup"]
        with running("postgrey", argv, tmp, lambda: port_open(port)), \
                server(tmp, more=f"policy greylist {{\n  address = 127.0.0.1:{port}\n}}\n") as srv:
            with contextlib.closing(session(srv)) as smtp:
                smtp.mail(srv.address)
                code, said = smtp.rcpt("bob@example.org")
                check(code == 450 and said.startswith(b"4.2.0") and b"reylisted" in said, (code, said))
            time.sleep(2.5)
            with contextlib.closing(session(srv)) as smtp:
                check(smtp.sendmail(srv.address, ["bob@example.org"], (HEAD.format("again") + "\r\nx\r\n").encode()) == {}, "still refused")
            got = srv.mailbox("bob").wait(1)[0]
            check(fields(got, "X-Greylist")[0].startswith("delayed"), got)


run()
