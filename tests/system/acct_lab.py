"""acct_lab.py - what tests of accounts sections share: logins, and what is true of every type.

    lab = Lab(srv, password="carols secret")
    lab.login("carol", "carols secret")        (235, "2.7.0 ...")
    same_for_all(lab)                          the tests that every type must pass
"""
import concurrent.futures, itertools, socket, time

from harness import *
from wire import *

PASSWORD = "carols secret"
FAILED = (535, "5.7.8 Authentication credentials invalid")
AWAY = (454, "4.7.0")

# What a name could break out of: an LDAP filter, a DN, SQL, a line of a file or of Dovecot's
# protocol, a format, a path.
INJECTIONS = ["*", "carol*", "c*l", "*)(uid=*", "carol)(|(uid=*", "(uid=carol)", "carol\\2a", "\\2a",
              "carol,ou=people", "uid=carol", "carol+cn=x", "carol\\", "carol\"", "carol;", "carol#", " carol", "carol ",
              "' OR '1'='1", "carol'--", "carol'; DROP TABLE users; --", "$1", "carol\tuser=alice",
              "carol\nAUTH\t9\tPLAIN", "carol\r\n", "carol:x", "carol:", "%u", "%s%n", "../carol", "carol/", "CAROL", "",
              "carol@", "@example.org", "carol@example.org@example.org", "c\u0430rol", "x" * 300]


class Elsewhere(Wire):
    """A client at an address of its own: the throttle must not slow down the next test."""
    address = itertools.count(1)

    def __init__(self, srv):
        n = next(self.address)
        self.srv, self.buffer, self.context = srv, b"", context(srv)
        s = socket.create_connection(("127.0.0.1", srv.tls_port), 30,
                                     source_address=(f"127.{1 + n // 60000}.{n // 250 % 240}.{1 + n % 250}", 0))
        self.s = self.context.wrap_socket(s, server_hostname="localhost")
        self.expect(220)


class Lab:
    def __init__(self, srv):
        self.srv = srv

    def session(self):
        w = Elsewhere(self.srv)
        w.ehlo()
        return w

    def plain(self, w, user, password, authzid=""):
        w.send(f"AUTH PLAIN {b64(authzid + chr(0) + user + chr(0) + password)}\r\n")
        return w.reply()

    def login(self, user, password=PASSWORD, authzid=""):
        with self.session() as w:
            return self.plain(w, user, password, authzid)

    def in_(self, user="carol", password=PASSWORD, authzid=""):
        w = self.session()
        code, text = self.plain(w, user, password, authzid)
        check(code == 235, f"{user} cannot log in: {code} {text}")
        return w

    def scram(self, user, password, mechanism="SCRAM-SHA-256"):
        """A login by SCRAM: the last reply."""
        name = {"SCRAM-SHA-256": "sha256", "SCRAM-SHA-1": "sha1"}[mechanism]
        with self.session() as w:
            bare = f"n={user},r=abcdefghijklmnop"
            w.send(f"AUTH {mechanism} {b64('n,,' + bare)}\r\n")
            code, text = w.reply()
            if code != 334:
                return code, text
            first = base64.b64decode(text).decode()
            part = dict(p.split("=", 1) for p in first.split(","))
            salted = hashlib.pbkdf2_hmac(name, password.encode(), base64.b64decode(part["s"]), int(part["i"]))
            final = f"c=biws,r={part['r']}"
            said = f"{bare},{first},{final}".encode()
            key = hmac.new(salted, b"Client Key", name).digest()
            sign = hmac.new(hashlib.new(name, key).digest(), said, name).digest()
            proof = bytes(a ^ b for a, b in zip(key, sign))
            w.send(b64(f"{final},p={b64(proof)}") + "\r\n")
            code, text = w.reply()
            if code == 334:  # the server's signature
                server = hmac.new(hmac.new(salted, b"Server Key", name).digest(), said, name).digest()
                check(base64.b64decode(text).decode() == f"v={b64(server)}", f"not the server: {text}")
                w.send("\r\n")
                code, text = w.reply()
            return code, text

    def iterations(self, user):
        """What a SCRAM exchange shows before anything is proved."""
        with self.session() as w:
            text = w.expect(334, f"AUTH SCRAM-SHA-256 {b64(f'n,,n={user},r=abcdefghijklmnop')}")
            w.expect(501, "*")
        return int(re.search(r",i=(\d+)$", base64.b64decode(text).decode())[1])

    def mechanisms(self):
        with self.session() as w:
            text = w.ehlo()
        return next((l.split()[1:] for l in text.split("\n") if l.startswith("AUTH ")), [])

    def may_send(self, address, user="carol", password=PASSWORD, authzid=""):
        with self.in_(user, password, authzid) as w:
            w.send(f"MAIL FROM:<{address}>\r\n")
            return w.reply()[0] == 250


def verifier(password, hash_="sha256", count=4096, salt=b"0123456789abcdef"):
    """A SCRAM verifier as RFC 5803 and PostgreSQL write it."""
    salted = hashlib.pbkdf2_hmac(hash_, password.encode(), salt, count)
    stored = hashlib.new(hash_, hmac.new(salted, b"Client Key", hash_).digest()).digest()
    server = hmac.new(salted, b"Server Key", hash_).digest()
    name = {"sha256": "SCRAM-SHA-256", "sha1": "SCRAM-SHA-1"}[hash_]
    return f"{name}${count}:{b64(salt)}${b64(stored)}:{b64(server)}"


def pin_of(srv):
    """What `sallyport cert pin` stores for the test's client certificate."""
    pem = call(["openssl", "pkey", "-in", srv.client_key, "-pubout"])
    return hashlib.sha256(base64.b64decode("".join(l for l in pem.split("\n") if "-----" not in l))).hexdigest()


def crypt(password, method="yescrypt", *more):
    """As mkpasswd(1) makes it."""
    return call(["mkpasswd", "-m", method, *more, password]).strip()


def same_for_all(lab, disabled=True, grants=True, address=True, aliases=True):
    """Tests that hold for every type of accounts section."""

    @test("the right password logs in, a wrong one does not, nor does none")
    def _():
        check(lab().login("carol")[0] == 235, "carol")
        for wrong in ("x", "carols secre"):
            got = lab().login("carol", wrong)
            check(got == FAILED, f"{wrong!r}: {got}")
        check(lab().login("carol", "")[0] in (535, 501), "an empty password")

    @test("users.db is not asked where no section says so, and nobody is nobody")
    def _():
        for user in ("alice", "nobody", "nobody@example.org"):
            got = lab().login(user, lab().srv.password)
            check(got == FAILED, f"{user}: {got}")

    if disabled:
        @test("a disabled account cannot log in, and hears what an unknown one hears")
        def _():
            check(lab().login("dora", "doras secret") == FAILED, "dora")

    @test("no name breaks out of the question")
    def _():
        with concurrent.futures.ThreadPoolExecutor(12) as pool:  # each waits for its refusal
            for name, got in zip(INJECTIONS, pool.map(lambda n: lab().login(n), INJECTIONS)):
                check(got[0] in (535, 501) or name == "CAROL", f"{name!r}: {got}")
        check(lab().login("carol")[0] == 235, "carol cannot log in afterwards")

    if address:
        @test("an own address is as good as the name")
        def _():
            for name in ("carol@example.org", "carol@EXAMPLE.org"):
                check(lab().login(name)[0] == 235, name)

    @test("senders: own addresses yes, others no")
    def _():
        check(lab().may_send("carol@example.org"), "her own address")
        for other in ("bob@example.org", "alice@example.org", "carol@elsewhere.example"):
            check(not lab().may_send(other), other)

    if grants:
        @test("senders: granted patterns, aliases, and accounts to act for")
        def _():
            for good in ("any@lists.example.org", *(["carol.alias@example.org"] if aliases else [])):
                check(lab().may_send(good), good)
            check(lab().may_send("shared@example.org", authzid="shared"), "acting for shared")
            check(lab().login("carol", authzid="dora")[0] == 535, "acting for somebody else")


def logs_in_by_pin(srv, *lines):
    """Does the pinned certificate log erin in?  lines: (code, what she says then)."""
    with Wire(srv, implicit=True, certificate=(srv.client_certificate, srv.client_key)) as w:
        w.ehlo()
        w.send("AUTH EXTERNAL =\r\n")
        if w.reply()[0] != 235:
            return False
        for code, line in lines:
            w.expect(code, line)
        return True


def ended(w):
    """Has the session of carol been ended, because her account changed?"""
    w.send("MAIL FROM:<carol@example.org>\r\n")
    code, _text = w.reply()
    if code == 250:
        w.expect(250, "RSET")
    return code == 421


def with_accounts(hold, sections, **options):
    """run() with one server whose accounts are in sections(tmp): put into hold.srv, hold.lab."""
    need_server()
    with work() as tmp:
        text = sections(Path(tmp))
        with server(tmp, more=text, **options) as srv:
            hold.srv, hold.lab = srv, Lab(srv)
            try:
                run()
            except SystemExit as e:
                status = e.code
            if status:
                print(f"--- log\n{srv.process.tail(60)}")
        # The tests kill the helper; nothing else may die or be damaged.
        log = "\n".join(l for l in srv.process.output().splitlines() if "role=auth-helper" not in l)
        for bad in ("AddressSanitizer", "LeakSanitizer", "runtime error:", "role.died", "role.bad", PASSWORD):
            check(status or bad not in log, f"the log holds {bad!r}")
    sys.exit(status)
