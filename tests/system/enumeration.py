#!/usr/bin/python3
"""enumeration.py - does the time of a refusal tell whether there is such an account?

    SALLYPORT=build-release/src/cli/sallyport tests/system/enumeration.py [--names 100] [BACKEND ...]

For each backend a server of its own, with real stores.  A failed login is timed from the last
octet of what proves nothing to the last octet of the refusal; each is made by a connection and
an address of its own, so that nothing but the name differs:

    unknown          no such account, asked for the first time
    known            an account, a wrong password, asked for the first time (cold)
    in use           likewise, and its owner has just logged in (what he needed is remembered)
    unknown again    the unknown name once more
    known again      the known one once more

The five are measured in turn, name by name.  PLAIN, and SCRAM-SHA-256 where the store has
verifiers: there the time until the challenge is one sample, that until the refusal another.
The result is a table for doc/evidence/enumeration.md: medians in ms, and the largest distance
of two medians of one row beside the distance of the quartiles, which is the noise.
"""
import argparse, contextlib, statistics, sys

from harness import *
from wire import *
from acct_lab import *
from acct_stores import *

KINDS = ("unknown", "known", "in use", "unknown again", "known again")
ITERATIONS = 16384  # of users.db; verifiers elsewhere are to have the same (doc/accounts.md)
WRONG = "a wrong password"


class Names:
    """count known accounts, all with one password, and as many names that nobody has."""

    def __init__(self, count):
        self.known = [f"member{i}" for i in range(count)]
        self.active = [f"active{i}" for i in range(count)]
        self.unknown = [f"nobody{i}" for i in range(count)]
        self.all = self.known + self.active
        self.crypt, self.scram = crypt(PASSWORD), verifier(PASSWORD, count=ITERATIONS)


def sqlite(names, tmp, stack):
    return ""


def file(names, tmp, stack):
    path = tmp / "passwd"
    path.write_text("".join(f"{n}:{names.crypt}:address={n}@example.org scram-sha-256={names.scram}\n" for n in names.all))
    os.chmod(path, 0o644)
    return f"accounts people {{\n type = file\n path = {path}\n}}\n"


def postgresql(names, tmp, stack, more=""):
    if not POSTGRESQL:
        skip("needs PostgreSQL")
    db = Cluster(tmp)
    db.start()
    stack.callback(db.process.stop, signal.SIGQUIT)
    db.sql("CREATE TABLE users (name text PRIMARY KEY, password text, scram_sha_256 text, address text);" + "".join(
        f"INSERT INTO users VALUES ('{n}', '{names.crypt}', '{names.scram}', '{n}@example.org');" for n in names.all))
    return f"""accounts base {{
        type = postgresql
        connection = "host={db.dir}/run user=postgres dbname=postgres"
        query = "SELECT users.* FROM users{more} WHERE name = $1 OR address = $1"
    }}
    """


def postgresql_far(names, tmp, stack):
    return postgresql(names, tmp, stack, " RIGHT JOIN (SELECT pg_sleep(0.05)) AS far ON true")


def ldap(names, tmp, stack, more="fields = name=uid address=mail"):
    if not Path("/usr/sbin/slapd").exists():
        skip("needs slapd")
    pki = Certificates(tmp / "ldap-pki")
    os.chmod(pki.ca, 0o644)
    os.chmod(Path(pki.ca).parent, 0o755)
    slapd = Slapd(tmp, pki)
    slapd.start()
    stack.callback(slapd.process.stop, signal.SIGKILL)
    slapd.change(f"dn: {BASE}\nobjectClass: domain\ndc: example\n\ndn: ou=people,{BASE}\nobjectClass: organizationalUnit\nou: people\n\n"
                 f"dn: cn=reader,{BASE}\nobjectClass: person\ncn: reader\nsn: reader\nuserPassword: readerpw\n\n" + "".join(
                     person(n, "{CRYPT}" + names.crypt, f"mail: {n}@example.org", f"initials: {names.scram}")
                     for n in names.all), "ldapadd")
    secret = tmp / "reader.password"
    secret.write_text("readerpw\n")
    os.chmod(secret, 0o600)
    return f"""accounts directory {{
        type = ldap
        url = {slapd.url()}
        bind-dn = cn=reader,{BASE}
        password-file = {secret}
        base = ou=people,{BASE}
        tls-ca = {pki.ca}
        {more}
    }}
    """


def ldap_attribute(names, tmp, stack):
    return ldap(names, tmp, stack, "password-by = attribute\n"
                "fields = name=uid address=mail password=userPassword scram-sha-256=initials")


def pam(names, tmp, stack):
    if not PAM_PWDFILE:
        skip("needs libpam-pwdfile")
    path = tmp / "pwdfile"
    path.write_text("".join(f"{n}:{names.crypt}\n" for n in names.all))
    os.chmod(path, 0o644)
    (tmp / "pam.d").mkdir(mode=0o755)
    (tmp / "pam.d" / "sallyport").write_text(f"auth required {PAM_PWDFILE} pwdfile={path}\naccount required pam_permit.so\n")
    return f"accounts system {{\n type = pam\n service-directory = {tmp}/pam.d\n domain = example.org\n}}\n"


def dovecot(names, tmp, stack, user_socket=True):
    if not shutil.which("dovecot") or os.geteuid() != 0:
        skip("needs Dovecot, and root to run it")
    d = Dovecot(tmp, [f"{n}:{{CRYPT}}{names.crypt}:::::: userdb_address={n}@example.org" for n in names.all])
    d.start()
    stack.callback(d.stop)
    return (f"accounts dovecot {{\n type = dovecot\n socket = {d.socket}\n"
            + (f" user-socket = {d.run}/auth-userdb\n" if user_socket else "") + "}\n")


def dovecot_blind(names, tmp, stack):
    return dovecot(names, tmp, stack, False)


BACKENDS = {  # name: (its section, has SCRAM)
    "sqlite": (sqlite, True), "file": (file, True), "ldap by bind": (ldap, False), "ldap by attribute": (ldap_attribute, True),
    "pam": (pam, False), "postgresql": (postgresql, True), "postgresql, 50 ms away": (postgresql_far, True),
    "dovecot": (dovecot, False), "dovecot without user-socket": (dovecot_blind, False)}


class Times(Elsewhere):
    """One connection, of an address of its own, and what of its reply is timed."""

    def timed(self, line):
        began = time.perf_counter()
        self.send(line + "\r\n")
        code, text = self.reply()
        return (time.perf_counter() - began) * 1000, code, text


def plain(srv, name):
    with Times(srv) as w:
        w.ehlo()
        ms, code, text = w.timed(f"AUTH PLAIN {b64(chr(0) + name + chr(0) + WRONG)}")
        check(code == 535, f"{name}: {code} {text}")
    return {"PLAIN": ms}


def by_scram(srv, name):
    with Times(srv) as w:
        w.ehlo()
        bare = f"n={name},r=abcdefghijklmnop"
        first, code, text = w.timed(f"AUTH SCRAM-SHA-256 {b64('n,,' + bare)}")
        check(code == 334, f"{name}: {code} {text}")
        part = dict(p.split("=", 1) for p in base64.b64decode(text).decode().split(","))
        check(int(part["i"]) == ITERATIONS, f"{name}: {part['i']} iterations")
        last, code, text = w.timed(b64(f"c=biws,r={part['r']},p={b64(bytes(32))}"))
        check(code == 535, f"{name}: {code} {text}")
    return {"SCRAM, challenge": first, "SCRAM, refusal": last}


def measured(srv, names, attempt):
    """{what: {kind: [ms]}}; nothing is left of one name when the next is tried."""
    found = {}
    for unknown, known, active in zip(names.unknown, names.known, names.active):
        check(Lab(srv).login(active)[0] == 235, f"{active} cannot log in")
        for kind, name in zip(KINDS, (unknown, known, active, unknown, known)):
            for what, ms in attempt(srv, name).items():
                found.setdefault(what, {}).setdefault(kind, []).append(ms)
    return found


def one(backend, count):
    """{mechanism and moment: {kind: [ms]}} of this backend."""
    section, has_scram = BACKENDS[backend]
    found = {}
    for attempt in (plain, *([by_scram] if has_scram else [])):  # a new server: nothing is remembered
        names = Names(count)
        with work() as tmp, contextlib.ExitStack() as stack:
            more = section(names, tmp, stack)
            srv = Sallyport(tmp, more=more)
            if not more:
                for n in names.all:
                    call([SALLYPORT, "user", "add", "--data", srv.store, n, "--address", f"{n}@example.org", "--password-file", "/dev/stdin"],
                         stdin=PASSWORD.encode())
                for path in [srv.store, *srv.store.rglob("*")]:
                    shutil.chown(path, *(("nobody", "nogroup") if os.geteuid() == 0 else (os.getuid(), os.getgid())))
            srv.start()
            stack.callback(srv.process.stop)
            found |= measured(srv, names, attempt)
    return found


def spread(ms):
    low, _, high = statistics.quantiles(ms, n=4)
    return high - low


def row(backend, what, kinds):
    medians = [statistics.median(kinds[k]) for k in KINDS]
    apart, noise = max(medians) - min(medians), max(spread(kinds[k]) for k in KINDS)
    return (f"| {backend} | {what} | " + " | ".join(f"{m:.2f}" for m in medians)
            + f" | {apart:.2f} | {noise:.2f} | {medians[1] / medians[0]:.3f} |")


HEAD = ("| backend | what | " + " | ".join(KINDS) + " | apart | quartiles apart | known : unknown |\n|" + "---|" * 10)


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--names", type=int, default=100)
    p.add_argument("backend", nargs="*", choices=[*BACKENDS, []])
    o = p.parse_args()
    print(HEAD, flush=True)
    for backend in o.backend or BACKENDS:
        for what, kinds in one(backend, o.names).items():
            print(row(backend, what, kinds), flush=True)


if __name__ == "__main__":
    main()
