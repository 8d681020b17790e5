"""realm.py - a Kerberos realm of MIT krb5 on loopback: a KDC, tickets, the server's key table."""
import os, shutil

from harness import Process, call, free_port, port_open, skip

REALM = "SALLYPORT.TEST"


def need_kerberos():
    for program in ("/usr/sbin/krb5kdc", "/usr/sbin/kadmin.local", "kinit"):
        if not shutil.which(program):
            skip(f"{program} is not installed")


class Realm:
    """A KDC with alice, bob, mallory (who has no account) and smtp/localhost."""

    def __init__(self, tmp):
        self.tmp, self.port = tmp / "krb", free_port()
        self.tmp.mkdir()
        os.chmod(self.tmp, 0o711)
        conf = self.tmp / "krb5.conf"
        conf.write_text(f"[libdefaults]\ndefault_realm = {REALM}\ndns_lookup_kdc = false\nrdns = false\n"
                        "dns_canonicalize_hostname = false\nudp_preference_limit = 1\n"
                        f"[realms]\n{REALM} = {{\n kdc = localhost:{self.port}\n}}\n"
                        f"[domain_realm]\nlocalhost = {REALM}\n")
        kdc = self.tmp / "kdc.conf"
        kdc.write_text(f"[realms]\n{REALM} = {{\n database_name = {self.tmp}/db\n key_stash_file = {self.tmp}/stash\n"
                       f" kdc_listen = 127.0.0.1:{self.port}\n kdc_tcp_listen = 127.0.0.1:{self.port}\n"
                       f" acl_file = {self.tmp}/acl\n max_life = 1h\n}}\n[logging]\nkdc = FILE:{self.tmp}/kdc.log\n")
        self.env = {"KRB5_CONFIG": str(conf), "KRB5_KDC_PROFILE": str(kdc), "KRB5RCACHENAME": "dfl:",
                    "KRB5CCNAME": f"FILE:{self.tmp}/none", "PATH": os.environ["PATH"] + ":/usr/sbin:/sbin"}
        call(["/usr/sbin/kdb5_util", "create", "-s", "-P", "master"], env=self.env)
        self.keytab = self.tmp / "smtp.keytab"
        self.admin("addprinc -randkey smtp/localhost", f"ktadd -k {self.keytab} smtp/localhost",
                   *[f"addprinc -pw {n}-password {n}" for n in ("alice", "bob", "mallory", "alice/admin")])
        os.chmod(self.keytab, 0o644)  # the service's user reads it; the test's folder is not others'
        self.kdc = Process("krb5kdc", ["/usr/sbin/krb5kdc", "-n"], self.tmp / "kdc.out", env=self.env)
        self.kdc.wait_ready(lambda: port_open(self.port))

    def admin(self, *queries):
        for q in queries:
            call(["/usr/sbin/kadmin.local", "-q", q], env=self.env)

    def ticket(self, who):
        env = {**self.env, "KRB5CCNAME": f"FILE:{self.tmp}/cc-{who.replace('/', '-')}"}
        call(["kinit", who], stdin=f"{who}-password\n".encode(), env=env)
        return env

    def stop(self):
        self.kdc.stop()
