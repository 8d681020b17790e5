#!/usr/bin/python3
# sets: default
# timeout: 200
"""Aliases: what an address becomes before it is routed, and who is not known at all."""
import json, sqlite3
import clients
from harness import *
from wire import *

need_server()
if SALLYPORT == "standin":
    skip("the stand-in has no aliases")


class Aliased(Sallyport):
    """known recipients, an alias file, a list and a database; folder: where commands write."""

    def __init__(self, tmp, more="", routes=""):
        self.files = tmp / "aliases.d"
        self.files.mkdir(mode=0o755)
        self.folder = tmp / "out"
        self.folder.mkdir()
        self.folder.chmod(0o777)
        self.aliases, self.list, self.base = (self.files / n for n in ("aliases", "team", "db"))
        self.list.write_text("# the team\nalice\ncarol@example.org\n")
        self.base.write_bytes(b"")
        with contextlib.closing(sqlite3.connect(self.base)) as db:
            db.execute("CREATE TABLE aliases (name TEXT PRIMARY KEY, target TEXT)")
            db.execute("INSERT INTO aliases VALUES ('db@example.org', 'carol'), "
                       "('evil@example.org', '|/bin/sh')")
            db.commit()
        self.base.chmod(0o644)
        self.write("")
        super().__init__(tmp, recipients="known", routes=routes,
                         more=f"alias-files = {self.aliases}\nalias-database = {self.base}\n{more}")
        call([SALLYPORT, "user", "add", "--data", self.store, "carol", "--address",
              "carol@example.org", "--password-file", self.password_file])

    def write(self, more):
        script = self.files / "script"
        script.write_text("#!/bin/sh\n(echo \"$@\"; echo \"$SENDER $RECIPIENT $EXTENSION\"; cat) >> "
                          f"{self.folder}/ran\n")
        script.chmod(0o755)
        self.aliases.write_text(
            "postmaster: alice\nroot: postmaster\nmany: alice, carol\n"
            "circle: back\nback: circle\n"
            f"team: :include:{self.list}\n"
            f"run: \"|{script} one 'two $(id)\"\nkeep: {self.folder}/box\n"
            "away@example.org: far@elsewhere.test\ndead: alice, gone\n" + more)
        self.aliases.chmod(0o644)

    def route(self, address, *more, ok=(0,)):
        return json.loads(call([SALLYPORT, "route", address, "--config", self.config, "--json", *more],
                               ok=ok))


def rcpt(w, address, code=250):
    return w.expect(code, f"RCPT TO:<{address}>")


def session(srv):
    w = Wire(srv)
    w.ehlo(), w.starttls(), w.ehlo(), w.login()
    w.expect(250, "MAIL FROM:<alice@example.org>")
    return w


def one(main):
    with work() as tmp:
        srv = Aliased(tmp)
        srv.start()
        try:
            main(srv)
        except BaseException:
            print(srv.process.tail(40))
            raise
        finally:
            srv.stop()


@test("an unknown local recipient is 550 5.1.1 at RCPT; accounts, aliases and the postmaster are known")
def _():
    def main(srv):
        with session(srv) as w:
            for known in ("alice@example.org", "ALICE@Example.org", "alice+lists@example.org",
                          "carol@example.org", "root@example.org", "postmaster@example.org", "Postmaster",
                          "db@example.org", "team@example.org"):
                rcpt(w, known)
            for unknown in ("nobody@example.org", "nobody+x@example.org", "alicex@example.org"):
                check("5.1.1" in rcpt(w, unknown, 550), "no 5.1.1")
            check("5.4.6" in rcpt(w, "circle@example.org", 550), "no 5.4.6 for a circle")
            check("4.3.0" in rcpt(w, "evil@example.org", 451), "a database may not name a command")
            check("5.1.2" in rcpt(w, "away@example.org", 550), "an alias to where no route leads")
            # Pipelined, each gets its own answer.
            w.send("RCPT TO:<no1@example.org>\r\nRCPT TO:<carol@example.org>\r\n"
                   "RCPT TO:<not an address>\r\nRCPT TO:<no2@example.org>\r\nNOOP\r\n")
            check([w.reply()[0] for _ in range(5)] == [550, 250, 501, 550, 250], "wrong order of answers")
    one(main)


@test("a message goes to everybody whom the alias names, once each, as it was sent")
def _():
    def main(srv):
        srv.write("pair: alice, carol\n")
        wait_until(lambda: srv.route("pair@example.org", ok=(0, 67))[0].get("becomes"), 20, "the alias")

        def taken():
            with session(srv) as w:
                w.send("RCPT TO:<pair@example.org>\r\n")
                return w.reply()[0] == 250
        wait_until(taken, 60, "the running service to read the new alias")
        clients.smtplib_(srv, message("pair"), to=["pair@example.org", "carol@example.org"])
        for user in ("alice", "carol"):
            check_same(message("pair"), srv.mailbox(user).wait(1)[0])
        clients.smtplib_(srv, message("plus"), to=["alice+lists@example.org"])
        got = srv.mailbox("alice").wait(2)[1]
        check(b"for <alice+lists@example.org>" in got, "Received names somebody else than was addressed")
        check(b"Delivered-To: alice@example.org" in got, "the extension was not left off")
    one(main)


@test("a member of an alias who is not there is returned, the others get theirs")
def _():
    def main(srv):
        clients.smtplib_(srv, message("dead"), to=["dead@example.org"])
        box = srv.mailbox("alice").wait(2)
        notice = [m for m in box if b"multipart/report" in m]
        check(len(notice) == 1, "no notice")
        check(b"Status: 5.1.1" in notice[0] and b"dead@example.org" in notice[0], "the notice does not say it")
        check_same(message("dead"), next(m for m in box if m is not notice[0]))
    one(main)


@test("an alias runs a command without a shell and keeps a copy in a file")
def _():
    def main(srv):
        body = b"hello\r\nFrom here on\r\n>From there\r\n"
        clients.smtplib_(srv, message("run", body), to=["run@example.org", "keep@example.org"])
        there = lambda n, end: (srv.folder / n).exists() and (srv.folder / n).read_bytes().endswith(end)
        wait_until(lambda: there("ran", b"there\n") and there("box", b"there\n\n"), 30, "the command and the file")
        ran = (srv.folder / "ran").read_bytes()
        first, second, text = ran.split(b"\n", 2)
        check(first == b"one 'two $(id)", f"arguments: {first!r}")
        check(second.strip() == b"alice@example.org run@example.org", f"environment: {second!r}")
        check_same(message("run", body), text)
        box = (srv.folder / "box").read_bytes()
        check(box.startswith(b"From alice@example.org "), "no From line")
        check(b"\n>From here on\n>>From there\n\n" in box, f"lines are not told from the start of a message: {box!r}")
    one(main)


@test("route says what happens, without a service")
def _():
    with work() as tmp:
        srv = Aliased(tmp, more="always-bcc = archive@example.org\n",
                      routes="route old {\n    match = *.old.test\n    to = bounce\n    reason = \"gone\"\n}\n"
                             "route a {\n    match = sender:alice@example.org\n    to = smarthost\n"
                             "    host = a.test b.test\n    host-weights = 3 1\n}\n"
                             "route b {\n    match = user:bob\n    to = discard\n}\n")
        rows = srv.route("team@example.org")
        check([r["becomes"] for r in rows[:-1]] == ["alice@example.org", "carol@example.org"], f"{rows}")
        check(rows[0]["route"] == "local-domains" and rows[0]["path"].endswith("/mail/example.org/alice"), f"{rows[0]}")
        check(rows[-1]["address"] == "archive@example.org", "no word of always-bcc")
        check(srv.route("run@example.org")[0]["to"] == "command", "a command is not called so")
        check(srv.route("x@a.old.test")[0]["reason"] == "gone", "no reason")
        row = srv.route("x@far.test", "--sender", "alice@example.org")[0]
        check(row["next-hops"] == ["a.test:587 (weight 3)", "b.test:587 (weight 1)"] and "verified" in row["tls"], f"{row}")
        check(srv.route("x@far.test", "--user", "bob")[0]["to"] == "discard", "the user does not count")
        check(srv.route("x@far.test")[0]["reason"].startswith("550 5.1.2"), "no route is not said")
        check(srv.route("nobody@example.org", ok=(67,))[0]["reason"].startswith("550 5.1.1"), "unknown is not said")
        check(srv.route("circle@example.org", ok=(67,))[0]["reason"].startswith("550 5.4.6"), "a circle is not said")
        text = call([SALLYPORT, "route", "root@example.org", "--config", srv.config])
        check(re.search(r"^becomes +alice@example.org$", text, re.M), text)


@test("always-bcc gets a copy that nobody else hears of")
def _():
    with work() as tmp:
        srv = Sallyport(tmp, more="always-bcc = archive@example.org\n")
        srv.start()
        clients.smtplib_(srv, message("bcc"), to=["bob@example.org"])
        check_same(message("bcc"), srv.mailbox("bob").wait(1)[0])
        copy = srv.mailbox("archive").wait(1)[0]
        check_same(message("bcc"), copy)
        check(b"archive" not in srv.mailbox("bob").messages()[0], "bob sees it")
        check(b"for <bob@example.org>" in copy, "Received lost its recipient")
        srv.stop()


run()
