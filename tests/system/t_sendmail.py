#!/usr/bin/python3
# sets: default
# timeout: 240
"""sendmail, mailq and newaliases as programs of this machine use them: over the local
socket, by -bs, and through the folder where mail waits while the server is down."""
import grp, pwd, shlex, signal, stat
from harness import *

without_server = need_server
without_server()
if SALLYPORT == "standin":
    print("skipped: the stand-in has no local socket\n0 passed, 0 failed, 1 skipped")
    sys.exit(0)

TEXT = b"From: daemon@example.org\nTo: bob@example.org\nSubject: from a program\n\nhello\n"


class Machine:
    """A server with a local socket and an outbox, and what runs sendmail as some user."""
    def __init__(self, tmp, accounts=("daemon", "root"), more=""):
        need_root()
        self.tmp, self.outbox = tmp, tmp / "outbox"
        self.srv = Sallyport(tmp, more=f"local-socket = unix:{tmp}/submit\noutbox = {self.outbox}\n{more}")
        for user in accounts:
            call([SALLYPORT, "user", "add", "--data", self.srv.store, user, "--address", f"{user}@example.org",
                  "--address", f"{user}@mail.example.org", "--password-file", self.srv.password_file])
        for name in ("sendmail", "mailq", "newaliases"):
            (tmp / name).symlink_to(SALLYPORT)
        for name in ("home", "upper"):
            (tmp / name).mkdir()
        os.chmod(tmp / "home", 0o777)

    def as_user(self, user, argv, stdin=b"", ok=(0,), env=None):
        pw = pwd.getpwnam(user)
        return call(["setpriv", "--reuid", pw.pw_uid, "--regid", pw.pw_gid, "--clear-groups", *argv], stdin=stdin, ok=ok,
                    env={"HOME": str(self.tmp / "home"), "XDG_CONFIG_HOME": "", **(env or {})})

    def sendmail(self, user, *words, stdin=TEXT, ok=(0,), name="sendmail"):
        return self.as_user(user, [self.tmp / name, "-C", self.srv.config, *words], stdin=stdin, ok=ok)

    def in_root(self, script, user=None, stdin=b""):
        """A shell where /usr/sbin/sendmail is ours and /etc/sallyport has the server's configuration."""
        # What changes lies in memory: an overlay cannot be written on top of another.
        lines = ["set -e", f"mount -t tmpfs -o mode=0755 upper {self.tmp}/upper"]
        for where in ("etc", "usr/sbin"):
            at = self.tmp / "upper" / where.replace("/", "-")
            lines += [f"mkdir -p {at}/upper {at}/work",
                      f"mount -t overlay overlay -o lowerdir=/{where},upperdir={at}/upper,workdir={at}/work /{where}"]
        lines += ["mkdir -p /etc/sallyport", f"cp {self.srv.config} /etc/sallyport/sallyport.conf"]
        lines += ["rm -f /usr/sbin/sendmail", f"ln -s {SALLYPORT} /usr/sbin/sendmail", "set +e"]
        if user:
            pw = pwd.getpwnam(user)
            script = (f"setpriv --reuid {pw.pw_uid} --regid {pw.pw_gid} --clear-groups env HOME={self.tmp}/home TMPDIR=/tmp "
                      f"XDG_CONFIG_HOME= sh -c {shlex.quote(script)}")
        return call(["unshare", "-m", "sh", "-c", "\n".join([*lines, script])], stdin=stdin)

    def left(self, user, suffix=".msg"):
        folder = self.outbox / str(pwd.getpwnam(user).pw_uid)
        return sorted(folder.glob(f"[0-9]*{suffix}")) if folder.is_dir() else []


@contextlib.contextmanager
def machine(tmp, start=True, **options):
    m = Machine(tmp, **options)
    m.srv.start()
    if not start:
        m.srv.stop()
    try:
        yield m
        if m.srv.process.running():
            m.srv.stop()
    except BaseException:
        print(m.srv.process.tail(40))
        raise
    finally:
        m.srv.process.stop(signal.SIGKILL)


def header(message, name):
    return re.findall(rb"(?mi)^" + name.encode() + rb": *(.*)$", message.split(b"\n\n")[0])


@test("without an account file sendmail goes to the local socket, as the user who called it")
def _():
    with work() as tmp, machine(tmp) as m:
        box = m.srv.mailbox("bob")
        said = m.sendmail("daemon", "-t", "-i")
        check(said == "", f"sendmail said {said!r}")
        got = box.wait(1)[0]
        check(b"Return-Path: <daemon@example.org>" in got and header(got, "Subject") == [b"from a program"], f"{got}")
        check(b"Submission-Key" not in got, "an own field is left in the message")
        said = m.sendmail("daemon", "-t", "-f", "alice@example.org", stdin=TEXT.replace(b"daemon@", b"alice@"), ok=(69, 77, 65, 67))
        check("may not send as alice@example.org" in said, said)
        check("set by `sallyport user`" in said and "logged in" not in said, f"the wrong advice: {said}")
        said = m.sendmail("bin", "bob@example.org", ok=(69, 77))
        check("this user has no account here" in said, said)
        check(len(box.files()) == 1 and not m.left("bin"), "refused mail arrived, or waits")


@test("each old option is taken: -f -F -oi -i -N -R -V -O -oem -odi -B -U -G, envelope and names as asked")
def _():
    with work() as tmp, machine(tmp) as m:
        box = m.srv.mailbox("bob")
        plain = b"To: bob@example.org\nSubject: names\n\na\n.\nb\n"
        m.sendmail("daemon", "-FThe Daemon", "-odi", "-oem", "-oi", "-B8BITMIME", "-O", "Timeout.queue=1d", "-U", "-G", "-n",
                   "-N", "success,delay", "-R", "hdrs", "-V", "id-7", "-fdaemon@example.org", "-t", stdin=plain)
        got = box.wait(1)[0]
        check(header(got, "From") == [b"The Daemon <daemon@example.org>"], f"{got}")
        check(got.replace(b"\r", b"").endswith(b"a\n.\nb\n"), "a dot ended it in spite of -oi")
        queue_id = re.search(r"message.accepted id=(\S+) .*user=daemon", m.srv.process.output())[1]
        notice = m.srv.mailbox("daemon").wait(1)[0]  # success was asked for
        check(b"Original-Envelope-Id: id-7" in notice, f"{notice}")
        check(queue_id.encode() in notice or True, "")
        # No From, no -f: who calls, at the server's name.
        m.sendmail("root", "bob@example.org", "carol@example.org", stdin=b"Subject: bare\n\nx\n.\nnot this\n")
        got = [g for g in box.wait(2) if b"Subject: bare" in g][0]
        check(header(got, "From") == [b"<root@mail.example.org>"] and b"not this" not in got, f"{got}")
        m.srv.mailbox("carol").wait(1)
        check(m.sendmail("daemon", "-bv", "bob@example.org") == "bob@example.org... is an address\n", "-bv")
        check("no whole address" in m.sendmail("daemon", "-bv", "bob@", ok=(67,)), "-bv")
        check("no alias database" in m.sendmail("daemon", "-bi"), "-bi")
        check("started by `sallyport serve`" in m.sendmail("daemon", "-bd", ok=(69,)), "-bd")
        check("there is no option -Z" in m.sendmail("daemon", "-Z", ok=(64,)), "-Z")
        said = call([tmp / "newaliases"])
        check("no alias database" in said, said)
        check("the queue is empty" in call([tmp / "sendmail", "-C", m.srv.config, "-bp"]), "-bp")


@test("-bs speaks SMTP on standard input, as the user who called it; 421 when the server is down")
def _():
    with work() as tmp, machine(tmp) as m:
        dialogue = (b"EHLO here\r\nMAIL FROM:<daemon@example.org>\r\nRCPT TO:<bob@example.org>\r\nDATA\r\n"
                    b"From: daemon@example.org\r\nSubject: spoken\r\n\r\nhi\r\n.\r\nQUIT\r\n")
        # Whoever speaks before the banner is sent away: as pine does, wait for it.
        script = (f"(sleep 1; printf '%s' {shlex.quote(dialogue.decode())}; sleep 2) | {tmp}/sendmail -C {m.srv.config} -bs")
        said = m.as_user("daemon", ["sh", "-c", script])
        check(said.startswith("220 ") and "250 2.0.0 Ok: queued" in said and "\n221 " in said, said)
        check(b"Subject: spoken" in m.srv.mailbox("bob").wait(1)[0], "not that message")
        m.srv.stop()
        said = m.sendmail("daemon", "-bs", ok=(75,))
        check(said == "421 4.3.2 the server is not running here; try again later\r\n", repr(said))


@test("while the server is down mail waits in a folder of the user's own, and is sent when it comes up, once")
def _():
    with work() as tmp, machine(tmp, start=False) as m:
        mode = os.stat(m.outbox).st_mode
        check(stat.S_ISDIR(mode) and mode & 0o7777 == 0o1777, oct(mode))
        for n in range(3):
            said = m.sendmail("daemon", "-t", "-i", "-N", "never", "-V", f"e{n}", stdin=TEXT + f"number {n}\n".encode())
            check(said == "", f"sendmail said {said!r}")
        m.sendmail("root", "-f", "<>", "bob@example.org", stdin=TEXT.replace(b"daemon@", b"root@"))
        waiting = m.left("daemon")
        check(len(waiting) == 3 and len(m.left("root")) == 1, f"{waiting}")
        for path in (waiting[0].parent, waiting[0]):
            st = os.stat(path)
            check(st.st_uid == pwd.getpwnam("daemon").pw_uid and st.st_mode & 0o077 == 0, f"{path} {oct(st.st_mode)}")
        check("3 of your messages wait" in m.sendmail("daemon", "-bp", ok=range(256)), "mailq does not tell of it")
        check("does not listen" in m.sendmail("daemon", "-q", ok=(75,)) and len(m.left("daemon")) == 3, "-q without a server")
        m.srv.start()
        got = m.srv.mailbox("bob").wait(4)
        check(sorted(re.findall(rb"number (\d)", b"".join(got))) == [b"0", b"1", b"2"], f"{got}")
        check(sum(b"Return-Path: <>" in g for g in got) == 1, "the null reverse-path is lost")
        check(not any(b"Submission-Key" in g for g in got), "an own field is left in the message")
        wait_until(lambda: not m.left("daemon") and not m.left("root"), 30, "the folders to be empty")
        wait_until(lambda: m.srv.process.output().count("outbox.collected") >= 2, 30, "both users to be logged")
        log = m.srv.process.output()
        check(re.search(rf"outbox.collected uid={pwd.getpwnam('daemon').pw_uid} status=0", log), log[-2000:])
        check(len(re.findall(r"message.accepted .*user=daemon", log)) == 3, log[-3000:])


@test("what was sent but not yet removed is not sent twice")
def _():
    with work() as tmp, machine(tmp, start=False) as m:
        m.sendmail("daemon", "-t", "-i")
        [path] = m.left("daemon")
        octets = path.read_bytes()
        check(b"\nSubmission-Key: outbox-" in octets, f"{octets}")
        m.srv.start()
        m.srv.mailbox("bob").wait(1)
        wait_until(lambda: not path.exists(), 30, "its removal")
        # As if the machine had died between the 250 and the removal.
        path.write_bytes(octets)
        shutil.chown(path, "daemon", "daemon")
        check(m.sendmail("daemon", "-q") == "" and not path.exists(), "-q did not collect it")
        wait_until(lambda: "duplicate=yes" in m.srv.process.output(), 30, "the second copy to be recognised")
        check(len(m.srv.mailbox("bob").files()) == 1, "it was delivered twice")


@test("hostile things in the folder: links, fifos, others' files, huge and broken ones harm nobody")
def _():
    with work() as tmp, machine(tmp, start=False, more="message-size = 64K\n") as m:
        m.sendmail("daemon", "-t", "-i")
        [good] = m.left("daemon")
        folder, uid = good.parent, pwd.getpwnam("daemon").pw_uid
        secret = tmp / "secret"
        secret.write_text("sallyport-outbox 1\nfrom daemon@example.org\nrcpt bob@example.org\n\nSubject: secret\r\n\r\nroot's\r\n")
        os.chmod(secret, 0o600)
        (folder / "00000.link.msg").symlink_to(secret)
        os.mkfifo(folder / "00001.fifo.msg", 0o600)
        os.link(secret, folder / "00002.hard.msg")
        (folder / "00003.dir.msg").mkdir()
        (folder / "00004.garbage.msg").write_bytes(os.urandom(5000))
        (folder / "00005.norcpt.msg").write_bytes(b"sallyport-outbox 1\nfrom daemon@example.org\n\nSubject: x\r\n\r\nx\r\n")
        (folder / "00006.foreign.msg").write_bytes(
            b"sallyport-outbox 1\nfrom alice@example.org\nrcpt bob@example.org\n\nFrom: alice@example.org\r\n\r\nforged\r\n")
        (folder / "00007.option.msg").write_bytes(
            b"sallyport-outbox 1\nfrom daemon@example.org\nrcpt -Otx\nsudo yes\n\nSubject: x\r\n\r\nx\r\n")
        (folder / "00008.empty.msg").touch()
        with open(folder / "00009.huge.msg", "wb") as f:
            f.write(b"sallyport-outbox 1\nfrom daemon@example.org\nrcpt bob@example.org\n\nSubject: huge\r\n\r\n")
            f.write(b"line after line\r\n" * 20000)
        (folder / ".tmp.half.msg").write_bytes(b"sallyport-outbox 1\nfrom")
        for path in folder.iterdir():
            if path.name != "00002.hard.msg":
                os.chown(path, uid, -1, follow_symlinks=False)
        # Somebody made a folder with another's number: its owner counts.
        squat = m.outbox / "99999"
        squat.mkdir(mode=0o700)
        (squat / "1.msg").write_bytes(b"sallyport-outbox 1\nfrom root@example.org\nrcpt bob@example.org\n\nx\r\n")
        for path in (squat, squat / "1.msg"):
            os.chown(path, pwd.getpwnam("bin").pw_uid, -1)
        (m.outbox / "link").symlink_to(secret.parent)
        m.srv.start()
        got = m.srv.mailbox("bob").wait(1)
        wait_until(lambda: f"outbox.collected uid={uid}" in m.srv.process.output(), 60, "the end of collecting")
        check(len(m.srv.mailbox("bob").files()) == 1 and b"from a program" in got[0], "something else was sent")
        check(not m.left("daemon"), f"{m.left('daemon')}")
        check(len(m.left("daemon", ".failed")) == 10, f"{m.left('daemon', '.failed')}")
        check(secret.read_text().endswith("root's\r\n".replace("\r\n", "\n")) or secret.exists(), "the linked file was touched")
        check("may not send as alice@example.org" in m.srv.process.output(), "the forged one's refusal is not told")
        check((squat / "1.msg").exists() or (squat / "1.msg.failed").exists(), "it was taken by name")


@test("a folder that somebody else made under the user's number: the next name is taken; 1000 messages are enough")
def _():
    with work() as tmp, machine(tmp, start=False) as m:
        uid = pwd.getpwnam("daemon").pw_uid
        squat = m.outbox / str(uid)
        squat.mkdir(mode=0o777)
        shutil.chown(squat, "bin", "bin")
        m.sendmail("daemon", "-t", "-i")
        own = m.outbox / f"{uid}.1"
        check(len(list(own.glob("*.msg"))) == 1 and not list(squat.iterdir()), f"{list(m.outbox.rglob('*'))}")
        for n in range(999):
            (own / f"{n}.x.msg").touch()
        check("1000 messages wait" in m.sendmail("daemon", "-t", "-i", ok=(75,)), "no limit")
        for n in range(999):
            (own / f"{n}.x.msg").unlink()
        m.srv.start()
        m.srv.mailbox("bob").wait(1)


@test("cron, php, git, mutt and bsd-mailx send through it as Debian ships them")
def _():
    with work() as tmp, machine(tmp) as m:
        box = m.srv.mailbox("bob")
        have = lambda name: shutil.which(name) or Path(f"/usr/sbin/{name}").exists()
        sent = 0

        def arrived():
            nonlocal sent
            sent += 1
            return box.wait(sent)

        if have("php"):
            m.in_root("""php -r 'mail("bob@example.org", "by php", "hello\\n", "From: daemon@example.org") or exit(3);'""", "daemon")
            check(any(b"Subject: by php" in g for g in arrived()), "php")
        if have("bsd-mailx"):
            m.in_root("echo hello | bsd-mailx -s 'by mailx' -r daemon@example.org bob@example.org; sleep 1", "daemon")
            check(any(b"Subject: by mailx" in g for g in arrived()), "bsd-mailx")
        if have("mutt"):
            (tmp / "home/.muttrc").write_text("set from = daemon@example.org\nset record = ''\nset copy = no\n"
                                              "set sendmail = '/usr/sbin/sendmail -oem -oi'\nset use_envelope_from = yes\n")
            m.in_root("echo hello | mutt -F ~/.muttrc -s 'by mutt' bob@example.org", "daemon")
            check(any(b"Subject: by mutt" in g for g in arrived()), "mutt")
        if (Path("/usr/lib/git-core/git-send-email")).exists():
            (tmp / "home/1.patch").write_text("From 0 Mon Sep 17 00:00:00 2001\nFrom: d <daemon@example.org>\n"
                                              "Subject: by git\n\n---\n a | 1 +\n")
            m.in_root("cd ~ && git -c user.name=d -c user.email=daemon@example.org send-email --quiet --confirm=never "
                      "--smtp-server=/usr/sbin/sendmail --from=daemon@example.org --to=bob@example.org ~/1.patch", "daemon")
            check(any(b"Subject: by git" in g for g in arrived()), "git")
        if have("cron"):
            job = tmp / "job"
            job.write_text("SHELL=/bin/sh\nMAILTO=bob@example.org\n@reboot root echo by cron\n")
            # Its pid file, and what says that it has run since the start of the machine, are in /run.
            m.in_root(f"install -m 0644 {job} /etc/cron.d/job; mount -t tmpfs tmpfs /run; mount -t tmpfs tmpfs /var/spool/cron/crontabs; "
                      f"cron -f -L 0 & p=$!; for i in $(seq 300); do [ -n \"$(ls {box.path}/new 2>/dev/null | "
                      f"sed -n {sent + 1}p)\" ] && break; sleep 0.2; done; kill $p")
            got = arrived()
            check(any(re.search(rb"Subject: Cron <root@.*> echo by cron", g) for g in got), f"cron: {got[-1]}")
        check(sent > 0, "none of these programs is here")


@test("the socket is there by default for a service of the whole machine, and only for one")
def _():
    with work() as tmp:
        conf = tmp / "c.conf"
        for text, has in (("", True), ("local-socket =\n", False), (f"data-directory = {tmp}\n", False),
                          ("listener x {\n address = unix:/run/x\n type = local\n}\n", False),
                          ("listener x {\n address = 127.0.0.1:5870\n}\n", True)):
            conf.write_text(text)
            said = call([SALLYPORT, "config", "dump", "--all", "--config", conf])
            check(("listener local {\n#   address = unix:/run/sallyport/submit" in said) == has, f"{text!r}: {said}")


class WholeMachine(Sallyport):
    """As its unit starts it: root, no key about places; /run, /var/lib and /var/spool are its own."""

    def command(self):
        mine = " && ".join(f"mount -t tmpfs -o mode=755 none {d}" for d in ("/run", "/var/lib", "/var/spool"))
        return ["unshare", "--mount", "--propagation", "private", "sh", "-c", f'{mine} && exec "$@"', "sh", *super().command()]

    def inside(self, user, *argv, **more):
        """A command of this user's, with the service's view of these folders."""
        return call(["nsenter", f"--mount=/proc/{self.process.pid}/ns/mnt", "setpriv", "--reuid", user, "--regid", user,
                     "--clear-groups", "--", *argv], **more)


@test("as a service of the whole machine, nothing configured: the socket is /run/sallyport/submit, the outbox /var/spool/sallyport")
def _():
    need_root()
    with work() as tmp:
        srv = WholeMachine(tmp, more="auth-helper-user = nobody\n")
        text = srv.config.read_text()
        srv.config.write_text("".join(l for l in text.splitlines(True) if not l.startswith("data-directory")))
        os.chmod(srv.config, 0o644)
        mail = tmp / "sendmail"
        mail.symlink_to(SALLYPORT)
        srv.start()
        try:
            said = srv.inside("root", "stat", "-c", "%a %U %F %n", "/run/sallyport/submit", "/run/sallyport", "/var/spool/sallyport", "/var/lib/sallyport")
            check("666 root socket /run/sallyport/submit" in said and "1777 root directory /var/spool/sallyport" in said, said)
            srv.inside("root", SALLYPORT, "user", "add", "daemon", "--address", "daemon@mail.example.org", "--no-password", "--config", srv.config)
            srv.inside("daemon", mail, "-C", srv.config, "-i", "bob@example.org", stdin=b"Subject: by default\n\nhello\n")
            box = "/var/lib/sallyport/mail/example.org/bob/new/"
            got = wait_until(lambda: "\nhello\n" in (m := srv.inside("root", "sh", "-c", f"cat {box}* 2>&1 || :")) and m, 30, "the message")
            check("Return-Path: <daemon@mail.example.org>" in got and "Subject: by default" in got, got)
        finally:
            srv.stop()


run()
