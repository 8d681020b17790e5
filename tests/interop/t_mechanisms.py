#!/usr/bin/python3
# sets: peers
# timeout: 900
"""Mail programs by the mechanisms that are off by default: CRAM-MD5 for an account that opted
in, GSSAPI with a ticket of a real KDC.  Each program in a Debian root of its own."""
from clients_programs import *
from realm import *

CRAM = "    auth-tls = SCRAM-SHA-256 CRAM-MD5 PLAIN LOGIN\n"


def user(lab, *words):
    call([SALLYPORT, "user", words[0], "--data", lab.srv.store, *words[1:]])


def both(lab, submit, how):
    """Over STARTTLS and implicit TLS; what the log must say of the login."""
    for tls in COLUMNS:
        mail = lab.mail()
        lab.arrived(mail, how, submit(mail, tls))


@test("dma by CRAM-MD5, its first choice: it submits for who opted in; for who did not nothing is lost")
def _():
    with Lab("dma ca-certificates", "dma", options=dict(listener=CRAM)) as lab:
        login = Login(password=lab.srv.password)
        mail = lab.mail()
        said = dma(lab, mail, "STARTTLS", Login(password=lab.srv.password, ok=range(256)))
        refused = "mechanism=CRAM-MD5" in lab.log() and "login.failed" in lab.log()
        check(refused, lab.words("no CRAM-MD5 was tried", said))
        user(lab, "password", "alice", "--cram-md5", "--password-file", lab.srv.password_file)
        time.sleep(1.5)  # auth looks once a second
        both(lab, lambda mail, tls: dma(lab, mail, tls, login), "CRAM-MD5")


@test("swaks by CRAM-MD5: it submits for who opted in, 535 for who did not")
def _():
    with Lab(PACKAGES, "swaks", options=dict(listener=CRAM)) as lab:
        def submit(mail, tls, ok=(0,)):
            rc = f"--auth CRAM-MD5\n--auth-user alice\n--auth-password {lab.srv.password}\n"
            message = lab.file("message", lf(mail.octets).removesuffix(b"\n"))
            return lab.sh(
                f"swaks --config {lab.file('swaksrc', rc)} --server localhost --port {lab.port(tls)} "
                f"{'--tls-on-connect' if tls == 'implicit TLS' else '--tls'} --tls-verify --tls-ca-path {lab.ca} "
                f"--from {mail.sender} --to {mail.to} --data @{message} --helo {HELO}", ok=ok)
        said = submit(lab.mail(), "STARTTLS", range(1, 256))
        check("535 5.7.8" in said, said)
        user(lab, "password", "alice", "--cram-md5", "--password-file", lab.srv.password_file)
        time.sleep(1.5)
        both(lab, submit, "CRAM-MD5")


@test("mutt (GNU SASL) and NeoMutt (Cyrus SASL) by GSSAPI: a ticket and no password")
def _():
    need_kerberos()
    # the lab's folder is there before its server: the key table is in it
    class Kerberos(Lab):
        def _server(self):
            self.realm = Realm(self.tmp)
            self.stack.callback(self.realm.stop)
            os.environ.update({k: self.realm.env[k] for k in ("KRB5_CONFIG", "KRB5RCACHENAME")})
            self.options = dict(listener="    auth-tls = SCRAM-SHA-256 PLAIN GSSAPI\n",
                                more=f"gssapi-keytab = {self.realm.keytab}\ngssapi-realm = {REALM}\n")
            super()._server()

    with Kerberos(PACKAGES + " libsasl2-modules-gssapi-mit", "mutt neomutt libgsasl18 libsasl2-modules-gssapi-mit",
                  raw=False) as lab:
        env = lab.realm.ticket("alice")
        for program in ("mutt", "neomutt"):
            def submit(mail, tls, env=env, ok=(0,)):
                rc = (f"set from={mail.sender} hostname={HELO} realname=Alice copy=no use_envelope_from=yes\n"
                      f"set ssl_starttls=yes ssl_force_tls=yes ssl_ca_certificates_file={lab.ca}\n"
                      "set smtp_authenticators=gssapi\n"
                      f"set smtp_url={'smtps' if tls == 'implicit TLS' else 'smtp'}://alice@localhost:{lab.port(tls)}\n")
                return lab.sh(f"export KRB5_CONFIG={env['KRB5_CONFIG']} KRB5CCNAME={env['KRB5CCNAME']}\n"
                              f"{program} -n -F {lab.file('muttrc', rc)} -s '{mail.subject}' {mail.to}", lf(mail.body), ok=ok)
            both(lab, submit, "GSSAPI")
            # no ticket: no mail
            mail = lab.mail()
            submit(mail, "STARTTLS", lab.realm.env, range(1, 256))
            check("login.ok" not in lab.log(), lab.words(f"{program} logged in without a ticket"))


run()
