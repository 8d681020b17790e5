#!/usr/bin/python3
# sets: peers
# timeout: 300
"""The real Mailman 3: it takes mail for its lists from us by LMTP, and submits through us."""
import email, pwd, signal
from harness import *
import clients

need_server()
if SALLYPORT == "standin":
    print("skipped: the stand-in has no routes\n0 passed, 0 failed, 1 skipped")
    sys.exit(0)

MASTER = Path("/usr/lib/mailman3/bin/master")
MEMBERS = 1200


class Mailman:
    """In a folder of its own, on loopback, with SQLite; as nobody, because it will not be root."""
    def __init__(self, tmp, srv, lmtp):
        self.tmp, self.cfg, self.user = tmp / "mm", tmp / "mm/mailman.cfg", pwd.getpwnam("nobody")
        self.tmp.mkdir()
        off = "".join(f"[runner.{r}]\nstart: no\n" for r in
                      ("archive", "bounces", "command", "digest", "nntp", "rest", "retry", "shunt", "virgin", "task"))
        self.cfg.write_text(f"""[mailman]
site_owner: owner@lab.test
layout: test
[paths.test]
var_dir: {self.tmp}/var
bin_dir: /usr/lib/mailman3/bin
[database]
url: sqlite:///{self.tmp}/mailman.db
[mta]
incoming: mailman.mta.null.NullMTA
lmtp_host: 127.0.0.1
lmtp_port: {lmtp}
smtp_host: localhost
smtp_port: {srv.port}
smtp_user: mailman
smtp_pass: {srv.password}
smtp_secure_mode: starttls
smtp_verify_cert: yes
smtp_verify_hostname: yes
max_recipients: 500
max_sessions_per_connection: 0
[archiver.prototype]
enable: no
[archiver.mhonarc]
enable: no
[archiver.mail_archive]
enable: no
{off}""")
        self.env = {"HOME": str(self.tmp)}
        # Its runners take no environment: our CA is one of the machine's, for them alone.
        self.certs = tmp / "certs"
        for name in ("upper", "work"):
            (self.certs / name).mkdir(parents=True)
        shutil.copy(srv.ca, self.certs / "upper" / (call(["openssl", "x509", "-hash", "-noout", "-in", srv.ca]).strip() + ".0"))
        for path in (self.certs, *self.certs.rglob("*")):
            os.chmod(path, 0o755 if path.is_dir() else 0o644)
        for path in (self.tmp, self.cfg):
            os.chown(path, self.user.pw_uid, self.user.pw_gid)

    def argv(self, *words):
        return ["setpriv", "--reuid", self.user.pw_uid, "--regid", self.user.pw_gid, "--clear-groups", *words]

    def mailman(self, *words, stdin=b""):
        return call(self.argv("/usr/lib/mailman3/bin/mailman", "-C", self.cfg, *words), env=self.env, stdin=stdin)

    def start(self):
        mount = (f"mount -t overlay overlay -o lowerdir=/etc/ssl/certs,upperdir={self.certs}/upper,"
                 f"workdir={self.certs}/work /etc/ssl/certs && exec \"$@\"")
        self.process = Process("mailman", ["unshare", "-m", "sh", "-c", mount, "sh", *self.argv(MASTER, "-C", self.cfg, "-v")],
                               self.tmp.parent / "mm.log", env=self.env)
        return self


@test("one message to a list of 1,200 goes out in three transactions on one connection and reaches all of them")
def _():
    need_root()
    if not MASTER.exists():
        skip("mailman3 is not installed")
    with work() as tmp:
        lmtp = free_port()
        srv = Sallyport(tmp, more="deduplicate = 1h\n", listener="    sender-check = envelope",
                        routes=f"route lists {{\n    match = lab.test\n    to = lmtp\n    lmtp = 127.0.0.1:{lmtp}\n}}\n")
        call([SALLYPORT, "user", "add", "--data", srv.store, "mailman", "--address", "mailman@lab.test",
              "--grant", "*-bounces@lab.test", "--password-file", srv.password_file])
        mm = Mailman(tmp, srv, lmtp)
        mm.mailman("create", "test@lab.test")
        members = [f"u{n}@example.org" for n in range(MEMBERS - 1)] + ["alice@example.org"]
        mm.mailman("addmembers", "-W", "-", "test@lab.test", stdin="\n".join(members).encode())
        check(mm.mailman("members", "test@lab.test").count("@") == MEMBERS, "the members are not all there")
        srv.start()
        mm.start()
        try:
            mm.process.wait_ready(lambda: port_open(lmtp), 120)
            # One known list and one unknown in the same LMTP transaction: a reply for each.
            clients.smtplib_(srv, b"From: Alice <alice@example.org>\r\nTo: test@lab.test\r\nSubject: to all\r\n\r\nhello\r\n",
                             to=["test@lab.test", "nolist@lab.test"])
            mail = srv.store / "mail/example.org"
            got = lambda: sum(1 for user in (mail.iterdir() if mail.exists() else ()) for _ in Maildir(user).files())
            wait_until(lambda: got() >= MEMBERS + 1, 200, f"{MEMBERS} copies and a notice; Mailman says {mm.process.tail()}")
            for address in members:
                copies = srv.mailbox(address.split("@")[0]).messages()
                lists = [m for m in copies if b"List-Id" in m]
                check(len(lists) == 1, f"{address} has {len(lists)} copies")
            head = email.message_from_bytes(lists[0])
            check(head["Return-Path"] == "<test-bounces@lab.test>" and "alice@example.org" in head["From"], f"{lists[0]}")
            notice = [m for m in srv.mailbox("alice").messages() if b"multipart/report" in m]
            check(len(notice) == 1 and b"nolist@lab.test" in notice[0] and b"550" in notice[0]
                  and b"mailbox unavailable" in notice[0], f"{notice}")
            log = srv.process.output()
            taken = re.findall(r" (\S+) message.accepted .*from=test-bounces@lab.test .*recipients=(\d+) user=mailman", log)
            check(sorted(int(n) for _, n in taken) == [200, 500, 500], f"{taken}")
            check(len({session for session, _ in taken}) == 1, "not on one connection")
            check("duplicate=yes" not in log, "one of the transactions was taken for another")
        except BaseException:
            print(srv.process.tail(30), mm.process.tail(30), sep="\n")
            for f in (mm.tmp / "var/logs").glob("*"):
                print(f, f.read_text(errors="replace")[-3000:])
            raise
        finally:
            mm.process.stop()
        srv.stop()


run()
