"""servers.py - who is compared, how each is tuned and what it needs to hold its queue.

    with Exim(Setup(tmp, shared)) as s:
        s.port, s.user, s.password_file     STARTTLS, AUTH PLAIN
        s.root                              the process whose tree is the server
        s.queued()                          messages in its queue, counted by itself
        s.begun()                           when the daemon was executed, seconds since 1970

Tuned by their own documentation for many clients on one machine, durability untouched.
What a login costs them is the least they can do: passwords in clear where they take
that (Postfix, Exim, Haraka), a DES hash where they want a hash (OpenSMTPD).  Ours is
yescrypt with the cache of successes, as in production.
"""
import json, os, shutil, socket, subprocess, sys, time
from dataclasses import dataclass
from pathlib import Path

from harness import (SALLYPORT, Certificates, Failed, Process, behind_asan, call, command_line, free_port, need_root,
                     port_open, wait_until)
from harness import Sallyport as SallyportBase
from measure import tree
import peers, servers_peers

BENCH = Path(__file__).resolve().parent
USER, PASSWORD = SallyportBase.user, SallyportBase.password
MESSAGE_MAX = "104857600"


@dataclass
class Shared:
    """What all servers have in common: the certificate, the password."""
    folder: Path

    def __post_init__(self):
        self.made = Certificates(self.folder)
        self.ca = self.made.ca
        self.certificate, self.key = self.made.server()
        self.password_file = self.folder / "password"
        self.password_file.write_text(PASSWORD + "\n")
        os.chmod(self.folder, 0o755)


@dataclass
class Setup:
    """relay: port of the sink that mail goes on to; None: it is held.  slow: a library to
    be preloaded into all processes.  sessions: that many may be open."""
    tmp: Path
    shared: Shared
    relay: int = None
    slow: Path = None
    sessions: int = 200


class Common:
    """Besides this each has a name and says how it holds."""
    logins = 0  # so many sessions at a time may be on their way to their login; 0: all

    def begun(self):
        return float(self.begun_file.read_text())

    @property
    def root(self):
        return self.process.pid

    def __exit__(self, kind, *_):
        if kind and self.process:
            print(f"--- log of {self.name}\n{self.process.tail(30)}")
        self.stop()


def begin(path):
    """Shell: note the time, then go on."""
    return f"date +%s.%N >{path}"


# ---- ours ----

class Sallyport(Common, SallyportBase):
    """Holds by a next hop that takes connections and never says a word: what was handed
    to the delivery role waits there, the rest in the queue."""
    name = "sallyport"
    holds = "a next hop that never greets, concurrency 1"
    check = "yescrypt, cache of successes warm (login-cache = 1h)"
    cache = "1h"  # it must not run out in the midst of a run: 50 logins at once would miss it

    def __init__(self, s):
        self.setup = s
        self.hole = socket.create_server(("127.0.0.1", 0), backlog=8)
        hop, concurrency = (s.relay, 20) if s.relay else (self.hole.getsockname()[1], 1)
        folder = s.tmp / self.name.replace(" ", "-").replace(",", "")
        folder.mkdir()
        os.chmod(folder, 0o711)
        super().__init__(
            folder, more=f"log-level = info\nmessage-size = 100M\nlogin-cache = {self.cache}",
            listener=f"max-sessions = {s.sessions * 2}\nmax-sessions-per-address = {s.sessions * 2}",
            routes=f"route everything {{\nmatch = *\nto = smarthost\nhost = 127.0.0.1:{hop}\n"
                   f"tls = none\nconcurrency = {concurrency}\n}}\n")
        text = self.config.read_text()
        text = text.replace(str(self.certificate), str(s.shared.certificate))
        self.config.write_text(text.replace(str(self.key), str(s.shared.key)))
        self.begun_file = folder / "begun"

    def command(self):
        slow = f"LD_PRELOAD='{behind_asan(self.setup.slow)}' " if self.setup.slow else ""
        return ["sh", "-c", f"{begin(self.begun_file)}; {slow}exec \"$@\"", "sh", *super().command()]

    def __enter__(self):
        return self.start()

    def stop(self):
        if self.process:
            super().stop()

    def close(self):
        self.hole.close()

    def queued(self):
        listed = call([SALLYPORT, "queue", "list", "--config", self.config, "--limit", 10**7, "--json"],
                      seconds=900)
        return listed.count('"id"')


class ColdSallyport(Sallyport):
    """Every login is a whole yescrypt."""
    name = "sallyport, cold"
    check = "yescrypt each time, no cache"
    cache = "0s"


# ---- those of others, each in a Debian root of its own ----

class InRoot(Common):
    user, password = USER, PASSWORD

    def __init__(self, s):
        self.setup, shared = s, s.shared
        super().__init__(s.tmp, shared.made)
        self.certificate, self.key, self.password_file = shared.certificate, shared.key, shared.password_file
        self.begun_file = self.folder / "begun"

    def more_binds(self):
        slow = ["--bind", self.setup.slow.parent] if self.setup.slow else []
        return super().more_binds() + slow

    def stop(self):
        super().stop()
        self.process = None

    def close(self):
        pass

    def run_it(self, command):
        """Shell: become the daemon."""
        slow = f"export LD_PRELOAD={self.setup.slow}\n" if self.setup.slow else ""
        return f"{begin(self.begun_file)}\n{slow}exec {command}\n"

    def inside(self, word):
        """The root of its daemon, as seen from here."""
        pid = next((p for p in tree(self.root) if word in command_line(p).split(" ")[0]), None)
        if not pid:
            raise Failed(f"{self.name}: no process {word}")
        return Path(f"/proc/{pid}/root")


def files_below(folder, wanted=lambda name: True):
    return sum(wanted(name) for _, _, names in os.walk(folder) for name in names)


TUNED = """
default_transport = smtp
smtpd_recipient_restrictions =
smtpd_tls_ask_ccert = no
smtpd_tls_loglevel = 0
smtpd_sasl_authenticated_header = no
smtpd_peername_lookup = no
smtpd_client_message_rate_limit = 0
smtpd_client_recipient_rate_limit = 0
smtpd_client_new_tls_session_rate_limit = 0
smtpd_client_auth_rate_limit = 0
in_flow_delay = 0
max_use = 10000
hash_queue_names = deferred, defer, incoming, active
queue_run_delay = 1h
minimal_backoff_time = 1h
maximal_backoff_time = 2h
qmgr_message_active_limit = 100000
qmgr_message_recipient_limit = 100000
smtp_destination_concurrency_limit = 50
initial_destination_concurrency = 50
"""


class Postfix(InRoot, peers.Postfix):
    """TUNING_README, TLS_README: no limits for clients, no pause when mail comes in
    faster than it leaves, processes enough that live long, no DNS, hashed queues."""
    name = "postfix"
    holds = "defer_transports = smtp"
    check = "sasldb, password in clear"

    def __init__(self, s):
        super().__init__(s)
        self.login = f"{USER}@remote.test"

    def script(self):
        script, s = super().script(), self.setup
        more = (f"relayhost = [127.0.0.1]:{s.relay}\n" if s.relay else "defer_transports = smtp\n") + \
            f"default_process_limit = {max(200, s.sessions + 100)}\nmessage_size_limit = {MESSAGE_MAX}\n" \
            "import_environment = MAIL_CONFIG MAIL_DEBUG MAIL_LOGTAG TZ LANG=C POSTLOG_SERVICE " \
            "POSTLOG_HOSTNAME LD_PRELOAD\n"
        own = dict(line.split(" =", 1) for line in (TUNED + more).strip().splitlines())
        base = (self.folder / "main.cf").read_text().splitlines()
        # A key given twice is a warning, and postlogd waits for ever for itself to log it.
        kept = [line for line in base if line.partition(" =")[0] not in own]
        self.file("main.cf", "\n".join(kept) + TUNED + more)
        return script.replace("exec postfix start-fg", self.run_it("postfix start-fg"))

    def queued(self):
        spool = self.inside("/master") / "var/spool/postfix"
        return sum(files_below(spool / name) for name in ("maildrop", "incoming", "active", "deferred", "hold"))


class Exim(InRoot, peers.Peer):
    """Specification, chapters 14, 16 and 50: no limits for clients, no look-ups of names, a spool that
    is split into folders, nothing but queueing while a client waits."""
    name = "exim"
    holds = "queue_only"
    check = "compared in clear"
    packages = servers_peers.Exim.packages

    def __init__(self, s):
        super().__init__(s)
        self.port, self.login = free_port(), USER

    def ports(self):
        return [self.port]

    def script(self):
        s = self.setup
        self.file("exim.conf", f"""\
            primary_hostname = mail.remote.test
            log_file_path = {self.folder}/logs/%slog
            local_interfaces = 127.0.0.1
            daemon_smtp_ports = {self.port}
            keep_environment = LD_PRELOAD
            never_users = root
            message_size_limit = {MESSAGE_MAX}
            tls_advertise_hosts = *
            tls_certificate = {self.certificate}
            tls_privatekey = {self.key}
            auth_advertise_hosts = ${{if eq{{$tls_in_cipher}}{{}}{{}}{{*}}}}
            host_lookup =
            rfc1413_query_timeout = 0s
            smtp_accept_max = 0
            smtp_accept_queue_per_connection = 0
            smtp_accept_max_per_connection = 0
            smtp_connect_backlog = 1024
            split_spool_directory
            queue_only = {"false" if s.relay else "true"}
            acl_smtp_rcpt = acl_check_rcpt
            acl_smtp_data = accept

            begin acl
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
              port = {s.relay or 9}
              allow_localhost
              hosts_try_fastopen =

            begin retry
            * * F,1h,1m

            begin authenticators
            plain_server:
              driver = plaintext
              public_name = PLAIN
              server_prompts = :
              server_condition = ${{if and{{ {{eq{{$auth2}}{{{USER}}}}} {{eq{{$auth3}}{{{PASSWORD}}}}} }}}}
              server_set_id = $auth2
            """)
        return f"""\
            mkdir -p {self.folder}/logs
            chown Debian-exim {self.folder}/logs
            cp {self.folder}/exim.conf /etc/exim4/exim4.conf
            """ + self.run_it("exim4 -bdf" + (" -q5s" if s.relay else ""))

    def queued(self):
        return files_below(self.inside("exim4") / "var/spool/exim4/input", lambda name: name.endswith("-H"))


class OpenSMTPD(InRoot, peers.Peer):
    """smtpd.conf(5): no limits for a session.  It has little else to tune.  Its listen queue
    is so short that of 50 clients who come at once some wait for a banner for ever."""
    name = "opensmtpd"
    holds = "smtpctl pause mta"
    check = "DES hash, crypt(3)"
    logins = 4
    packages, release = servers_peers.OpenSMTPD.packages, servers_peers.OpenSMTPD.release

    def __init__(self, s):
        super().__init__(s)
        self.port, self.login = free_port(), USER

    def ports(self):
        return [self.port]

    def script(self):
        self.file("smtpd.conf", f"""\
            pki peer cert "/etc/peer/server.pem"
            pki peer key "/etc/peer/server.key"
            table users file:/etc/peer/users
            smtp max-message-size "{MESSAGE_MAX}"
            smtp limit max-mails 100000000
            listen on 127.0.0.1 port {self.port} tls-require pki peer auth <users> hostname mail.remote.test
            action "sink" relay host smtp://127.0.0.1:{self.setup.relay or 9}
            match from auth for any action "sink"
            """)
        return f"""\
            mkdir -p /etc/peer
            chmod 755 /etc/peer
            install -m 644 {self.certificate} /etc/peer/server.pem
            install -m 600 {self.key} /etc/peer/server.key
            install -m 600 {self.folder}/smtpd.conf /etc/peer/smtpd.conf
            echo "{USER} $(perl -e 'print crypt($ARGV[0], "sp")' '{PASSWORD}')" >/etc/peer/users
            chgrp opensmtpd /etc/peer/users
            chmod 640 /etc/peer/users
            """ + self.run_it("smtpd -d -f /etc/peer/smtpd.conf")

    def start(self):
        super().start()
        if not self.setup.relay:
            # Its set-group-id bit does not count on every overlay.
            call(["chroot", "--userspec=root:opensmtpq", self.inside("smtpd"), "smtpctl", "pause", "mta"])
        return self

    def queued(self):
        return files_below(self.inside("smtpd") / "var/spool/smtpd/queue", lambda name: name == "message")


class Haraka(Common, servers_peers.Beside):
    """A worker for each CPU.  Not in a root: node is this machine's, the modules are pinned."""
    name = "haraka"
    holds = "outbound.ini: disabled"
    check = "flat file, password in clear"
    transports, needs_sink = (servers_peers.STARTTLS,), False

    def __init__(self, s):
        self.setup = s
        super().__init__(s.tmp, s.shared.made)
        self.certificate, self.key, self.password_file = s.shared.certificate, s.shared.key, s.shared.password_file
        self.login, self.begun_file = USER, self.folder / "begun"
        self.modules, self.home = servers_peers.node_modules(), self.folder / "haraka"
        self._port = self.ports()[0]
        self.configure()

    @property
    def port(self):
        return self._port

    def configure(self):
        c, s = self.home / "config", self.setup
        shutil.copytree(self.modules / "Haraka/config", c)
        shutil.copy(self.modules / "Haraka/package.json", self.home)
        (self.home / "plugins").mkdir()
        (self.home / "plugins/to_sink.js").write_text(
            "exports.hook_get_mx = function (next) {\n"
            f"    next(OK, {{exchange: '127.0.0.1', port: {s.relay or 9}, priority: 0}});\n}};\n")
        files = {
            "smtp.ini": f"listen=127.0.0.1:{self.port}\nnodes={os.cpu_count()}\ninactivity_timeout=600\n",
            "plugins": "tls\nauth/flat_file\nto_sink\n",
            "auth_flat_file.ini": f"[core]\nmethods=PLAIN\n[users]\n{USER}={PASSWORD}\n",
            "outbound.ini": ("concurrency_max=100\n" if s.relay else "disabled=true\n") +
                            "local_mx_ok=true\nenable_tls=false\n",
            "tls.ini": f"key={self.key}\ncert={self.certificate}\nrequestCert=false\nrejectUnauthorized=false\n",
            "connection.ini": (c / "connection.ini").read_text().replace("bytes=26214400", f"bytes={MESSAGE_MAX}"),
            "databytes": MESSAGE_MAX + "\n",
            "me": "mail.remote.test\n",
            "log.ini": "level=NOTICE\n",
            "host_list": "",
        }
        for name, text in files.items():
            (c / name).write_text(text)
        # Else it begins to compute some for itself, for minutes.
        call(["openssl", "genpkey", "-genparam", "-algorithm", "DH", "-pkeyopt", "group:ffdhe2048",
              "-out", c / "dhparams.pem"])

    def argv(self):
        slow = f"LD_PRELOAD={self.setup.slow} " if self.setup.slow else ""
        return ["sh", "-c", f"{begin(self.begun_file)}; {slow}exec \"$@\"", "sh", "node",
                self.modules / "Haraka/bin/haraka", "-c", self.home]

    def stop(self):
        if self.process:
            # Its own way to end waits for connections that never come back.
            self.process.stop()
            self.process = None

    def close(self):
        pass

    def queued(self):
        return files_below(self.home / "queue", lambda name: not name.startswith("__tmp__"))


# ---- what the machine leaves possible ----

def compile_c(source, out, *options):
    call(["cc", "-O2", "-D_GNU_SOURCE", "-o", out, BENCH / source, *options])
    return out


class Sink(Common):
    """bare_sink.c.  clear: a next hop for scenario D, which counts what it takes."""
    name, holds, check = "bare sink", "no disk", "any password is right"
    durable = False
    login = USER

    def __init__(self, s, clear=False):
        self.setup, self.clear, self.process = s, clear, None
        self.program = s.tmp / ("relay_sink" if clear else "bare_sink")
        self.password_file, self.counter = s.shared.password_file, s.tmp / "taken"
        self.begun_file = s.tmp / "sink.begun"
        self.port = free_port()
        compile_c("bare_sink.c", self.program, "-lssl", "-lcrypto")

    def start(self):
        made = self.setup.shared
        more = [self.counter] if self.clear else []
        self.begun_file.write_text(str(time.time()))
        first = ["-d", self.setup.tmp / "sink.disk"] if self.durable else []
        self.process = Process("sink", [self.program, *first, self.port, made.certificate, made.key,
                                        os.cpu_count(), *more], self.program.with_suffix(".log"))
        self.process.wait_ready(lambda: port_open(self.port), 30)
        return self

    __enter__ = start

    def stop(self):
        if self.process:
            self.process.stop()
            self.process = None

    def close(self):
        pass

    def taken(self):
        return int.from_bytes(self.counter.read_bytes()[:8], sys.byteorder)


class DurableSink(Sink):
    """The same, with every message synced before its 250, and nothing else."""
    name, durable = "bare durable sink", True


SallyportBase.login = USER
PEERS = (Postfix, Exim, OpenSMTPD, Haraka)
