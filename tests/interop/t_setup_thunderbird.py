#!/usr/bin/python3
# sets: peers
# timeout: 900
"""What `sallyport user setup` writes, taken by Thunderbird as it takes a provider's settings: fetched from
http://autoconfig.DOMAIN/mail/config-v1.1.xml, and from the folder isp/ of its installation.  Its
own account set-up makes an account of it, without a word of ours, and a message goes out by that.
"""
import http.server, json, random, sys, threading
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "system"))
from harness import *
import clients_lab
import clients_desktop as desktop
from clients_programs import WITH

PACKAGES, SHOWN = WITH["Thunderbird"][:2]
# No account yet, and nothing that asks or reaches out by itself.
EMPTY = {k: v for k, v in desktop.THUNDERBIRD.items() if not k.startswith(("mail.account", "mail.server.", "mail.identity.", "mail.smtp"))} | {
    "network.proxy.type": 0, "mailnews.auto_config_url": "", "mail.identity.default.compose_html": False,
    "mail.identity.default.fcc": False, "mail.biff.on_new_window": False}
# As its window does after name, address and password were entered.
SET_UP = """
    const [how, email, password, done] = arguments;
    (async () => {
        const { FetchConfig } = ChromeUtils.importESModule("resource:///modules/accountcreation/FetchConfig.sys.mjs");
        const { AccountConfig } = ChromeUtils.importESModule("resource:///modules/accountcreation/AccountConfig.sys.mjs");
        const { CreateInBackend } = ChromeUtils.importESModule("resource:///modules/accountcreation/CreateInBackend.sys.mjs");
        const domain = email.split("@")[1], signal = new AbortController().signal;
        const c = how == "disk" ? await FetchConfig.fromDisk(domain, signal) : await FetchConfig.fromISP(domain, email, signal);
        AccountConfig.replaceVariables(c, "Alice", email, password);
        c.rememberPassword = true;
        const account = await CreateInBackend.createAccountInBackend(c);
        account.defaultIdentity.doFcc = false;  // there is no mailbox to put a copy into
        done(JSON.stringify([c.outgoing.hostname, c.outgoing.port, c.outgoing.socketType, c.outgoing.auth, c.outgoing.username]));
    })().catch(e => done(`${e}`));
    """


class Web(threading.Thread):
    """A web server at an address of its own, port 80; asked: the paths."""

    def __init__(self, files):
        super().__init__(daemon=True)
        self.asked = asked = []

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                asked.append(self.path)
                octets = files.get(self.path.partition("?")[0])
                self.send_response(200 if octets else 404)
                self.send_header("Content-Type", "text/xml")
                self.send_header("Content-Length", str(len(octets or b"")))
                self.end_headers()
                self.wfile.write(octets or b"")

            def log_message(self, *_):
                pass
        self.address = f"127.{random.randint(1, 254)}.{random.randint(1, 254)}.{random.randint(2, 254)}"
        self.server = http.server.ThreadingHTTPServer((self.address, 80), Handler)
        self.start()

    def run(self):
        self.server.serve_forever()


@test("Thunderbird fetches the settings from autoconfig.DOMAIN, and from isp/; makes an account of them, and its message arrives")
def _():
    with clients_lab.Lab(PACKAGES, SHOWN, raw=False) as lab:
        out = lab.tmp / "settings"
        call([SALLYPORT, "user", "setup", "alice", "--config", lab.srv.config, "--host", "localhost", "--imap", "imap.example.org", "--out", out])
        xml = out / "config-v1.1.xml"
        web = Web({"/mail/config-v1.1.xml": xml.read_bytes()})
        # Nobody outside is asked: these names are the test's own here.
        lab.sh(f"echo '{web.address} autoconfig.example.org example.org imap.example.org' >>/etc/hosts")
        for how in ("http", "disk"):
            mail = lab.mail()
            desktop.thunderbird_started(lab, mail.name, EMPTY)
            if how == "disk":
                lab.sh(f"cp {xml} /usr/lib/thunderbird/isp/example.org.xml; chmod 644 /usr/lib/thunderbird/isp/example.org.xml")
            said = lab.marionette.script(SET_UP, how, "alice@example.org", lab.srv.password)
            want = ["localhost", lab.srv.tls_port, desktop.SSL, desktop.PASSWORD_LOGIN, "alice"]
            check(said.startswith("[") and json.loads(said) == want, f"{how}: {said}, not {want}; asked for {web.asked}")
            words = desktop.thunderbird_sends(lab, mail)
            check(not words, lab.words("it says", words))
            print(f"    {how}: {lab.arrived(mail, 'explicit')}; asked for {web.asked}", flush=True)
        check([p.partition("?")[0] for p in web.asked].count("/mail/config-v1.1.xml") == 1, f"{web.asked}")
        web.server.shutdown()


run()
