"""clients_desktop.py - mail programs with windows, each under an X server of its own that
shows them nowhere.  What a user clicks is done by the program's own remote control
(Thunderbird) or by keys (Claws Mail); see clients_programs.py.
"""
import socket

from clients_relays import *
from clients_relays import _changed

DISPLAY = """\
    export HOME={home} DISPLAY=:{display}
    if [ ! -S /tmp/.X11-unix/X{display} ]; then
        Xvfb :{display} -screen 0 1280x900x24 -nolisten tcp -nolisten local >/dev/null 2>&1 &
        for i in $(seq 300); do
            [ -S /tmp/.X11-unix/X{display} ] && break
            sleep 0.1
        done
    fi
    """


def display(lab, home):
    """Roots share the network, and with it the numbers of displays."""
    lab.display = getattr(lab, "display", 0) or 100 + free_port() % 9000
    return textwrap.dedent(DISPLAY).format(home=home, display=lab.display)


# ---- Thunderbird ----

class Marionette:
    """Thunderbird's remote control: a request and its answer are JSON with a length before."""

    def __init__(self, port, seconds):
        deadline = time.monotonic() + seconds
        while True:
            with contextlib.suppress(OSError):
                self.socket = socket.create_connection(("127.0.0.1", port), 10)
                break
            if time.monotonic() > deadline:
                raise Failed(f"no answer from Thunderbird after {seconds} s")
            time.sleep(0.2)
        self.socket.settimeout(seconds)
        self.file, self.number = self.socket.makefile("rb"), 0
        try:
            self._read()
        except OSError as e:
            raise Failed(f"Thunderbird's remote control: {e}") from None
        self.call("WebDriver:NewSession")
        self.call("Marionette:SetContext", value="chrome")
        self.call("WebDriver:SetTimeouts", script=seconds * 1000)

    def close(self):
        self.file.close()
        self.socket.close()

    def _read(self):
        size = b""
        while (c := self.file.read(1)) != b":":
            if not c:
                raise Failed("Thunderbird has closed its remote control")
            size += c
        return json.loads(self.file.read(int(size)))

    def call(self, name, **parameters):
        self.number += 1
        text = json.dumps([0, self.number, name, parameters])
        self.socket.sendall(f"{len(text)}:{text}".encode())
        try:
            _, _, error, result = self._read()
        except TimeoutError:
            raise Failed(f"{name}: no answer") from None
        if error:
            raise Failed(f"{name}: {error.get('message')}")
        return result

    def script(self, text, *arguments):
        return self.call("WebDriver:ExecuteAsyncScript", script=text, args=list(arguments))["value"]


# What the settings pages write; "mail.shell..." and the like: no questions about other things.
THUNDERBIRD = {
    "mail.accountmanager.accounts": "account1", "mail.accountmanager.defaultaccount": "account1",
    "mail.account.account1.server": "server1", "mail.account.account1.identities": "id1",
    "mail.server.server1.type": "pop3", "mail.server.server1.name": "alice",
    "mail.server.server1.hostname": "localhost", "mail.server.server1.userName": "alice",
    "mail.server.server1.login_at_startup": False, "mail.server.server1.check_new_mail": False,
    "mail.server.server1.directory-rel": "[ProfD]Mail/localhost",
    "mail.identity.id1.fullName": "Alice", "mail.identity.id1.smtpServer": "smtp1",
    "mail.identity.id1.fcc": False, "mail.identity.id1.valid": True,
    "mail.identity.id1.compose_html": False, "mailnews.send_plaintext_flowed": False,
    "mail.smtpservers": "smtp1", "mail.smtp.defaultserver": "smtp1",
    "mail.smtpserver.smtp1.hostname": "localhost", "mail.smtpserver.smtp1.type": "smtp",
    "mail.smtpserver.smtp1.hello_argument": HELO,
    "security.default_personal_cert": "Select Automatically",
    "mail.provider.suppress_dialog_on_startup": True, "mail.shell.checkDefaultClient": False,
    "mailnews.start_page.enabled": False, "mail.rights.version": 1, "app.update.enabled": False,
    "datareporting.policy.dataSubmissionEnabled": False, "mail.inappnotifications.enabled": False,
    "mail.spam.version": 1, "mail.winsearch.firstRunDone": True,
}
NO_LOGIN, PASSWORD_LOGIN, CERTIFICATE_LOGIN = 1, 3, 7   # nsMsgAuthMethod
COMPOSE = """
    const [from, to, subject, body, done] = arguments;
    const { MailServices } = ChromeUtils.importESModule("resource:///modules/MailServices.sys.mjs");
    const fields = Cc["@mozilla.org/messengercompose/composefields;1"].createInstance(Ci.nsIMsgCompFields);
    Object.assign(fields, { from, to, subject, body });
    const p = Cc["@mozilla.org/messengercompose/composeparams;1"].createInstance(Ci.nsIMsgComposeParams);
    p.composeFields = fields;
    p.type = Ci.nsIMsgCompType.New;
    p.format = Ci.nsIMsgCompFormat.PlainText;
    p.identity = MailServices.accounts.defaultAccount.defaultIdentity;
    MailServices.compose.OpenComposeWindowWithParams(null, p);
    const timer = setInterval(() => {
        const w = Services.wm.getMostRecentWindow("msgcompose");
        const button = w?.document.getElementById("button-send");
        if (w?.gMsgCompose?.editor && w.document.readyState == "complete" && button && !button.disabled) {
            clearInterval(timer);
            button.click();
            done();
        }
    }, 100);
    """
# The window closes when the message is sent; before that there may be a question.
OUTCOME = """
    const done = arguments[0];
    const timer = setInterval(() => {
        const w = Services.wm.getMostRecentWindow("msgcompose");
        if (!w) {
            clearInterval(timer);
            done("");
            return;
        }
        const all = [...Services.wm.getEnumerator(null)];
        const asks = all.filter(x => x.location.href.includes("commonDialog"));
        for (const x of all)
            for (const f of x.document.querySelectorAll("browser.dialogFrame"))
                if (f.contentWindow?.location.href.includes("commonDialog")) asks.push(f.contentWindow);
        const text = asks.map(x => x.document.getElementById("infoBody")?.textContent.trim()).find(t => t);
        if (text) {
            clearInterval(timer);
            done(text);
        }
    }, 100);
    """
SAVE_PASSWORD = """
    const [user, password, done] = arguments;
    const info = Cc["@mozilla.org/login-manager/loginInfo;1"].createInstance(Ci.nsILoginInfo);
    info.init("smtp://localhost", null, "smtp://localhost", user, password, "", "");
    Services.logins.addLoginAsync(info).then(() => done());
    """


# Its own reader of autoconfiguration files: [hostname, port, socket, login, user] of each server.
READ_SETTINGS = """
    const [text, done] = arguments;
    const { readFromXML } = ChromeUtils.importESModule("resource:///modules/accountcreation/readFromXML.sys.mjs");
    const { JXON } = ChromeUtils.importESModule("resource:///modules/JXON.sys.mjs");
    const one = s => [s.hostname, s.port, s.socketType, s.auth, s.username];
    try {
        const c = readFromXML(JXON.build(new DOMParser().parseFromString(text, "text/xml")), "test");
        done(JSON.stringify([c.incoming, c.outgoing, ...c.outgoingAlternatives].map(one)));
    } catch (e) {
        done(`${e}`);
    }
    """
SSL, STARTTLS = 3, 2   # nsMsgSocketType


def takes_settings(lab):
    """What sallyport user setup writes is read by Thunderbird as it is meant."""
    for words, method in (((), PASSWORD_LOGIN), (("--certificate", "/client.pem"), NO_LOGIN)):
        out = lab.tmp / f"settings.{method}"
        call([SALLYPORT, "user", "setup", "alice", "--config", lab.srv.config, "--host", "localhost",
              "--imap", "imap.example.org", "--out", out, *words])
        said = lab.marionette.script(READ_SETTINGS, (out / "config-v1.1.xml").read_text())
        want = [["imap.example.org", 993, SSL, PASSWORD_LOGIN, "alice"],
                ["localhost", lab.srv.tls_port, SSL, method, "alice"],
                ["localhost", lab.srv.port, STARTTLS, method, "alice"]]
        if not said.startswith("[") or json.loads(said) != want:
            raise Failed(f"Thunderbird reads our settings as {said}, not {want}")


def thunderbird_started(lab, name, values, more=""):
    """A new Thunderbird with these settings and our authority; lab.marionette controls it."""
    profile = lab.tmp / f"thunderbird.{name}"
    if hasattr(lab, "marionette"):
        lab.marionette.close()
    port = free_port()
    prefs = "".join(f"user_pref({json.dumps(k)}, {json.dumps(v)});\n" for k, v in (values | {"marionette.port": port}).items())
    lab.sh(f"""\
        if [ -f /run/thunderbird.pid ]; then
            kill -9 -$(cat /run/thunderbird.pid)
            rm -rf /run/thunderbird.pid {lab.tmp}/thunderbird.*
        fi
        set -e
        mkdir {profile}
        cd {profile}
        cp {lab.file('user.js', prefs)} user.js
        certutil -N -d sql:. --empty-password
        certutil -A -d sql:. -n ours -t C,, -i {lab.ca}
        {more}
        """ + display(lab, lab.tmp) + f"""
        export MOZ_REMOTE_ALLOW_SYSTEM_ACCESS=1 MOZ_CRASHREPORTER_DISABLE=1
        setsid sh -c 'echo $$ >/run/thunderbird.pid; exec thunderbird --profile {profile} --marionette \\
            --remote-allow-system-access --no-remote' >{profile}/said 2>&1 &
        """, seconds=60)
    lab.marionette = Marionette(port, 120)


def thunderbird_sends(lab, mail):
    """By its compose window; what it says, "" when it has sent."""
    lab.marionette.script(COMPOSE, mail.sender, mail.to, mail.subject, lf(mail.body).decode())
    return lab.marionette.script(OUTCOME)


def thunderbird(lab, mail, tls, login):
    """It runs until the set-up changes, as on a user's desk."""
    again = "" if login.ok == (0,) else mail.name   # a window with an error stays open
    if _changed(lab, tls, login.password, login.certificate, login.external, mail.sender, again):
        values = THUNDERBIRD | {
            "mail.identity.id1.useremail": mail.sender,
            "mail.smtpserver.smtp1.port": lab.port(tls),
            "mail.smtpserver.smtp1.try_ssl": 3 if tls == "implicit TLS" else 2,
            "mail.smtpserver.smtp1.username": login.user,
            "mail.smtpserver.smtp1.authMethod": CERTIFICATE_LOGIN if login.external
            else PASSWORD_LOGIN if login.password else NO_LOGIN}
        own = f"pk12util -i {lab.p12(login.certificate)} -d sql:. -W '{P12_PASSWORD}' -K ''" \
            if login.certificate else ""
        thunderbird_started(lab, mail.name, values, own)
        if hasattr(lab, "srv") and not hasattr(lab, "settings_taken"):  # our own server, not a story
            takes_settings(lab)
            lab.settings_taken = True
        if login.password:
            lab.marionette.script(SAVE_PASSWORD, login.user, login.password)
    said = thunderbird_sends(lab, mail)
    if said and login.ok == (0,):
        lab.setup = None
        raise Failed(lab.words("it says", said))
    return said


# ---- Claws Mail ----

CLAWS_ACCOUNT = """\
[Account: 1]
account_name=alice
is_default=1
name=Alice
address={sender}
protocol=6
smtp_server=localhost
set_smtpport=1
smtp_port={port}
ssl_smtp={tls}
ssl_certs_auto_accept=1
set_domain=1
domain={helo}
use_smtp_auth={auth}
smtp_user_id={user}
smtp_password={password}
out_ssl_client_cert_file={certificate}
"""
CLAWS_FOLDERS = """\
<?xml version="1.0" encoding="UTF-8"?>
<folderlist>
    <folder type="mh" name="Mail" path="Mail" collapsed="0" ccc="0" account_id="0">
        <folderitem type="inbox" name="inbox" path="inbox" />
        <folderitem type="outbox" name="sent" path="sent" />
        <folderitem type="draft" name="draft" path="draft" />
        <folderitem type="queue" name="queue" path="queue" />
        <folderitem type="trash" name="trash" path="trash" />
    </folder>
</folderlist>
"""


def claws(lab, mail, tls, login):
    """The message stands in its window; Ctrl+Return sends it.  Whom it trusts is a matter
    of the system; without ssl_certs_auto_accept it would ask about a valid certificate too."""
    account = CLAWS_ACCOUNT.format(
        sender=mail.sender, port=lab.port(tls), tls=1 if tls == "implicit TLS" else 2, helo=HELO,
        auth=int(bool(login.password)), user=login.user if login.password else "",
        password=login.password or "",
        certificate=f"{lab.pki}/{login.certificate}.both.pem" if login.certificate else "")
    message = f"To: {mail.to}\nSubject: {mail.subject}\n\n".encode() + lf(mail.body)
    home = lab.tmp / "claws"
    said = lab.sh("set -e\n" + display(lab, home) + f"""
        rm -rf {home}
        mkdir -p {home}/.claws-mail
        cd {home}
        for box in inbox sent draft queue trash; do mkdir -p Mail/$box; done
        install -m 600 {lab.file('accountrc', account)} .claws-mail/accountrc
        cp {lab.file('folderlist.xml', CLAWS_FOLDERS)} .claws-mail/folderlist.xml
        if [ ! -f /usr/local/share/ca-certificates/ours.crt ]; then
            cp {lab.ca} /usr/local/share/ca-certificates/ours.crt
            update-ca-certificates >/dev/null 2>&1
        fi
        claws-mail --online --compose-from-file {lab.file('claws.txt', message)} >said 2>&1 &
        pid=$!
        set +e
        window=$(timeout 40 xdotool search --sync --onlyvisible --name 'Compose message' | head -n 1)
        sleep 0.5
        log=.claws-mail/claws.log
        for i in $(seq 250); do
            grep -qE 'Mail sent successfully|\\*\\*' $log 2>/dev/null && break
            # A key that comes before the window is ready is lost: once a second until it works.
            if [ $((i % 10)) = 1 ] && ! grep -q Connecting $log 2>/dev/null; then
                xdotool windowfocus $window key --window $window ctrl+Return 2>/dev/null
            fi
            sleep 0.1
        done
        sleep 0.3
        kill -9 $pid  # told to end it would ask what to do with a message that was not sent
        wait $pid
        cat said $log
        grep -q 'Mail sent successfully' $log
        """, ok=login.ok)
    mail.body += b"\r\n"  # its window ends with an empty line
    return said


# ---- cells ----

SERVED.update({
    "Thunderbird": [PASSWORD, ALONE, ('certificate alone, its method "TLS Certificate"',
                                      dict(certificate="alice", external="TLS"), "implicit"), BOTH],
    "Claws Mail": [PASSWORD, ALONE, BOTH],
})
WITH.update({
    "Thunderbird": ("thunderbird xvfb libnss3-tools", "thunderbird libnss3-tools", thunderbird, False),
    "Claws Mail": ("claws-mail xvfb xdotool ca-certificates", "claws-mail libgnutls30", claws, False),
})
# "Select one automatically" passes over a certificate that has expired.
REFUSED_AS["Thunderbird", "expired certificate"] = ("session.refused", "Authentication required")
CANNOT["Thunderbird"] = [("EXTERNAL", None, "its SmtpClient.sys.mjs: PLAIN, LOGIN, CRAM-MD5, GSSAPI, NTLM and XOAUTH2 "
                          "are its mechanisms; with the method \"TLS Certificate\" it says MAIL at once")]
CANNOT["Claws Mail"] = [("EXTERNAL", None, "its smtp.c: LOGIN, PLAIN, CRAM-MD5 and OAuth2 are its mechanisms")]
