#!/usr/bin/python3
# sets: default
# timeout: 900
"""Messages that real programs wrote go through the server: each is delivered byte for
byte or refused for good with a reason, and nothing else happens to any of them."""
import random, re, smtplib, ssl, subprocess
import clients
from harness import *

LONGEST_LINE = 998


def corpus():
    """(name, message with CRLF ends).  Ours always; Debian's packages where apt reaches."""
    found = sorted(p for p in (ROOT / "tests/corpora/own").glob("*.eml"))
    folder = CACHE / "corpora"
    done = subprocess.run([ROOT / "tests/corpora/collect", folder], stdin=subprocess.DEVNULL,
                          capture_output=True, text=True)
    if done.returncode:
        print(f"skipped: the corpora of Debian packages: {done.stderr.strip()[-200:]}")
    else:
        found += sorted(p for p in folder.rglob("*") if p.is_file() and p.name != ".sources")
    for path in found:
        message = re.sub(rb"\r?\n", b"\r\n", path.read_bytes())
        if not message.endswith(b"\r\n"):
            message += b"\r\n"
        yield f"{path.parent.name}/{path.name}", message


def bare(message):
    return b"\0" in message or re.search(rb"\r(?!\n)|(?<!\r)\n", message)


def tame(message):
    """What every program sends unchanged: no odd octets, no long line, a body."""
    return (not bare(message) and max(map(len, message.split(b"\r\n"))) <= 900
            and re.match(rb"[!-9;-~]+:", message) and b"\r\n\r\n" in message
            and not re.search(rb"%[A-Z_]+%|^from ", message, re.M | re.I)
            and all(c < 128 for c in message) and len(message) < 100_000
            and not re.search(rb"\r\n\r\n$", message))


def must_refuse(message):
    """Reasons that the rules leave no choice about."""
    if bare(message):
        return "a bare CR, a bare LF or a NUL"
    if any(len(l) > LONGEST_LINE for l in message.split(b"\r\n")):
        return "a line over 998 octets"
    return ""


class Judge:
    def __init__(self, srv):
        self.srv, self.box, self.same, self.refused = srv, srv.mailbox("bob"), 0, {}

    def delivered(self, name, message):
        reason = must_refuse(message)
        check(not reason, f"{name}: accepted though it has {reason}")
        signed = {b"dkim-signature", b"arc-seal", b"arc-message-signature"} & set(field_names(message))
        try:
            # A signed message gets trace fields only.
            check_same(message, self.box.wait(1)[0],
                       completed=[] if signed else self.srv.completes,
                       removed=["From "] if signed else self.srv.removes)
        except Failed as e:
            raise Failed(f"{name}: {e}") from None
        self.box.clear()
        self.same += 1

    def refusal(self, name, code, text):
        check(code in (554, 552), f"{name}: refused with {code} {text!r}")
        self.refused[name] = text.decode(errors="replace")
        check(not self.box.files(), f"{name}: refused and delivered")


def connect(srv):
    s = smtplib.SMTP("localhost", srv.port, timeout=60)
    s.starttls(context=ssl.create_default_context(cafile=srv.ca))
    s.login(srv.user, srv.password)
    return s


@test("every message of the corpora arrives byte for byte or is refused with a reason")
def _():
    with work() as tmp, server(tmp, listener="    sender-check = envelope") as srv:
        judge, s = Judge(srv), connect(srv)
        for name, message in corpus():
            options = ["BODY=8BITMIME"] + (["SMTPUTF8"] if s.has_extn("smtputf8") else [])
            check(s.mail(srv.address, options)[0] == 250, f"{name}: MAIL refused")
            check(s.rcpt(f"bob@{srv.local_domain}")[0] == 250, f"{name}: RCPT refused")
            code, text = s.data(message)
            if code == 250:
                judge.delivered(name, message)
            else:
                judge.refusal(name, code, text)
        s.quit()
        kinds = {}
        for text in judge.refused.values():
            kind = re.sub(r"\d+", "N", text)
            kinds[kind] = kinds.get(kind, 0) + 1
        print(f"{judge.same} delivered byte for byte, {len(judge.refused)} refused:")
        for kind, n in sorted(kinds.items(), key=lambda k: -k[1]):
            print(f"    {n} × {kind}")
        # Most mail of real programs is right: a server that refuses much is wrong.
        check(judge.same > 2 * len(judge.refused), "more than a third was refused")


@test("curl, swaks, msmtp and nodemailer deliver a sample of the corpora byte for byte")
def _():
    # Without a From the server may refuse; without these two fields the client adds them.
    whole = [(n, m) for n, m in corpus()
             if tame(m) and {b"from", b"date", b"message-id", b"to"} <= set(field_names(m))
             and field_names(m).count(b"from") == 1 and b"bcc" not in field_names(m)]
    sample = random.Random(1).sample(whole, min(40, len(whole)))
    with work() as tmp, server(tmp, listener="    sender-check = envelope") as srv:
        judge, arrived = Judge(srv), 0
        for number, (name, message) in enumerate(sample):
            client = ("curl", "swaks", "msmtp", "nodemailer")[number % 4]
            try:
                clients.ALL[client](srv, message)
            except Failed as e:
                check(re.search(r"55[24]", str(e)), f"{client}: {name}: {e}")
                continue
            judge.delivered(f"{client}: {name}", message)
            arrived += 1
        check(arrived > len(sample) / 2, f"only {arrived} of {len(sample)} were accepted")


run()
