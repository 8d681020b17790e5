"""peers.py - real mail servers on the other end, each in a Debian root of its own.

    with work() as tmp, Postfix(tmp) as next_hop:
        ... deliver to next_hop.port ...
        check_same(message, next_hop.mailbox("bob").wait(1)[0])

tools/fresh-root makes the root (Postfix, Dovecot and Exim cannot be installed side by
side) and runs the daemon in its own process namespace: when it is stopped nothing of it
is left.  The daemon sees the network of this machine and listens on 127.0.0.1 only.
Its configuration, logs and mail are below tmp/NAME, under the same path in the root.
"""
import os, textwrap
from pathlib import Path

from harness import ROOT, Certificates, Failed, Maildir, Process, free_port, need_root, port_open, skip, wait_until

import shutil


class Peer:
    packages, release = "", "bookworm"
    user, password = "relay", "peer secret 1"
    domain, users = "remote.test", ("alice", "bob", "carol", "dave")

    def __init__(self, tmp, certificates=None):
        need_root()
        if not shutil.which("debootstrap"):
            skip("debootstrap is not installed: run-tests installs it for this set")
        self.folder = Path(tmp) / type(self).__name__.lower()
        self.folder.mkdir()
        os.chmod(self.folder, 0o755)
        self.certificates = certificates or Certificates(self.folder / "pki")
        self.ca = self.certificates.ca
        self.certificate, self.key = self.certificates.server("peer")
        self.log, self.process = self.folder / "log", None

    def script(self):
        """The shell script that configures and then becomes the daemon."""
        raise NotImplementedError

    def ports(self):
        raise NotImplementedError

    def file(self, name, text):
        path = self.folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(textwrap.dedent(text))
        return path

    def start(self):
        start = self.file("start", "set -e\n" + textwrap.dedent(self.script()))
        self.process = Process(
            type(self).__name__,
            [ROOT / "tools/fresh-root", "--release", self.release, "--packages", self.packages,
             "--bind", self.folder, *self.more_binds(), "--", "sh", start],
            self.log)
        # Long: the first time, the root is made.
        self.process.wait_ready(lambda: all(port_open(p) for p in self.ports()), 300)
        return self

    def more_binds(self):
        folder = self.certificates.folder
        return ["--bind", folder] if self.folder not in folder.parents else []

    def stop(self):
        if self.process:
            self.process.stop()

    def restart(self):
        self.stop()
        return self.start()

    def mailbox(self, user):
        return Maildir(self.folder / "mail" / user)

    def output(self):
        return self.process.output()

    def __enter__(self):
        try:
            return self.start()
        except BaseException:
            self.stop()
            raise

    def __exit__(self, kind, *_):
        if kind and self.process:
            print(f"--- log of {self.process.name}\n{self.process.tail(40)}")
        self.stop()


# What the master.cf of every Postfix of the tests has besides its listeners.
POSTFIX_SERVICES = """\
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
smtp unix - - n - - smtp
relay unix - - n - - smtp
virtual unix - n n - - virtual
error unix - - n - - error
retry unix - - n - - error
anvil unix - - n - 1 anvil
proxymap unix - - n - - proxymap
postlog unix-dgram n - n - 1 postlogd
"""


class Postfix(Peer):
    """A relay that wants a login: a next hop (smart host) for us.

    port        STARTTLS, login by SASL password (PLAIN, LOGIN, SCRAM by sasldb) or by
                a certificate that our CA signed (permit_tls_all_clientcerts)
    tls_port    the same with TLS from the first octet
    clear_port  no TLS, no login, for 127.0.0.1: for load and for clients without either

    Mail for one of users at remote.test lands in mailbox(user); at RCPT refused@ and
    unknown ones get 550 5.1.1, later@ gets 450 4.2.0.
    """
    packages = "postfix libsasl2-modules sasl2-bin ca-certificates"

    def __init__(self, tmp, certificates=None):
        super().__init__(tmp, certificates)
        self.port, self.tls_port, self.clear_port = free_port(), free_port(), free_port()

    def ports(self):
        return [self.port, self.tls_port, self.clear_port]

    def script(self):
        mailboxes = ", ".join(f"{n}@{self.domain}={n}/" for n in self.users)
        self.file("main.cf", f"""\
            compatibility_level = 3.6
            myhostname = relay.remote.test
            mydestination =
            mynetworks =
            inet_interfaces = 127.0.0.1
            inet_protocols = ipv4
            disable_dns_lookups = yes
            maillog_file = /dev/stdout
            virtual_mailbox_domains = {self.domain}
            virtual_mailbox_base = {self.folder}/mail
            virtual_mailbox_maps = inline:{{ {mailboxes} }}
            default_transport = error:mail to the outside has no place in a test
            virtual_uid_maps = static:5000
            virtual_gid_maps = static:5000
            virtual_mailbox_limit = 0
            mailbox_size_limit = 0
            message_size_limit = 104857600
            smtpd_recipient_restrictions = check_recipient_access regexp:{self.folder}/access
            smtpd_relay_restrictions = permit_sasl_authenticated permit_tls_all_clientcerts reject
            smtpd_tls_cert_file = {self.certificate}
            smtpd_tls_key_file = {self.key}
            smtpd_tls_CAfile = {self.ca}
            smtpd_tls_security_level = encrypt
            smtpd_tls_auth_only = yes
            smtpd_tls_ask_ccert = yes
            smtpd_tls_loglevel = 1
            smtpd_tls_received_header = yes
            smtpd_sasl_authenticated_header = yes
            smtpd_sasl_auth_enable = yes
            smtpd_sasl_local_domain = remote.test
            cyrus_sasl_config_path = {self.folder}/sasl
            smtpd_client_connection_count_limit = 0
            smtpd_client_connection_rate_limit = 0
            """)
        self.file("access", "/^refused@/ 550 5.1.1 no such user here\n"
                            "/^later@/ 450 4.2.0 come back later\n")
        self.file("sasl/smtpd.conf", """\
            pwcheck_method: auxprop
            auxprop_plugin: sasldb
            mech_list: PLAIN LOGIN SCRAM-SHA-256 CRAM-MD5
            """)
        self.file("master.cf", textwrap.dedent(f"""\
            127.0.0.1:{self.port} inet n - n - - smtpd
            127.0.0.1:{self.tls_port} inet n - n - - smtpd
              -o smtpd_tls_wrappermode=yes
            127.0.0.1:{self.clear_port} inet n - n - - smtpd
              -o smtpd_tls_security_level=none -o smtpd_sasl_auth_enable=no
              -o mynetworks=127.0.0.0/8 -o smtpd_relay_restrictions=permit_mynetworks,reject
            """) + POSTFIX_SERVICES)
        return f"""\
            mkdir -p {self.folder}/mail
            chown 5000:5000 {self.folder}/mail
            cp {self.folder}/main.cf {self.folder}/master.cf /etc/postfix/
            printf '%s' '{self.password}' | saslpasswd2 -p -c -u remote.test {self.user}
            chgrp postfix /etc/sasldb2
            chmod 640 /etc/sasldb2
            exec postfix start-fg
            """


class Dovecot(Peer):
    """A mail store: takes LMTP on a port and on a Unix socket, keeps Maildirs.

    Mail for one of users lands in mailbox(user); others are unknown to it (550).
    """
    packages = "dovecot-core dovecot-lmtpd"

    def __init__(self, tmp, certificates=None):
        super().__init__(tmp, certificates)
        self.port = free_port()

    def ports(self):
        return [self.port]

    @property
    def socket(self):
        return self.folder / "lmtp"

    def script(self):
        self.file("dovecot.conf", f"""\
            protocols = lmtp
            base_dir = /run/dovecot/
            state_dir = /run/dovecot-state
            log_path = /dev/stderr
            hostname = store.remote.test
            listen = 127.0.0.1
            ssl = no
            disable_plaintext_auth = no
            mail_location = maildir:{self.folder}/mail/%n
            mail_uid = 5000
            mail_gid = 5000
            first_valid_uid = 1
            auth_mechanisms = plain
            lmtp_save_to_detail_mailbox = no
            passdb {{
              driver = static
              args = nopassword=y
            }}
            userdb {{
              driver = passwd-file
              args = username_format=%n {self.folder}/users
            }}
            service lmtp {{
              inet_listener lmtp {{
                address = 127.0.0.1
                port = {self.port}
              }}
              unix_listener {self.socket} {{
                mode = 0666
              }}
            }}
            """)
        self.file("users", "".join(f"{name}::5000:5000::{self.folder}/mail/{name}::\n"
                                   for name in self.users))
        return f"""\
            mkdir -p {self.folder}/mail /run/dovecot-state
            chown 5000:5000 {self.folder}/mail
            exec dovecot -F -c {self.folder}/dovecot.conf
            """
