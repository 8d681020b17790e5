#!/usr/bin/python3
# sets: default
# timeout: 600
"""DKIM: our signatures, verified by three programs that are not ours: dkimpy, OpenDKIM and
npm's mailauth.  A verifier that is missing is a check that is skipped, with its name."""
import itertools, smtplib, ssl
from harness import *
from dkimlab import *

BUILD = os.environ.get("SALLYPORT_BUILD", "")
CORPUS = ROOT / "tests/corpora/own"


# OpenDKIM reads messages as a milter does: without the blanks in front of a value, which
# the simple form of a header counts.  Its test mode loses a last line without an end.
CANNOT = {("OpenDKIM", "simple"): {"blanks.eml", "folds.eml", "empty-values.eml", "empty-fields.eml",
                                   "no-last-line-end.eml"},
          ("OpenDKIM", "relaxed"): {"no-last-line-end.eml"}}

# What canonical forms are about; every message has From.
TRICKY = {
    "empty body": b"From: a@example.org\r\nSubject: x\r\n\r\n",
    "blanks": b"From:  a@example.org \r\nSubject:\t a  b\t\r\n c \r\nTo:b@example.org\r\n\r\n a \t b \r\n \t\r\nc\r\n\r\n \r\n\r\n",
    "no last line end": b"From: a@example.org\r\n\r\nlast",
    "twice": b"X-Twice: 1\r\nFrom: a@example.org\r\nX-Twice: 2\r\ncomments: one\r\nComments: two\r\n\r\nbody\r\n",
    "8bit": "From: a@example.org\r\nSubject: gr\u00fc\u00df\r\n\r\nk\u00f6rper \u2028\r\n".encode(),
    "long": b"From: a@example.org\r\nSubject: " + b"x" * 900 + b"\r\n\r\n" + b"y" * 990 + b"\r\n" * 3000 + b"z\r\n",
    "empty values": b"From: a@example.org\r\nSubject:\r\nComments: \r\nTo:\t\r\n\r\n\r\n\r\nx\r\n",
}


def keys(tmp):
    if not shutil.which("openssl"):
        skip("openssl is not installed")
    call(["openssl", "genrsa", "-out", tmp / "rsa.pem", "2048"])
    call(["openssl", "genpkey", "-algorithm", "ed25519", "-out", tmp / "ed.pem"])
    return {"rsa": tmp / "rsa.pem", "ed": tmp / "ed.pem"}


def messages(tmp):
    """Messages with CRLF line ends and a From field, as a server would have them."""
    out = []
    for name, text in TRICKY.items():
        out.append(tmp / (name.replace(" ", "-") + ".eml"))
        out[-1].write_bytes(text)
    for f in sorted(CORPUS.glob("*.eml")):
        text = re.sub(rb"\r?\n", b"\r\n", f.read_bytes())
        header = text.split(b"\r\n\r\n")[0]
        sound = all(re.fullmatch(rb"([!-9;-~]+:|[ \t])[^\r\n]*", line) for line in header.split(b"\r\n"))
        if sound and b"\r\n\r\n" in text and len(re.findall(rb"^from:", header, re.I | re.M)) == 1 \
           and b"DKIM-Signature" not in header:
            out.append(tmp / f.name)
            out[-1].write_bytes(text)
    return out


def sign(helper, key, selector, canon, files):
    done = call([helper, key, "example.org", selector, *canon], stdin="".join(f"{f}\n" for f in files).encode())
    return done.splitlines()[0]


def against(name):
    @test(f"{name} accepts RSA and Ed25519 in all four canonical forms, and refuses what was altered")
    def _():
        helper = Path(BUILD) / "tests/message/message_dkim"
        if not BUILD or not helper.exists():
            skip("needs a build folder: run it by ./run-tests")
        verifier = VERIFIERS[name]()
        with work() as tmp:
            made, all_files = keys(tmp), messages(tmp)
            check(len(all_files) > 12, all_files)
            for (kind, key), canon in itertools.product(made.items(), itertools.product(("simple", "relaxed"), repeat=2)):
                files = [f for f in all_files if f.name not in CANNOT.get((name, canon[0]), ())]
                record = sign(helper, key, kind, canon, files)
                signed = [f"{f}.signed" for f in files]
                altered = [alter(f) for f in signed[:3]]
                records = {record_name(kind): record}
                for f, got in zip(signed, verifier.verify(tmp, signed, records), strict=True):
                    check(got == {kind: True}, f"{name} on {f}, {kind}, {canon}: {got}")
                for f, got in zip(altered, verifier.verify(tmp, altered, records), strict=True):
                    check(got.get(kind) is not True, f"{name} accepts the altered {f}, {kind}, {canon}")


def alter(f):
    """A field added that was oversigned: a signature must not survive that."""
    text = Path(f).read_bytes()
    Path(f"{f}.bad").write_bytes(b"From: other@example.org\r\n" + text)
    return f"{f}.bad"


for which in VERIFIERS:
    against(which)


# ---- the server signs ----

HEAD = "From: Alice <alice@example.org>\r\nTo: bob@example.org\r\nSubject: hello\r\n"


def make_key(tmp, selector, *options, domain="example.org"):
    """(the section, the record) as `cert dkim` gives them."""
    out = call([SALLYPORT, "cert", "dkim", domain, "--selector", selector, "--out", tmp / f"{selector}.pem",
                "--data", tmp, *options])
    record = "".join(re.findall(r'"([^"]*)"', out.splitlines()[0]))
    check(out.startswith(f"{selector}._domainkey.{domain}. IN TXT ("), out)
    check(max(len(t) for t in re.findall(r'"([^"]*)"', out)) <= 255, out)
    check((tmp / f"{selector}.pem").stat().st_mode & 0o77 == 0, "the key may be read by others")
    return out[out.index("dkim "):], record


def submit(srv, text):
    smtp = smtplib.SMTP("localhost", srv.port)
    smtp.starttls(context=ssl.create_default_context(cafile=srv.ca))
    smtp.login(srv.user, srv.password)
    smtp.sendmail(srv.address, ["bob@example.org"], text.encode())
    smtp.quit()


@test("the server signs by two keys, small mail and large, what it completes included; others' mail not")
def _():
    with work() as tmp:
        one, rsa = make_key(tmp, "rsa1")
        two, ed = make_key(tmp, "ed1", "--ed25519")
        other, _ = make_key(tmp, "else1", domain="else.example")
        records = {record_name("rsa1"): rsa, record_name("ed1"): ed}
        with server(tmp, more=one + two + other) as srv:
            box = srv.mailbox("bob")
            large = "x" * 70 + " \r\n"
            for i, text in enumerate([HEAD + "\r\nsmall\r\n\r\n", HEAD + "\r\n" + large * 30000,
                                      HEAD.replace("Subject", "Bcc: eve@example.org\r\nSubject") + "\r\nx\r\n"]):
                submit(srv, text)
                newest = box.wait(i + 1)[-1]
                check(verified(tmp, newest, records) == {"rsa1": True, "ed1": True}, newest[:3000].decode())
                check(b"h=From:From:" in newest and b"\nDate:" in newest and b"Bcc" not in newest.split(b"\n\n")[0], newest[:2000])


@test("a new key beside the old one, and then alone: reload after reload, nothing unsigned between")
def _():
    with work() as tmp:
        old, old_record = make_key(tmp, "old")
        new, new_record = make_key(tmp, "new")
        records = {record_name("old"): old_record, record_name("new"): new_record}
        with server(tmp, more=old) as srv:
            text = srv.config.read_text()
            box = srv.mailbox("bob")
            for n, (sections, want) in enumerate([(old, {"old"}), (old + new, {"old", "new"}), (new, {"new"})], 1):
                srv.config.write_text(text.replace(old, sections))
                if n > 1:
                    before = srv.log.read_text().count(" reload ")
                    os.kill(srv.process.pid, signal.SIGHUP)
                    wait_until(lambda: srv.log.read_text().count(" reload ") > before, 30, "the reload")
                submit(srv, HEAD + f"\r\nmail {n}\r\n")
                newest = box.wait(n)[-1]
                check(verified(tmp, newest, records) == {s: True for s in want}, newest.decode())


@test("a returned message is signed by a section for the host's own name")
def _():
    with work() as tmp:
        section, record = make_key(tmp, "n1", domain="mail.example.org")
        with server(tmp, more=section, routes="route x {\n    match = nowhere.example\n    to = bounce\n}\n") as srv:
            smtp = smtplib.SMTP("localhost", srv.port)
            smtp.starttls(context=ssl.create_default_context(cafile=srv.ca))
            smtp.login(srv.user, srv.password)
            smtp.sendmail(srv.address, ["x@nowhere.example"], (HEAD + "\r\nno route\r\n").encode())
            smtp.quit()
            notice = srv.mailbox("alice").wait(1)[0]
            check(b"multipart/report" in notice and b"MAILER-DAEMON@mail.example.org" in notice, notice.decode())
            head = notice.split(b"\n\n")[0]
            check(head.count(b"DKIM-Signature:") == 1 and b"d=mail.example.org" in head, head.decode())
            records = {record_name("n1", "mail.example.org"): record}
            check(verified(tmp, notice, records) == {"n1": True}, notice.decode())


@test("a key that is none is refused at start and at reload, in words; cert dkim never overwrites one")
def _():
    with work() as tmp:
        section, record = make_key(tmp, "k1")
        again = call([SALLYPORT, "cert", "dkim", "example.org", "--selector", "k1", "--out", tmp / "k1.pem", "--data", tmp],
                     ok=(73,))
        check("cannot create" in again, again)
        shown = call([SALLYPORT, "cert", "dkim", "example.org", "--selector", "k1", "--key", tmp / "k1.pem", "--data", tmp])
        check(record in shown.replace('" "', ""), shown)
        call([SALLYPORT, "cert", "dkim", "exa mple.org", "--data", tmp], ok=(64, 65))
        call([SALLYPORT, "cert", "dkim", "--data", tmp], ok=(64,))
        with server(tmp, more=section) as srv:
            good = (tmp / "k1.pem").read_bytes()
            (tmp / "k1.pem").write_text("no key at all\n")
            before = len(srv.log.read_text())
            os.kill(srv.process.pid, signal.SIGHUP)
            wait_until(lambda: "dkim k1:" in srv.log.read_text()[before:], 30, "the refusal in the log")
            submit(srv, HEAD + "\r\nstill signed with the old key\r\n")
            newest = srv.mailbox("bob").wait(1)[0]
            check(verified(tmp, newest, {record_name("k1"): record}) == {"k1": True}, newest.decode())
            (tmp / "k1.pem").write_bytes(good)

run()
