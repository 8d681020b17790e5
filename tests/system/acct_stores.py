"""acct_stores.py - real stores of accounts, each a process and a folder of the test's own: a PostgreSQL
cluster, slapd, Dovecot, and what PAM needs.

    db = Cluster(tmp); db.start(); db.sql(SCHEMA)      with stop() they can be away
    slapd = Slapd(tmp, certificates); slapd.start(); slapd.change(person("carol", "secret"), "ldapadd")
    dovecot = Dovecot(tmp, ["carol:{CRYPT}...:::::: userdb_address=..."]); dovecot.start()
"""
import glob

from harness import *

POSTGRESQL = max(glob.glob("/usr/lib/postgresql/*/bin"), default="")
PAM_PWDFILE = max(glob.glob("/lib/*/security/pam_pwdfile.so") + glob.glob("/usr/lib/*/security/pam_pwdfile.so"), default="")
BASE = "dc=example,dc=org"


class Cluster:
    def __init__(self, tmp):
        self.dir, self.process = tmp / "pg", None
        self.dir.mkdir()
        self.as_ = ["setpriv", "--reuid", "postgres", "--regid", "postgres", "--clear-groups", "--"] \
            if os.geteuid() == 0 else []
        if self.as_:
            shutil.chown(self.dir, "postgres", "postgres")
        call([*self.as_, f"{POSTGRESQL}/initdb", "-D", self.dir / "db", "-A", "trust", "-U", "postgres", "-E", "UTF8",
              "--no-sync", "--locale=C.UTF-8"])
        os.chmod(self.dir, 0o711)
        (self.dir / "run").mkdir(mode=0o777)
        os.chmod(self.dir / "run", 0o777)

    def start(self):
        self.process = Process("postgres", [
            *self.as_, f"{POSTGRESQL}/postgres", "-D", self.dir / "db", "-k", self.dir / "run", "-c", "listen_addresses=",
            "-c", "fsync=off", "-c", "shared_buffers=16MB", "-c", "max_connections=20"], self.dir / "log")
        wait_until(lambda: self.sql("SELECT 1", quiet=True) is not None, 30, "PostgreSQL")

    def stop(self):
        self.process.stop(signal.SIGINT)  # "fast"

    def sql(self, text, quiet=False):
        argv = [*self.as_, f"{POSTGRESQL}/psql", "-h", self.dir / "run", "-U", "postgres", "-d", "postgres", "-qAt",
                "-v", "ON_ERROR_STOP=1", "-c", text]
        if quiet:
            p = subprocess.run([str(a) for a in argv], capture_output=True)
            return p.stdout if p.returncode == 0 else None
        return call(argv)


SCHEMA = """
CREATE TABLE users (name text PRIMARY KEY, password text, scram text, active boolean DEFAULT true, size text);
CREATE TABLE addresses (name text REFERENCES users, address text, own boolean DEFAULT true);
CREATE TABLE acting (name text REFERENCES users, other text);
CREATE TABLE pins (name text REFERENCES users, spki text);
CREATE VIEW accounts AS SELECT u.name, u.password, u.scram AS scram_sha_256, NOT u.active AS disabled, u.size AS message_size,
    CASE WHEN a.own THEN a.address END AS address, CASE WHEN NOT a.own THEN a.address END AS "grant", c.other AS act_as
    FROM users u LEFT JOIN addresses a USING (name) LEFT JOIN acting c USING (name);
"""


class Slapd:
    def __init__(self, tmp, certificates):
        self.dir, self.process, self.port, self.tls_port = tmp / "slapd", None, free_port(), free_port()
        (self.dir / "db").mkdir(parents=True)
        cert, key = certificates.server("ldap")
        self.config = self.dir / "slapd.conf"
        self.config.write_text(f"""\
include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/inetorgperson.schema
modulepath /usr/lib/ldap
moduleload back_mdb
pidfile {self.dir}/pid
TLSCACertificateFile {certificates.ca}
TLSCertificateFile {cert}
TLSCertificateKeyFile {key}
allow bind_anon_cred
database mdb
suffix "{BASE}"
rootdn "cn=admin,{BASE}"
rootpw adminpw
directory {self.dir}/db
dbnosync
access to attrs=userPassword by dn.exact="cn=reader,{BASE}" read by anonymous auth by * none
access to * by dn.exact="cn=reader,{BASE}" read by self read by anonymous auth
""")

    def url(self, tls=False):
        return f"ldaps://127.0.0.1:{self.tls_port}/" if tls else f"ldap://127.0.0.1:{self.port}/"

    def start(self):
        self.process = Process("slapd", ["/usr/sbin/slapd", "-d", "0", "-f", self.config, "-h",
                                         f"{self.url()} {self.url(True)}"], self.dir / "log")
        self.process.wait_ready(lambda: port_open(self.port))

    def stop(self):
        self.process.stop(signal.SIGKILL)

    def change(self, ldif, command="ldapmodify"):
        call([command, "-x", "-H", self.url(), "-D", f"cn=admin,{BASE}", "-w", "adminpw"], stdin=ldif.encode())


def person(uid, password, *lines):
    return (f"dn: uid={uid},ou=people,{BASE}\nobjectClass: inetOrgPerson\nuid: {uid}\ncn: {uid}\nsn: {uid}\n"
            + (f"userPassword: {password}\n" if password else "") + "".join(l + "\n" for l in lines) + "\n")


class Dovecot:
    def __init__(self, tmp, users):
        self.dir, self.process = tmp / "dovecot", None
        self.dir.mkdir(mode=0o755)
        self.users = self.dir / "users"
        self.run = self.dir / "run"
        self.users.write_text("".join(l + "\n" for l in users))
        os.chmod(self.users, 0o644)
        self.config = self.dir / "dovecot.conf"
        self.config.write_text(f"""\
base_dir = {self.run}
state_dir = {self.dir}/state
log_path = /dev/stderr
protocols =
ssl = no
auth_mechanisms = plain login scram-sha-256
auth_failure_delay = 0
auth_cache_size = 0
default_internal_user = dovecot
default_login_user = dovenull
passdb {{
    driver = passwd-file
    args = scheme=CRYPT username_format=%Lu {self.users}
}}
userdb {{
    driver = passwd-file
    args = username_format=%Lu {self.users}
    default_fields = uid=65534 gid=65534 home=/nonexistent
}}
service auth {{
    unix_listener auth-client {{
        mode = 0666
    }}
    unix_listener auth-userdb {{
        mode = 0666
    }}
    chroot =
}}
service stats {{
    chroot =
}}
""")
        self.socket = self.run / "auth-client"

    def start(self):
        self.process = Process("dovecot", ["dovecot", "-F", "-c", self.config], self.dir / "log")
        wait_until(self.socket.exists, 20, "Dovecot")

    def stop(self):
        # An auth process with a client outlives its master.
        pids = children(self.process.pid)
        self.process.stop()
        for pid in pids:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
