"""servers_peers.py - the submission servers that our client is run against.

Each class is one program, set up as its manual says, in a Debian root of its own (those
from npm: beside this machine's node), on ports of 127.0.0.1:

    with work() as tmp, Exim(tmp) as p:
        p.port("external driver", "STARTTLS")
        p.wait(message_id)      the message as it arrived: at the server, or in the sink
                                that it relays to
        p.said()                everything that its logs say

`variants` are the settings that matter for a login, with what each wants (how() below).
The account is alice; her certificate names alice@example.org.
"""
import json, os, re, shutil, socket, subprocess, tempfile, threading
from pathlib import Path

from harness import CACHE, PYTHON, Certificates, Failed, Maildir, Process, call, free_port, port_open, \
    skip, wait_until
from peers import POSTFIX_SERVICES, Peer

HERE = Path(__file__).resolve().parent
STARTTLS, IMPLICIT = "STARTTLS", "implicit TLS"


class Syslog:
    """What a program in a root says to /dev/log, in a file.  The socket is out here."""
    mount = """\
        mount -t tmpfs -o mode=755 tmpfs /dev
        for node in null:3 zero:5 full:7 random:8 urandom:9; do
            mknod -m 666 /dev/${{node%:*}} c 1 ${{node#*:}}
        done
        mknod -m 666 /dev/tty c 5 0
        mkdir -m 1777 /dev/shm
        ln -s /proc/self/fd /dev/fd
        ln -s /proc/self/fd/1 /dev/stdout
        ln -s /proc/self/fd/2 /dev/stderr
        ln -s {path} /dev/log
        """

    def __init__(self, folder):
        self.path, self.file = folder / "log.sock", folder / "syslog"
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(str(self.path))
        os.chmod(self.path, 0o666)
        self.thread = threading.Thread(target=self._read, daemon=True)
        self.thread.start()

    def _read(self):
        with open(self.file, "ab", buffering=0) as out:
            while True:
                line = self.socket.recv(65536)
                if line == b"\0stop":
                    return
                out.write(line.rstrip(b"\0\n") + b"\n")

    def stop(self):
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
            s.sendto(b"\0stop", str(self.path))
        self.thread.join(5)
        self.socket.close()


class Submission(Peer):
    """variants: name -> what it takes.  Keys: "password" (mechanisms are listed),
    "certificate" ("explicit", "implicit" or None: no login), "needs" (what every session
    must show), "hides" (what is not listed to a client with a certificate)."""
    user, password = "alice", "Tr0ub4dor-3"
    address = "alice@example.org"
    source = None       # our own address; the server trusts 127.0.0.1 more than others
    syslog = False
    one_variant = {"": {"password": True, "certificate": None}}
    variants = one_variant
    transports = (STARTTLS, IMPLICIT)
    version_of = None   # the package whose version is shown
    smtputf8 = True     # is offered
    puts_in_front = set()  # fields besides those that any server puts there

    def __init__(self, tmp, certificates=None):
        super().__init__(tmp, certificates)
        c = self.certificates
        subject = f"/CN=alice/emailAddress={self.address}"
        self.client = c.sign("alice", subject, f"email:{self.address}", "clientAuth")
        self.expired = c.sign("expired", subject, f"email:{self.address}", "clientAuth", days=-1)
        other = Certificates(c.folder, "other")
        self.foreign = other.sign("foreign", subject, f"email:{self.address}", "clientAuth")
        self.other_ca = other.ca
        for path in c.folder.iterdir():
            os.chmod(path, 0o644)
        self.ports_ = {(v, t): free_port() for v in self.variants for t in self.transports}
        self.sink_port, self.sink, self.log_reader = free_port(), None, None
        self.mail = self.folder / "mail"
        self.mail.mkdir()
        os.chmod(self.mail, 0o777)
        self.password_file = self.folder / "password"
        self.password_file.write_text(self.password + "\n")

    def way(self, variant, held):
        """"password", "explicit" or "implicit": how who holds this gets in; None: not at all."""
        facts = self.variants[variant]
        if held == "password":
            return "password" if facts["password"] and not facts.get("needs") else None
        if held == "certificate" or facts["certificate"] == "explicit":
            return facts["certificate"]
        return facts["certificate"] if facts.get("hides") or not facts["password"] else "password"

    def domains(self):
        """remote.test, and one for each route that the matrix makes."""
        return ["remote.test", "counted.remote.test", *(f"{held}{i}.remote.test" for i in range(len(self.variants))
                                 for held in ("password", "certificate", "both"))]

    def port(self, variant, transport=STARTTLS):
        return self.ports_[variant, transport]

    def ports(self):
        return list(self.ports_.values())

    def start(self):
        self.sink = Process("sink", [PYTHON, HERE / "servers_sink.py", "--port", self.sink_port,
                                     "--folder", self.mail], self.folder / "sink.log")
        self.sink.wait_ready(lambda: port_open(self.sink_port))
        if self.syslog:
            self.log_reader = Syslog(self.folder)
        return super().start()

    def stop(self):
        try:
            super().stop()
        finally:
            if self.sink:
                self.sink.stop()
            if self.log_reader:
                self.log_reader.stop()
                self.log_reader = None

    def preamble(self):
        said = f"dpkg-query -W {self.version_of} >{self.folder}/version\n" if self.version_of else ""
        return said + (Syslog.mount.format(path=self.folder / "log.sock") if self.syslog else "")

    @property
    def version(self):
        name, version = (self.folder / "version").read_text().split()[:2]
        return f"{name} {version}"

    def logs(self):
        """Files that the server writes besides its output."""
        return [self.folder / "syslog"]

    def said(self):
        return self.output() + "".join(p.read_text(errors="replace") for p in self.logs()
                                       if p.exists())

    def login(self, message_id, got):
        """How and as whom this message got in, by the server's own log or trace fields:
        (mechanism, account).  Mechanism "" is none that the server names; None: no AUTH,
        the certificate alone.  Account None: the server does not say."""
        raise NotImplementedError

    def find(self, pattern, text=None, what="log"):
        """The match in text; in the log it may come a moment after the mail."""
        return wait_until(lambda: re.search(pattern, self.said() if text is None else text),
                          0 if text else 20, f"{pattern} in the {what} of {type(self).__name__}")

    def arrived(self, message_id):
        """The messages with this Message-ID, for whomever."""
        wanted = message_id.encode()
        found = []
        for box in self.mail.iterdir() if self.mail.exists() else ():
            found += [m for m in Maildir(box).messages() if wanted in m]
        return found

    def without_its_own(self, got):
        """got without the fields that this server alone puts in front."""
        header, gap, body = got.replace(b"\r\n", b"\n").partition(b"\n\n")
        fields = re.findall(rb"[^\n]+(?:\n[ \t][^\n]*)*", header)
        while fields and fields[0].partition(b":")[0].lower() in self.puts_in_front:
            del fields[0]
        return b"\n".join(fields) + gap + body

    def wait(self, message_id, seconds=60):
        return wait_until(lambda: self.arrived(message_id), seconds,
                          f"{message_id} to arrive")[0]


# ---- Exim ----

class Exim(Submission):
    packages = "exim4-daemon-heavy ca-certificates"
    version_of = "exim4-daemon-heavy"
    variants = {
        "external driver": {"password": True, "certificate": "explicit"},
        "tls driver": {"password": True, "certificate": "implicit", "hides": "AUTH"},
        "passwords": {"password": True, "certificate": None},
    }

    def logs(self):
        return [self.folder / "logs/mainlog", self.folder / "logs/rejectlog"]

    def login(self, message_id, got):
        who = self.find(rf"<= .* A=(\w+?)_server:(\S+) .*id={re.escape(message_id)}")
        names = {"plain": "PLAIN", "login": "LOGIN", "cram": "CRAM-MD5", "external": "EXTERNAL",
                 "tls": None}
        return names[who[1]], who[2]

    def one_of(self, variant):
        ports = [self.port(variant, t) for t in self.transports]
        return " ".join(f"{{={{$received_port}}{{{p}}}}}" for p in ports)

    def script(self):
        self.file("exim.conf", f"""\
            primary_hostname = mail.remote.test
            log_file_path = {self.folder}/logs/%slog
            log_selector = +all -arguments
            local_interfaces = 127.0.0.1
            daemon_smtp_ports = {' : '.join(str(p) for p in self.ports())}
            tls_on_connect_ports = {' : '.join(str(self.port(v, IMPLICIT)) for v in self.variants)}
            keep_environment =
            never_users = root
            message_size_limit = 64M
            tls_advertise_hosts = *
            tls_certificate = {self.certificate}
            tls_privatekey = {self.key}
            tls_verify_certificates = {self.ca}
            tls_try_verify_hosts = *
            auth_advertise_hosts = ${{if eq{{$tls_in_cipher}}{{}}{{}}{{*}}}}
            host_lookup =
            rfc1413_query_timeout = 0s
            smtp_accept_max = 0
            acl_smtp_mail = acl_check_mail
            acl_smtp_rcpt = acl_check_rcpt
            acl_smtp_data = accept

            begin acl
            acl_check_mail:
              accept encrypted = *
              deny   message = 530 5.7.0 Must issue a STARTTLS command first
            acl_check_rcpt:
              accept authenticated = *
                     control = submission/sender_retain
              deny   message = relay not permitted

            begin routers
            send_on:
              driver = manualroute
              transport = sink
              route_list = * 127.0.0.1
              self = send

            begin transports
            sink:
              driver = smtp
              port = {self.sink_port}
              allow_localhost
              hosts_try_fastopen =

            begin retry
            * * F,1h,1m

            begin authenticators
            plain_server:
              driver = plaintext
              public_name = PLAIN
              server_prompts = :
              server_condition = ${{if and{{ {{eq{{$auth2}}{{{self.user}}}}} {{eq{{$auth3}}{{{self.password}}}}} }}}}
              server_set_id = $auth2
            login_server:
              driver = plaintext
              public_name = LOGIN
              server_prompts = Username:: : Password::
              server_condition = ${{if and{{ {{eq{{$auth1}}{{{self.user}}}}} {{eq{{$auth2}}{{{self.password}}}}} }}}}
              server_set_id = $auth1
            cram_server:
              driver = cram_md5
              public_name = CRAM-MD5
              server_secret = ${{if eq{{$auth1}}{{{self.user}}}{{{self.password}}}fail}}
              server_set_id = $auth1
            external_server:
              driver = external
              public_name = EXTERNAL
              server_advertise_condition = ${{if and{{ {{bool{{$tls_in_certificate_verified}}}} {{or{{ {self.one_of("external driver")} }}}} }}}}
              server_param2 = ${{certextract {{subj_altname,mail,>:}} {{$tls_in_peercert}}}}
              server_condition = ${{if forany {{$auth2}} {{eq {{$item}}{{$auth1}}}}}}
              server_set_id = $auth1
            tls_server:
              driver = tls
              server_param1 = ${{certextract {{subj_altname,mail,>:}} {{$tls_in_peercert}}}}
              server_condition = ${{if and{{ {{bool{{$tls_in_certificate_verified}}}} {{or{{ {self.one_of("tls driver")} }}}} {{!eq{{$auth1}}{{}}}} }}}}
              server_set_id = $auth1
            """)
        return self.preamble() + f"""
            mkdir -p {self.folder}/logs
            chown Debian-exim {self.folder}/logs
            cp {self.folder}/exim.conf /etc/exim4/exim4.conf
            exec exim4 -bdf -q1m
            """


# ---- Postfix ----

class Postfix(Submission):
    packages = "postfix libsasl2-modules sasl2-bin ca-certificates"
    version_of = "postfix"
    variants = {
        "permit_tls_clientcerts": {"password": True, "certificate": "implicit"},
        "permit_tls_all_clientcerts": {"password": True, "certificate": "implicit"},
        "passwords, AUTH= line": {"password": True, "certificate": None},
        "req_ccert": {"password": True, "certificate": "implicit", "needs": "certificate"},
    }

    def logs(self):
        return [self.folder / "postfix.log"]

    def login(self, message_id, got):
        trace = got.decode().partition("\nFrom:")[0]
        queue_id = self.find(r"with (?:ESMTPS|ESMTPSA|UTF8SMTPS|UTF8SMTPSA) id (\w+)", trace,
                             "trace")[1]
        client = self.find(rf"{queue_id}: client=(.*)")[1]
        sasl = re.search(r"sasl_method=(\S+), sasl_username=(\S+)", client)
        if sasl:
            return sasl[1], sasl[2]
        return None, self.find(r'\(Client CN "(.*)", Issuer ".*" \(verified OK\)\)', trace,
                               "trace")[1]

    def script(self):
        fingerprint = subprocess.run(
            ["openssl", "x509", "-in", self.client[0], "-noout", "-fingerprint", "-sha256"],
            check=True, capture_output=True, text=True).stdout.partition("=")[2].strip()
        self.file("clientcerts", f"{fingerprint} {self.address}\n")
        self.file("main.cf", f"""\
            compatibility_level = 3.6
            myhostname = mail.remote.test
            mydestination =
            mynetworks =
            inet_interfaces = 127.0.0.1
            inet_protocols = ipv4
            disable_dns_lookups = yes
            relayhost = [127.0.0.1]:{self.sink_port}
            message_size_limit = 67108864
            maillog_file = {self.folder}/postfix.log
            smtpd_tls_cert_file = {self.certificate}
            smtpd_tls_key_file = {self.key}
            smtpd_tls_CAfile = {self.ca}
            smtpd_tls_security_level = encrypt
            smtpd_tls_auth_only = yes
            smtpd_tls_ask_ccert = yes
            smtpd_tls_loglevel = 1
            smtpd_tls_received_header = yes
            smtpd_tls_fingerprint_digest = sha256
            relay_clientcerts = texthash:{self.folder}/clientcerts
            smtpd_sasl_authenticated_header = yes
            smtpd_sasl_auth_enable = yes
            smtpd_sasl_local_domain = remote.test
            cyrus_sasl_config_path = {self.folder}/sasl
            smtpd_client_connection_count_limit = 0
            smtpd_client_connection_rate_limit = 0
            """)
        self.file("sasl/smtpd.conf", """\
            pwcheck_method: auxprop
            auxprop_plugin: sasldb
            mech_list: PLAIN LOGIN SCRAM-SHA-256 CRAM-MD5
            """)
        restrictions = {
            "permit_tls_clientcerts": "permit_sasl_authenticated,permit_tls_clientcerts,reject",
            "permit_tls_all_clientcerts":
                "permit_sasl_authenticated,permit_tls_all_clientcerts,reject",
            "passwords, AUTH= line": "permit_sasl_authenticated,reject\n"
                                     "  -o broken_sasl_auth_clients=yes",
            "req_ccert": "permit_sasl_authenticated,permit_tls_clientcerts,reject\n"
                         "  -o smtpd_tls_req_ccert=yes",
        }
        services = ""
        for (variant, transport), port in self.ports_.items():
            services += f"127.0.0.1:{port} inet n - n - - smtpd\n" \
                        f"  -o smtpd_relay_restrictions={restrictions[variant]}\n"
            if transport == IMPLICIT:
                services += "  -o smtpd_tls_wrappermode=yes\n"
        (self.folder / "master.cf").write_text(services + POSTFIX_SERVICES)
        return self.preamble() + f"""
            cp {self.folder}/main.cf {self.folder}/master.cf /etc/postfix/
            postconf -e maillog_file_prefixes={self.folder}
            echo '{self.password}' | saslpasswd2 -p -c -u remote.test {self.user}
            chgrp postfix /etc/sasldb2
            chmod 640 /etc/sasldb2
            exec postfix start-fg
            """


# ---- Sendmail ----

class Sendmail(Submission):
    smtputf8 = False
    packages = ("sendmail-bin sensible-mda sendmail-cf m4 make sasl2-bin libsasl2-modules openssl "
                "ca-certificates")
    version_of = "sendmail-bin"
    source = "127.0.0.2"  # 127.0.0.1 may relay, whatever it shows
    syslog = True
    variants = {
        "EXTERNAL": {"password": True, "certificate": "explicit"},
        "CERTIssuer": {"password": True, "certificate": "implicit"},
    }

    def login(self, message_id, got):
        process = self.find(rf"sendmail\[(\d+)\]: .*msgid=<{re.escape(message_id)}>")[1]
        lines = "\n".join(l for l in self.said().splitlines() if f"sendmail[{process}]" in l)
        hit = re.search(r"AUTH=server, .*authid=(\S+), mech=(\S+),", lines)
        if hit:
            return hit[2], hit[1]
        self.find(r"STARTTLS=server, .*verify=OK", lines)
        return None, self.find(r"cert-subject=(\S+),", lines)[1]

    def config(self, variant):
        external = "EXTERNAL " if variant == "EXTERNAL" else ""
        flags = "Ea" if external else "E"
        access = "" if external else "FEATURE(`access_db', `hash -T<TMPF> -o /etc/mail/access')dnl\n"
        port, tls_port = self.port(variant), self.port(variant, IMPLICIT)
        return f"""\
VERSIONID(`{variant}')dnl
OSTYPE(`linux')dnl
DOMAIN(`generic')dnl
define(`confDOMAIN_NAME', `mail.remote.test')dnl
define(`confCACERT_PATH', `/etc/mail/certs')dnl
define(`confCACERT', `/etc/mail/certs/ca.pem')dnl
define(`confSERVER_CERT', `/etc/mail/certs/server.pem')dnl
define(`confSERVER_KEY', `/etc/mail/certs/server.key')dnl
define(`confAUTH_MECHANISMS', `{external}PLAIN LOGIN CRAM-MD5 SCRAM-SHA-256')dnl
TRUST_AUTH_MECH(`{external}PLAIN LOGIN CRAM-MD5 SCRAM-SHA-256')dnl
define(`confAUTH_OPTIONS', `A p y')dnl
define(`confAUTH_REALM', `remote.test')dnl
define(`confLOG_LEVEL', `14')dnl
define(`confPID_FILE', `/run/sendmail-{variant}.pid')dnl
define(`QUEUE_DIR', `/var/spool/mqueue-{variant}')dnl
define(`confREFUSE_LA', `300')dnl
define(`confQUEUE_LA', `200')dnl
define(`confDELAY_LA', `0')dnl
define(`confTO_IDENT', `0')dnl
define(`confBIND_OPTS', `-DNSRCH -DEFNAMES')dnl
define(`SMART_HOST', `relay:[127.0.0.1]')dnl
define(`RELAY_MAILER_ARGS', `TCP $h {self.sink_port}')dnl
FEATURE(`nocanonify')dnl
FEATURE(`accept_unresolvable_domains')dnl
{access}FEATURE(`no_default_msa')dnl
DAEMON_OPTIONS(`Name=MSA, Port={port}, Addr=127.0.0.1, M={flags}')dnl
DAEMON_OPTIONS(`Name=MSAS, Port={tls_port}, Addr=127.0.0.1, M={flags}s')dnl
MAILER(`smtp')dnl
MAILER(`local')dnl
"""

    def script(self):
        for variant in self.variants:
            (self.folder / f"{variant}.mc").write_text(self.config(variant))
        # The access map wants the issuer's name in its own encoding.
        issuer = "/CN=Test+20authority+20ca"
        (self.folder / "access").write_text(f"CERTIssuer:{issuer}\tRELAY\n")
        (self.folder / "Sendmail.conf").write_text(
            "pwcheck_method: auxprop\nauxprop_plugin: sasldb\n"
            "mech_list: EXTERNAL PLAIN LOGIN CRAM-MD5 SCRAM-SHA-256\n")
        return self.preamble() + f"""
            # It waits a minute for a host name of its own with a dot in it.
            printf '127.0.0.1 localhost\\n127.0.1.1 mail.remote.test %s\\n' "$(hostname)" >/etc/hosts
            mkdir -p /etc/mail/certs /etc/mail/sasl /usr/lib/sasl2 /etc/sasl2
            chmod 755 /etc/mail /etc/mail/certs
            cp {self.ca} /etc/mail/certs/ca.pem
            cp {self.certificate} /etc/mail/certs/server.pem
            install -m 600 {self.key} /etc/mail/certs/server.key
            ln -sf ca.pem /etc/mail/certs/$(openssl x509 -in {self.ca} -noout -hash).0
            chown -R root:root /etc/mail/certs
            for to in /etc/mail/sasl/Sendmail.conf.2 /usr/lib/sasl2/Sendmail.conf /etc/sasl2/Sendmail.conf; do
                rm -f $to
                cp {self.folder}/Sendmail.conf $to
            done
            echo '{self.password}' | saslpasswd2 -p -c -u remote.test {self.user}
            chown root:root /etc/sasldb2
            chmod 600 /etc/sasldb2
            cp {self.folder}/access /etc/mail/access
            makemap hash /etc/mail/access <{self.folder}/access
            chown root:root /etc/mail /etc/mail/access*
            touch /etc/mail/local-host-names
            for v in {' '.join(self.variants)}; do
                mkdir -p -m 700 /var/spool/mqueue-$v
                (cd /usr/share/sendmail/cf && m4 m4/cf.m4 {self.folder}/$v.mc) >/etc/mail/$v.cf
            done
            cd /
            sendmail -bD -q1m -C/etc/mail/EXTERNAL.cf &
            exec sendmail -bD -q1m -C/etc/mail/CERTIssuer.cf
            """


# ---- OpenSMTPD ----

class OpenSMTPD(Submission):
    smtputf8 = False
    packages, release = "opensmtpd ca-certificates", "trixie"  # bookworm's cannot do TLS
    version_of = "opensmtpd"
    variants = {
        "auth": {"password": True, "certificate": None},
        "auth-optional": {"password": True, "certificate": None},
        "verify": {"password": False, "certificate": "implicit", "needs": "certificate"},
        "verify, auth": {"password": True, "certificate": None, "needs": "certificate"},
    }

    def login(self, message_id, got):
        name = self.find(r"\(OpenSMTPD\) with \w+ id (\w+)", got.decode(), "trace")[1]
        session = self.find(rf"(?m)^(\w+) smtp message msgid={name}")[1]
        lines = "\n".join(l for l in self.output().splitlines() if l.startswith(session))
        hit = re.search(r"smtp authentication user=(\S+) result=ok", lines)
        if hit:
            return "", hit[1]
        self.find(r'smtp cert-check result="verified"', lines)
        return None, None

    def script(self):
        words = {"auth": "auth <users>", "auth-optional": "auth-optional <users>",
                 "verify": "verify", "verify, auth": "verify auth <users>"}
        lines = ""
        for (variant, transport), port in self.ports_.items():
            tls = "smtps" if transport == IMPLICIT else "tls-require"
            verify = " verify" if "verify" in variant else ""
            rest = words[variant].removeprefix("verify").strip()
            tag = " tag CERT" if variant == "verify" else ""
            lines += f"listen on 127.0.0.1 port {port} {tls}{verify} pki peer ca peer {rest}{tag} " \
                     "hostname mail.remote.test\n"
        (self.folder / "smtpd.conf").write_text(f"""\
pki peer cert "/etc/peer/server.pem"
pki peer key "/etc/peer/server.key"
ca peer cert "/etc/peer/ca.pem"
table users file:/etc/peer/users
smtp max-message-size 64M
{lines}
action "sink" relay host smtp://127.0.0.1:{self.sink_port}
match tag CERT from any for any action "sink"
match from auth for any action "sink"
""")
        return self.preamble() + f"""
            mkdir -p /etc/peer
            chmod 755 /etc/peer
            install -m 644 {self.certificate} /etc/peer/server.pem
            install -m 600 {self.key} /etc/peer/server.key
            install -m 644 {self.ca} /etc/peer/ca.pem
            install -m 600 {self.folder}/smtpd.conf /etc/peer/smtpd.conf
            echo "{self.user} $(smtpctl encrypt '{self.password}')" >/etc/peer/users
            chgrp opensmtpd /etc/peer/users
            chmod 640 /etc/peer/users
            exec smtpd -d -v -f /etc/peer/smtpd.conf
            """


# ---- Dovecot ----

class DovecotSubmission(Submission):
    smtputf8 = False
    packages = "dovecot-core dovecot-submissiond"
    version_of = "dovecot-submissiond"
    source = "127.0.0.2"  # a client at the server's own address counts as secured
    variants = {
        "implicit-auth-external": {"password": True, "certificate": "explicit"},
        "explicit": {"password": True, "certificate": "explicit"},
    }

    def login(self, message_id, got):
        name = self.find(r"with \w+\s+id (\S+)", got.decode(), "trace")[1]
        process = self.find(rf"<(\d+)><\S+>: Info: Successfully relayed .*id={re.escape(name)},")[1]
        hit = self.find(rf"Login: user=<(\S+)>, method=(\S+), .*mpid={process},")
        return hit[2], hit[1]

    def config(self, variant):
        workaround = " implicit-auth-external" if variant != "explicit" else ""
        return f"""\
            protocols = submission
            base_dir = /run/dovecot-{variant}/
            state_dir = /run/dovecot-state-{variant}
            log_path = {self.folder}/{variant}.log
            auth_verbose = yes
            hostname = mail.remote.test
            listen = 127.0.0.1
            ssl = required
            ssl_cert = <{self.certificate}
            ssl_key = <{self.key}
            ssl_ca = <{self.ca}
            ssl_require_crl = no
            ssl_verify_client_cert = yes
            auth_ssl_username_from_cert = yes
            ssl_cert_username_field = emailAddress
            auth_mechanisms = plain login cram-md5 scram-sha-256 external
            submission_relay_host = 127.0.0.1
            submission_relay_port = {self.sink_port}
            submission_client_workarounds = whitespace-before-path mailbox-for-path{workaround}
            submission_max_mail_size = 64M
            mail_location = maildir:/var/tmp/mail/%u
            first_valid_uid = 1
            passdb {{
              driver = passwd-file
              args = scheme=PLAIN {self.folder}/users
              mechanisms = plain login cram-md5 scram-sha-256
            }}
            passdb {{
              driver = static
              args = nopassword=y
              mechanisms = external
            }}
            userdb {{
              driver = static
              args = uid=5000 gid=5000 home=/var/tmp/mail/%u
            }}
            # No growing delay for this address, from which all of the tests' failures come.
            service anvil {{
              unix_listener anvil-auth-penalty {{
                mode = 0
              }}
            }}
            service submission-login {{
              inet_listener submission {{
                port = {self.port(variant)}
              }}
              inet_listener submissions {{
                port = {self.port(variant, IMPLICIT)}
                ssl = yes
              }}
            }}
            """

    def logs(self):
        return [self.folder / f"{v}.log" for v in self.variants]

    def script(self):
        self.file("users", f"{self.user}:{{PLAIN}}{self.password}\n")
        for variant in self.variants:
            self.file(f"{variant}.conf", self.config(variant))
        return self.preamble() + f"""
            mkdir -m 777 /var/tmp/mail
            dovecot -F -c {self.folder}/explicit.conf &
            exec dovecot -F -c {self.folder}/implicit-auth-external.conf
            """


# ---- Courier ----

class Courier(Submission):
    packages = "courier-mta courier-authdaemon courier-authlib-userdb openssl"
    version_of = "courier-mta"
    syslog = True
    variants = {"": {"password": True, "certificate": "explicit"}}

    def login(self, message_id, got):
        hit = self.find(r"\(AUTH: (\S+) (\S+), (?:TLS|SSL):", got.decode(), "trace")
        return hit[1], hit[2]

    def script(self):
        port, tls_port = self.port(""), self.port("", IMPLICIT)
        settings = {"BOFHCHECKDNS": 0, "ADDRESS": "127.0.0.1", "ESMTPAUTH": '""',
                    "ESMTPAUTH_TLS": '"PLAIN LOGIN CRAM-MD5"', "AUTH_REQUIRED": 1,
                    "ESMTP_TLS_REQUIRED": 1, "TLS_VERIFYPEER": "PEER", "TLS_TRUSTCERTS": self.ca,
                    "TLS_EXTERNAL": "emailaddress", "MAXDAEMONS": 100, "MAXPERC": 100,
                    "MAXPERIP": 100}
        (self.folder / "settings").write_text("".join(f"{k}={v}\n" for k, v in settings.items()))
        return self.preamble() + f"""
            C=/etc/courier
            cat {self.certificate} {self.key} >$C/esmtpd.pem
            chmod 600 $C/esmtpd.pem
            chown courier $C/esmtpd.pem
            cat {self.folder}/settings >>$C/esmtpd
            cat {self.folder}/settings >>$C/esmtpd-msa
            cat {self.folder}/settings >>$C/esmtpd-ssl
            printf 'PORT={port}\\nESMTPDSTART=YES\\n' >>$C/esmtpd-msa
            printf 'SSLADDRESS=127.0.0.1\\nSSLPORT={tls_port}\\nESMTPDSSLSTART=YES\\n' >>$C/esmtpd-ssl
            echo mail.remote.test >$C/me
            echo mail.remote.test >$C/locals
            echo ': [127.0.0.1],{self.sink_port}' >$C/esmtproutes
            echo 67108864 >$C/sizelimit
            sed -i 's/^authmodulelist=.*/authmodulelist="authuserdb"/' $C/authdaemonrc
            mkdir -p /run/courier/authdaemon /var/lib/courier/track
            chown courier:courier /run/courier /run/courier/authdaemon
            rm -rf $C/userdb
            : >$C/userdb
            chmod 600 $C/userdb
            for user in {self.user} {self.address}; do
                userdb $user set uid=1000 gid=1000 home=/tmp \\
                    "systempw=$(openssl passwd -6 '{self.password}')" \\
                    "hmac-md5pw=$(printf '%s\\n' '{self.password}' | userdbpw -hmac-md5)"
            done
            makeuserdb
            makesmtpaccess
            makesmtpaccess-msa
            authdaemond start
            courier start
            esmtpd-msa start
            esmtpd-ssl start
            exec sleep 100000
            """


# ---- chasquid ----

class Chasquid(Submission):
    packages = version_of = "chasquid"
    user = "alice@remote.test"

    def login(self, message_id, got):
        """Its trace names no session, but sessions come one after the other."""
        queue_id = self.find(rf"(?s)with ESMTPSA", got.decode(), "trace") and \
            re.findall(r"(\S+) from=\S+ queued", self.said())[-1]
        client = self.find(rf"{re.escape(queue_id)} from=\S+ queued ip=(\S+)")[1]
        return "", self.find(rf"{re.escape(client)} auth succeeded for (\S+)")[1]

    def script(self):
        self.file("chasquid.conf", f"""\
            hostname: "mail.remote.test"
            submission_address: "127.0.0.1:{self.port("")}"
            submission_over_tls_address: "127.0.0.1:{self.port("", IMPLICIT)}"
            monitoring_address: ""
            mail_log_path: "<stdout>"
            max_data_size_mb: 64
            data_dir: "/var/lib/chasquid"
            mail_delivery_agent_bin: "{self.folder}/keep"
            mail_delivery_agent_args: "%to_user%"
            """)
        keep = self.file("keep", f"""\
            #!/bin/sh
            box={self.mail}/$1
            mkdir -p $box/tmp $box/new
            name=$(date +%s%N).$$
            cat >$box/tmp/$name && mv $box/tmp/$name $box/new/$name
            """)
        os.chmod(keep, 0o755)
        return self.preamble() + f"""
            E=/etc/chasquid
            mkdir -p $E/certs/localhost /var/lib/chasquid
            for name in {' '.join(self.domains())}; do mkdir -p $E/domains/$name; done
            cp {self.certificate} $E/certs/localhost/fullchain.pem
            cp {self.key} $E/certs/localhost/privkey.pem
            cp {self.folder}/chasquid.conf $E/chasquid.conf
            chasquid-util user-add {self.user} --password='{self.password}'
            for name in {' '.join(self.domains())}; do
                chasquid-util user-add bob@$name --password=unused
            done
            exec chasquid -logtime
            """


# ---- servers that run beside this machine's Python and node ----

class Beside(Submission):
    """No root: nothing is installed that could conflict."""

    def argv(self):
        raise NotImplementedError

    def start(self):
        if self.needs_sink:
            self.sink = Process("sink", [PYTHON, HERE / "servers_sink.py", "--port",
                                         self.sink_port, "--folder", self.mail],
                                self.folder / "sink.log")
            self.sink.wait_ready(lambda: port_open(self.sink_port))
        self.process = Process(type(self).__name__, self.argv(), self.log)
        self.process.wait_ready(lambda: all(port_open(p) for p in self.ports()), 60)
        return self

    needs_sink = False

    def settings(self):
        return json.dumps({
            "port": self.port(""), "tls_port": self.port("", IMPLICIT), "user": self.user,
            "password": self.password, "ca": str(self.ca), "certificate": str(self.certificate),
            "key": str(self.key), "folder": str(self.mail)})


class Aiosmtpd(Beside):
    variants = {"": {"password": True, "certificate": "explicit"}}

    def login(self, message_id, got):
        hit = self.find(rf"accepted <{re.escape(message_id)}> from (\S+) by (\S+)")
        return hit[2], hit[1]

    @property
    def version(self):
        return subprocess.run(["dpkg-query", "-W", "python3-aiosmtpd"], check=True, text=True,
                              capture_output=True).stdout.strip().replace("\t", " ")

    def argv(self):
        return [PYTHON, HERE / "servers_aiosmtpd.py", self.settings()]


def node_modules():
    """What node/package.json names, kept in the cache folder."""
    if not shutil.which("npm") or not shutil.which("node"):
        skip("node and npm are not installed")
    wanted = HERE / "node/package.json"
    names = "-".join(f"{k}-{v}" for k, v in json.loads(wanted.read_text())["dependencies"].items())
    folder = CACHE / names.lower()
    if not (folder / "node_modules").exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=CACHE) as d:
            shutil.copy(wanted, d)
            done = subprocess.run(
                ["npm", "install", "--ignore-scripts", "--omit=optional", "--no-audit", "--no-fund"],
                cwd=d, stdin=subprocess.DEVNULL, text=True, timeout=900, stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT)
            if done.returncode:
                skip(f"npm cannot install {names}: {done.stdout.strip()[-300:]}")
            folder.mkdir(exist_ok=True)
            os.rename(f"{d}/node_modules", folder / "node_modules")
    return folder / "node_modules"


class Npm(Beside):
    module = ""

    def start(self):
        self.modules = node_modules()
        return super().start()

    @property
    def version(self):
        package = json.loads((self.modules / self.module / "package.json").read_text())
        return f"npm {package['name']} {package['version']}"


class SmtpServer(Npm):
    module = "smtp-server"
    login = Aiosmtpd.login

    def argv(self):
        path = self.folder / "settings.json"
        path.write_text(self.settings())
        shutil.copy(HERE / "node/server.js", self.folder)
        (self.folder / "node_modules").symlink_to(self.modules)
        return ["node", self.folder / "server.js", path]


class Haraka(Npm):
    module = "Haraka"
    puts_in_front = {b"authentication-results"}
    needs_sink = True

    def login(self, message_id, got):
        return self.find(r"auth=pass \((\S+)\)", got.decode(), "trace")[1].upper(), None

    def argv(self):
        port, tls_port = self.port(""), self.port("", IMPLICIT)
        c = self.folder / "haraka/config"
        shutil.copytree(self.modules / "Haraka/config", c)
        files = {
            "smtp.ini": f"listen=127.0.0.1:{port},127.0.0.1:{tls_port}\nsmtps_port={tls_port}\n"
                        "nodes=0\n",
            "plugins": "tls\nauth/flat_file\nqueue/smtp_forward\n",
            "auth_flat_file.ini": "[core]\nmethods=PLAIN,LOGIN,CRAM-MD5\n"
                                  f"[users]\n{self.user}={self.password}\n",
            "smtp_forward.ini": f"host=127.0.0.1\nport={self.sink_port}\nenable_outbound=true\n",
            "tls.ini": f"key={self.key}\ncert={self.certificate}\nca={self.ca}\nrequestCert=true\n"
                       "rejectUnauthorized=false\n",
            "connection.ini": re.sub(r"(?m)^bytes=.*", "bytes=67108864",
                                     (c / "connection.ini").read_text()),
            "me": "mail.remote.test\n",
            "log.ini": "level=INFO\n",
            "host_list": "",
            # Without them it computes its own for minutes, and leaves that process behind.
            "dhparams.pem": call(["openssl", "genpkey", "-genparam", "-algorithm", "DH",
                                  "-pkeyopt", "group:ffdhe2048"]),
        }
        for name, text in files.items():
            (c / name).write_text(text)
        shutil.copy(self.modules / "Haraka/package.json", self.folder / "haraka")
        return ["node", self.modules / "Haraka/bin/haraka", "-c", self.folder / "haraka"]


ALL = (Exim, Postfix, Sendmail, OpenSMTPD, DovecotSubmission, Courier, Aiosmtpd, SmtpServer,
       Haraka, Chasquid)
