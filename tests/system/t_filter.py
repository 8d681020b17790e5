#!/usr/bin/python3
# sets: default
# timeout: 600
"""Milters, spoken to by the protocol: a milter of the tests' own that behaves, and that misbehaves in every way."""
import smtplib, ssl
from harness import *
from milterwire import *

HEAD = "From: Alice <alice@example.org>\r\nTo: bob@example.org\r\nSubject: hello\r\nX-Old: one\r\nX-Old: two\r\n"
BODY = "line one\r\n.dot\r\nline three\r\n"
MESSAGE = HEAD + "\r\n" + BODY


def session(srv):
    smtp = smtplib.SMTP("localhost", srv.port, timeout=120)
    smtp.starttls(context=ssl.create_default_context(cafile=srv.ca))
    smtp.login(srv.user, srv.password)
    return smtp


def answer(srv, text=MESSAGE, rcpt=("bob@example.org",), sender=None, options=()):
    """(stage, code, text) of what the server said last."""
    with contextlib.closing(session(srv)) as smtp:
        code, said = smtp.mail(sender or srv.address, options)
        if code != 250:
            return "MAIL", code, said.decode()
        codes = [smtp.rcpt(r) for r in rcpt]
        if all(c != 250 for c, _ in codes):
            return "RCPT", codes[0][0], codes[0][1].decode()
        code, said = smtp.docmd("DATA")
        if code != 354:
            return "DATA", code, said.decode()
        data = text.encode() if isinstance(text, str) else text
        smtp.send(re.sub(rb"(?m)^\.", b"..", data) + b".\r\n")
        code, said = smtp.getreply()
        return "dot", code, said.decode()


def accepted(srv, *args, **kw):
    got = answer(srv, *args, **kw)
    check(got[:2] == ("dot", 250), got)
    return got


def fields(octets, name):
    head = re.sub(rb"\r?\n[ \t]", b" ", octets.replace(b"\r\n", b"\n").split(b"\n\n")[0])
    return [v.strip().decode() for v in re.findall(rb"(?im)^" + name.encode() + rb":(.*)$", head)]


@test("every stage reaches the milter, with what Postfix and sendmail would say, and the mail is delivered as it came")
def _():
    with work() as tmp, Milter() as m, server(tmp, more=m.section()) as srv:
        accepted(srv, options=("SIZE=300", "BODY=8BITMIME"))
        got = srv.mailbox("bob").wait(1)[0]
        check_same(MESSAGE.encode(), got, completed=("Date", "Message-ID"))
        order = re.sub("L+", "L", m.order())
        check(re.fullmatch("OCHHMRTLNBEQ?", order), order)
        connect = m.said("C")[0]
        check(connect[:12] == b"[127.0.0.1]\0" and connect[12:13] == b"4" and connect[15:] == b"127.0.0.1\0", connect)
        check(m.said("M")[0].split(b"\0")[:3] == [b"<" + srv.address.encode() + b">", b"SIZE=300", b"BODY=8BITMIME"], m.said("M"))
        check(m.said("R")[0] == b"<bob@example.org>\0", m.said("R"))
        check(m.said("B") == [BODY.encode()], m.said("B"))
        names = [f.split(b"\0")[0].decode() for f in m.said("L")]
        check("Received" not in names and {"Date", "Message-ID", "Subject"} <= set(names), names)
        check(b"Subject\0hello\0" in m.said("L"), m.said("L"))
        for command, name, want in [("C", "{daemon_name}", "sub"), ("C", "j", "mail.example.org"), ("C", "{client_addr}", "127.0.0.1"),
                                    ("H", "{tls_version}", "TLSv1.3"), ("M", "{auth_authen}", srv.user),
                                    ("M", "{auth_type}", ""), ("M", "{mail_addr}", srv.address), ("R", "{rcpt_addr}", "bob@example.org")]:
            got = m.macro(command, name)
            check(got is not None and want in got, f"{command} {name}: {got}, not {want}")
        check(m.macro("M", "i") and m.macro("M", "i") == m.macro("E", "i"), "no id")


@test("each verdict at each stage is the reply that the client hears, and nothing refused is delivered")
def _():
    cases = []
    for command, stage in [("M", "MAIL"), ("R", "RCPT"), ("T", "DATA"), ("L", "dot"), ("N", "dot"), ("B", "dot"), ("E", "dot")]:
        cases += [(command, REJECT, stage, 550), (command, TEMPFAIL, stage, 451)]
    cases += [("E", reply("552 5.7.9 too pink"), "dot", 552), ("R", reply("450 4.2.2 not now"), "RCPT", 450),
              ("E", reply("554-5.7.1 first line\r\n554 5.7.1 100% second"), "dot", 554)]
    behaviour = {}
    with work() as tmp, Milter(on=behaviour) as m, server(tmp, more=m.section()) as srv:
        for command, verdict, stage, code in cases:
            behaviour.clear()
            behaviour[command] = [verdict]
            got = answer(srv)
            check(got[:2] == (stage, code), f"{command} {verdict}: {got}")
        check(got[2] == "5.7.1 first line\n5.7.1 100% second", got)
        for command in "MRTLNBE":
            behaviour.clear()
            behaviour[command] = [DISCARD]
            check(answer(srv)[:2] == ("dot", 250), command)
            behaviour[command] = [ACCEPT]
            accepted(srv, HEAD.replace("hello", "accepted at " + command) + "\r\nx\r\n")
        behaviour.clear()
        accepted(srv)
        got = srv.mailbox("bob").wait(8)
        check(sorted(fields(g, "Subject")[0] for g in got) == sorted(["accepted at " + c for c in "MRTLNBE"] + ["hello"]), got)
        check(srv.log.read_text().count(" message.discarded ") == 7, "a discard is not in the log")


@test("a verdict on the connection or the greeting: refused there, accepted unseen, or one recipient of two")
def _():
    behaviour = {"C": [reply("554 5.7.1 not you")]}
    with work() as tmp, Milter(on=behaviour) as m, server(tmp, more=m.section()) as srv:
        try:
            smtplib.SMTP("localhost", srv.port)
            check(False, "the connection was not refused")
        except smtplib.SMTPConnectError as e:
            check((e.smtp_code, e.smtp_error) == (554, b"5.7.1 not you"), e)
        behaviour.clear()
        behaviour["H"] = [REJECT]
        smtp = smtplib.SMTP("localhost", srv.port)
        check(smtp.ehlo()[0] == 550, "EHLO was not refused")
        smtp.close()
        behaviour.clear()
        behaviour["C"] = [ACCEPT]
        before = len(m.order())
        accepted(srv)
        told = m.order()[before:].replace("Q", "").replace("A", "")  # the session before may end now
        check(told == "OC", m.order()[before:])
        behaviour.clear()
        behaviour["R"] = lambda m, c, data: [REJECT if b"eve" in data else CONTINUE]
        accepted(srv, rcpt=("eve@example.org", "bob@example.org"))
        srv.mailbox("bob").wait(2)
        check(not srv.mailbox("eve").files(), "the refused recipient got it")


@test("all changes: fields added, inserted, changed, removed; sender, recipients, body; and the next milter sees them")
def _():
    first = {"E": [add("X-Added", "a\n\tfolded\nX-Injected: no"), insert(0, "X-Top", "top"), insert(1, "X-Top2", "top2"),
                   change(2, "X-Old", "TWO"), change(1, "Subject", ""), b"e" + text("<alice+x@example.org>", ""),
                   b"+" + text("<carol@example.org>"), b"2" + text("<dave@example.org>", "NOTIFY=NEVER"),
                   b"-" + text("<bob@example.org>"), b"b" + b"new body\n", b"b" + b"\r\nbare\rcr\r\n.\r\n", ACCEPT]}
    with work() as tmp, Milter(on=first) as a, Milter() as b, server(tmp, more=a.section("first") + b.section("second")) as srv:
        accepted(srv)
        got = srv.mailbox("carol").wait(1)[0]
        srv.mailbox("dave").wait(1)
        check(not srv.mailbox("bob").files(), "the removed recipient got it")
        check(got.replace(b"\r\n", b"\n").split(b"\n\n", 1)[1] == b"new body\n\nbare\ncr\n.\n", got)
        names = [n.decode() for n in field_names(got) if n not in (b"return-path", b"delivered-to")]
        check(names[:3] == ["x-top2", "x-top", "received"], names)
        check(names[-1] == "x-added" and "x-injected" not in names, names)
        check(fields(got, "X-Added") == ["a folded X-Injected: no"], fields(got, "X-Added"))
        check(fields(got, "X-Old") == ["one", "TWO"] and not fields(got, "Subject"), got)
        check(b"alice+x@example.org" in got.split(b"\n\n")[0], got)
        check(any(f.startswith(b"X-Top2\0top2") for f in b.said("L")), b.said("L"))
        check(b"".join(b.said("B")) == b"new body\n\r\nbare\rcr\r\n.\r\n", b.said("B"))
        check(" filter.changed " in srv.log.read_text(), "not in the log")


@test("a body that is replaced by a large one, and a large one by a small, keep every octet")
def _():
    big = "".join(f"{i:070d}\r\n" for i in range(4000))
    behaviour = {"E": [b"b" + big[i:i + 60000].encode() for i in range(0, len(big), 60000)] + [CONTINUE]}
    with work() as tmp, Milter(on=behaviour) as m, server(tmp, more=m.section()) as srv:
        box = srv.mailbox("bob")
        accepted(srv)
        check(lf(box.wait(1)[0]).split(b"\n\n", 1)[1] == lf(big.encode()), "small to large")
        accepted(srv, HEAD + "\r\n" + big * 2)
        check(lf(box.wait(2)[1]).split(b"\n\n", 1)[1] == lf(big.encode()), "large to large")
        check(b"".join(m.said("B")).endswith((big * 2).encode()), "the milter saw another body")
        behaviour["E"] = [b"bsmall\r\n", CONTINUE]
        accepted(srv, HEAD + "\r\n" + big)
        check(lf(box.wait(3)[2]).split(b"\n\n", 1)[1] == b"small\n", "large to small")
        behaviour["E"] = [add("X-Big", "yes"), CONTINUE]
        accepted(srv, HEAD + "\r\n" + big)
        got = box.wait(4)[3]
        check(lf(got).split(b"\n\n", 1)[1] == lf(big.encode()) and fields(got, "X-Big") == ["yes"], got[:2000])


@test("what a milter does not want, need not answer, or has seen enough of is not said or waited for")
def _():
    cases = [(0x3ff & ~0x100, {}, "OE"),                                            # NO_* all
             (0x1000 | 0x2000 | 0x4000 | 0x8000 | 0x10000 | 0x80 | 0x40000 | 0x80000,  # NR_* all
              {c: [] for c in "CHMRTLNB"}, "OCHHMRTLNBE"),
             (0x400, {"B": [SKIP]}, "OCHHMRTLNBE")]
    for steps, behaviour, want in cases:
        with work() as tmp, Milter(on=behaviour, steps=steps) as m, server(tmp, more=m.section()) as srv:
            accepted(srv, HEAD + "\r\n" + ("x" * 68 + "\r\n") * 3000)
            order = re.sub("B+" if not steps & 0x400 else "$^", "B", re.sub("L+", "L", m.order())).rstrip("Q")
            check(order == want, f"{steps:#x}: {order}, not {want}")
    symlist = struct.pack("!I", 2) + text("{auth_authen} i") + struct.pack("!I", 3) + text("{mail_addr}")
    with work() as tmp, Milter(symlists=symlist, actions=ALL) as m, server(tmp, more=m.section()) as srv:
        accepted(srv)
        check(set(dict(m.macros)["M"]) == {"{auth_authen}", "i"}, m.macros)
        check(set(dict(m.macros)["R"]) == {"{mail_addr}"}, m.macros)
    for version in (2, 3, 4, 5):
        with work() as tmp, Milter(version=version, actions=0x1f) as m, server(tmp, more=m.section()) as srv:
            accepted(srv)
            check(("T" in m.order()) == (version >= 4), f"version {version}: {m.order()}")


@test("a command that does not exist is told to the milter without its words, and its verdict changes nothing")
def _():
    for verdict in (CONTINUE, REJECT, ACCEPT, TEMPFAIL, CLOSE):
        with work() as tmp, Milter(on={"U": [verdict]}) as m, server(tmp, more=m.section()) as srv:
            with contextlib.closing(session(srv)) as smtp:
                check(smtp.docmd("XYZZY c2VjcmV0")[0] == 500, "an unknown command was taken")
                check(smtp.mail(srv.address)[0] == 250, "MAIL behind it was refused")
                check(smtp.docmd("FROBNICATE")[0] == 500, "an unknown command was taken")
                if verdict is CLOSE:
                    continue
                check(smtp.rcpt("bob@example.org")[0] == 250, f"{verdict}: RCPT behind it was refused")
                check(smtp.data(MESSAGE)[0] == 250, f"{verdict}: the message was refused")
            srv.mailbox("bob").wait(1)
            check(m.said("U") == [b"(not shown)\0"] * 2, m.said("U"))
            check("E" in m.order(), f"{verdict}: the milter was passed by")


@test("a milter that works at the dot longer than its timeout but says so: the client waits and hears 250")
def _():
    limits = "  content-timeout = 2s\n"
    slow = {"E": [x for _ in range(12) for x in (0.5, PROGRESS)] + [CONTINUE]}
    with work() as tmp, Milter(on=slow) as m, server(tmp, more=m.section(more=limits)) as srv:
        begun = time.monotonic()
        accepted(srv)
        check(time.monotonic() - begun >= 6, "nobody waited")
        srv.mailbox("bob").wait(1)


MISBEHAVIOUR = {
    "closes after the greeting": {"O": [CLOSE]},
    "does not negotiate": {"O": [CONTINUE]},
    "negotiates version 1": {"O": [b"O" + struct.pack("!III", 1, 0, 0)]},
    "negotiates version 9": {"O": [b"O" + struct.pack("!III", 9, 0, 0)]},
    "wants actions that were not offered": {"O": [b"O" + struct.pack("!III", 6, 0x8000, 0)]},
    "wants steps that were not offered": {"O": [b"O" + struct.pack("!III", 6, 0, 0x40000000)]},
    "answers the negotiation too short": {"O": [b"O\0\0"]},
    "lists macros of no stage": {"O": [b"O" + struct.pack("!IIII", 6, ALL, 0, 77) + b"i\0"]},
    "closes at MAIL": {"M": [CLOSE]},
    "closes at the dot": {"E": [CLOSE]},
    "closes in the middle of an answer": {"M": [(b"\0\0\0\x09yhalf",), CLOSE]},
    "says garbage": {"M": [(b"GET / HTTP/1.0\r\n\r\n",)]},
    "says an unknown reply": {"M": [b"Z"]},
    "says length 0": {"M": [(b"\0\0\0\0",)]},
    "says length 4 GB": {"M": [(b"\xff\xff\xff\xffc",)]},
    "changes before the end": {"M": [add("X", "y")]},
    "changes what it has not asked for": {"E": [add("X", "y"), CONTINUE]},
    "answers twice": {"M": [CONTINUE, CONTINUE]},
    "discards the greeting": {"H": [DISCARD]},
    "skips without a right": {"B": [SKIP]},
    "replies 250": {"M": [reply("250 2.0.0 yes")]},
    "replies nonsense": {"E": [reply("no reply at all")]},
    "a malformed change": {"E": [b"hno-nul", CONTINUE]},
    "a field name with a line end": {"E": [add("X\r\nBcc", "y"), CONTINUE]},
    "endless changes": {"E": [add("X-%d" % i, "y" * 60000) for i in range(200)] + [CONTINUE]},
    "never answers MAIL": {"M": []},
    "never answers the dot": {"E": []},
    "endless progress": {"E": lambda m, c, d: [x for _ in range(600) for x in (PROGRESS, 0.2)]},
}


@test("a milter that misbehaves in every way: 451 by default, and the next message is accepted")
def _():
    behaviour, twice = {}, 0
    limits = "  command-timeout = 2s\n  content-timeout = 2s\n"
    slow = {"endless progress": 100}
    with work() as tmp, Milter(on=behaviour) as m, server(tmp, more=m.section(more=limits)) as srv:
        for what, how in MISBEHAVIOUR.items():
            if what in slow:
                continue
            m.actions = 0 if "has not asked for" in what else ALL
            behaviour.clear()
            behaviour.update(how)
            got = answer(srv)
            check(got[1] == 451 or what == "answers twice", f"{what}: {got}")
            twice += got[1] == 250  # the second answer came when everything was over
            behaviour.clear()
            m.actions = ALL
            accepted(srv, HEAD.replace("hello", "after: " + what) + "\r\nx\r\n")
        accepted(srv)
        got = srv.mailbox("bob").wait(len(MISBEHAVIOUR) - len(slow) + 1 + twice)
        check(all(fields(g, "Subject")[0].startswith(("after: ", "hello")) for g in got), "a refused message was delivered")
        check([r for _, r in srv.roles()].count("filter") == 1 and not re.search("role.died|role.bad", srv.log.read_text()), "a role died")


@test("on-failure = accept lets mail pass a milter that is dead or mad, reject refuses it for good")
def _():
    behaviour = {}
    limits = "  command-timeout = 2s\n  content-timeout = 2s\n  on-failure = accept\n"
    with work() as tmp, Milter(on=behaviour) as m, Milter() as after, \
            server(tmp, more=m.section("mad", limits) + after.section("sane")) as srv:
        few = ["closes at the dot", "says garbage", "never answers MAIL", "endless changes", "does not negotiate"]
        for what in few:
            behaviour.clear()
            behaviour.update(MISBEHAVIOUR[what])
            accepted(srv, HEAD.replace("hello", what) + "\r\nx\r\n")
        m.stop()
        behaviour.clear()
        accepted(srv)
        got = srv.mailbox("bob").wait(len(few) + 1)
        check(not any(fields(g, "X-0") for g in got), "changes of a failed milter came through")
        check(after.order().count("E") == len(few) + 1, "the milter behind it was left out")
        check(srv.log.read_text().count(" filter.failed ") >= len(few) + 1, "not in the log")
        text = srv.config.read_text()
        srv.config.write_text(text.replace("on-failure = accept", "on-failure = reject"))
        before = srv.log.read_text().count(" reload ")
        os.kill(srv.process.pid, signal.SIGHUP)
        wait_until(lambda: srv.log.read_text().count(" reload ") > before, 30, "the reload")
        wait_until(lambda: answer(srv)[:2] == ("MAIL", 550), 20, "550")


@test("a milter may hold mail in the queue: the client hears 250, nobody gets it before an administrator lets it go")
def _():
    with work() as tmp, Milter(on={"E": [b"q" + text("looks odd"), CONTINUE]}) as m, server(tmp, more=m.section()) as srv:
        _, _, said = accepted(srv)
        name = said.split()[-1]
        shown = call([SALLYPORT, "queue", "show", name, "--config", srv.config])
        check("held" in shown and "looks odd" in shown, shown)
        time.sleep(1)
        check(not srv.mailbox("bob").files(), "it was delivered")
        call([SALLYPORT, "queue", "release", name, "--config", srv.config])
        srv.mailbox("bob").wait(1)


run()
