"""clients_programs.py - mail programs that hand over a message themselves, at once.

Each function `submit` below submits one message: it gets the lab, the message, "STARTTLS"
or "implicit TLS", and a Login; it writes the program's configuration as its manual says,
runs it, and returns what it said.  declare() makes their cells.
"""
from dataclasses import dataclass
from urllib.parse import quote

from clients_lab import *

PACKAGES = ("curl swaks libnet-ssleay-perl msmtp s-nail mutt neomutt libsasl2-modules python3 "
            "perl libio-socket-ssl-perl libauthen-sasl-perl esmtp nodejs node-nodemailer "
            " ca-certificates")
PROGRAMS = Path(__file__).resolve().parent / "programs"
COLUMNS = ("STARTTLS", "implicit TLS")
HELO = "client.example.org"


@dataclass
class Login:
    """What the user told the program: account and password, a certificate, and how (if at
    all) it is to use EXTERNAL.  ok: exit statuses to expect of it."""
    password: str = None
    certificate: str = None
    external: str = None
    user: str = "alice"
    ok: object = (0,)


# ---- programs ----

def curl(lab, mail, tls, login):
    rc = ""
    if login.password:
        rc += f'user = "{login.user}:{login.password}"\n'
    if login.certificate:
        rc += f'cert = "{lab.pki}/{login.certificate}.pem"\nkey = "{lab.pki}/{login.certificate}.key"\n'
    if login.external:
        rc += f'login-options = "AUTH=EXTERNAL"\nuser = "{mail.sender}:"\n'
        rc += "sasl-ir\n" if login.external == "initial" else ""
    return lab.sh(
        f"curl -sS -K {lab.file('curlrc', rc)} --ssl-reqd --cacert {lab.ca} --mail-from {mail.sender} "
        f"--mail-rcpt {mail.to} --upload-file {lab.file('message', mail.octets)} --max-time 40 "
        f"{'smtps' if tls == 'implicit TLS' else 'smtp'}://localhost:{lab.port(tls)}/{HELO}", ok=login.ok)


def swaks(lab, mail, tls, login):
    """It makes CRLF of LF and ends the last line itself."""
    rc = ""
    if login.password:
        rc += f"--auth\n--auth-user {login.user}\n--auth-password {login.password}\n"
    if login.external:
        rc += f"--auth EXTERNAL\n--auth-user {mail.sender}\n--auth-password x\n"
    if login.certificate:
        rc += f"--tls-cert {lab.pki}/{login.certificate}.pem\n--tls-key {lab.pki}/{login.certificate}.key\n"
    message = lab.file("message", lf(mail.octets).removesuffix(b"\n"))
    return lab.sh(
        f"swaks --config {lab.file('swaksrc', rc)} --server localhost --port {lab.port(tls)} "
        f"{'--tls-on-connect' if tls == 'implicit TLS' else '--tls'} --tls-verify --tls-ca-path {lab.ca} "
        f"--from {mail.sender} --to {mail.to} --data @{message} --helo {HELO}", ok=login.ok)


def msmtp(lab, mail, tls, login):
    rc = (f"account default\nhost localhost\nport {lab.port(tls)}\nfrom {mail.sender}\ntls on\n"
          f"tls_starttls {'off' if tls == 'implicit TLS' else 'on'}\ntls_trust_file {lab.ca}\n")
    if login.external:
        rc += f"auth external\nuser {mail.sender}\n"
    elif login.password:
        rc += f"auth on\nuser {login.user}\npassword {login.password}\n"
    else:
        rc += "auth off\n"
    if login.certificate:
        rc += (f"tls_cert_file {lab.pki}/{login.certificate}.pem\n"
               f"tls_key_file {lab.pki}/{login.certificate}.key\n")
    return lab.sh(f"msmtp -C {lab.file('msmtprc', rc)} {mail.to}", lf(mail.octets), ok=login.ok)


def s_nail(lab, mail, tls, login):
    scheme = "smtps" if tls == "implicit TLS" else "smtp"
    who = f"{login.user}:{quote(login.password, safe='')}@" if login.password else ""
    rc = ("set v15-compat\nset tls-verify=strict\nset tls-ca-no-defaults\n"
          f"set tls-ca-file={lab.ca}\nset from={mail.sender}\nset hostname={HELO}\n")
    if scheme == "smtp":
        rc += "set smtp-use-starttls\n"
    if login.external:
        who = quote(mail.sender, safe="") + "@" if login.external == "external" else ""
        rc += f"set smtp-auth={login.external}\n"
    elif not login.password:
        rc += "set smtp-auth=none\n"
    rc += f"set mta={scheme}://{who}localhost:{lab.port(tls)}\n"
    if login.certificate:
        rc += (f"set tls-config-pairs='Certificate={lab.pki}/{login.certificate}.pem,"
               f"PrivateKey={lab.pki}/{login.certificate}.key'\n")
    return lab.sh(f"MAILRC={lab.file('mailrc', rc)} s-nail -:u -S sendwait -s '{mail.subject}' {mail.to}",
                  lf(mail.body), ok=login.ok)


def _mutt(program):
    def submit(lab, mail, tls, login):
        scheme = "smtps" if tls == "implicit TLS" else "smtp"
        who = f"{login.user}@" if login.password else ""
        rc = (f"set from={mail.sender} hostname={HELO} realname=Alice copy=no use_envelope_from=yes\n"
              f"set ssl_starttls=yes ssl_force_tls=yes ssl_ca_certificates_file={lab.ca}\n")
        if login.password:
            rc += f"set smtp_pass='{login.password}'\n"
        if login.external:
            who = quote(mail.sender, safe="") + "@"
            rc += "set smtp_authenticators=external\n"
        rc += f"set smtp_url={scheme}://{who}localhost:{lab.port(tls)}\n"
        if login.certificate:
            rc += f"set ssl_client_cert={lab.pki}/{login.certificate}.both.pem\n"
        return lab.sh(f"{program} -n -F {lab.file('muttrc', rc)} -s '{mail.subject}' {mail.to}",
                      lf(mail.body), ok=login.ok)
    return submit


def option_values(lab, mail, tls, login):
    """For the programs of this folder, which are as the manuals of their libraries."""
    o = {"port": lab.port(tls), "implicit": tls == "implicit TLS", "ca": str(lab.ca),
         "from": mail.sender, "to": mail.to, "identity": mail.sender, "user": login.user,
         "message": str(lab.file("message", mail.octets)), "subject": mail.subject,
         "body": str(lab.file("body", mail.body))}
    if login.password:
        o["password"] = login.password
    if login.external:
        o["external"] = login.external
    if login.certificate:
        o |= {"certificate": f"{lab.pki}/{login.certificate}.pem",
              "key": f"{lab.pki}/{login.certificate}.key"}
    return o


def options(lab, mail, tls, login):
    return lab.file("options.json", json.dumps(option_values(lab, mail, tls, login)))


def _program(command, name):
    def submit(lab, mail, tls, login):
        program = lab.file(name, (PROGRAMS / name).read_text())
        return lab.sh(f"{command} {program} {options(lab, mail, tls, login)}", ok=login.ok)
    return submit


def git(lab, mail, tls, login):
    """The message is a patch, as git format-patch makes it."""
    secret = f"--smtp-user={login.user} --smtp-pass='{login.password}'" if login.password else ""
    if login.external:
        secret = f"--smtp-user={mail.sender} --smtp-auth=EXTERNAL --smtp-pass=x"
    lab.file("body", lf(mail.body))
    script = f"""\
        set -e
        export HOME={lab.tmp}/home
        mkdir -p "$HOME"
        cd "$HOME"
        rm -rf repository
        git init -q repository
        cd repository
        git config user.email {mail.sender}
        git config user.name Alice
        cp {lab.tmp}/body greeting.txt
        git add greeting.txt
        git commit -q -m '{mail.subject}'
        git format-patch -1 --stdout >{lab.tmp}/patch
        git send-email --from='Alice <{mail.sender}>' --to={mail.to} --confirm=never --suppress-cc=all \\
            --smtp-server=localhost --smtp-server-port={lab.port(tls)} --smtp-domain={HELO} \\
            --smtp-ssl-cert-path={lab.ca} {secret} \\
            --smtp-encryption={'ssl' if tls == 'implicit TLS' else 'tls'} {lab.tmp}/patch
        """
    said = lab.sh(textwrap.dedent(script), ok=login.ok)
    mail.body = (lab.tmp / "patch").read_bytes().partition(b"\n\n")[2]
    mail.subject = f"[PATCH] {mail.subject}"
    return said


def esmtp(lab, mail, tls, login):
    """libesmtp takes certificates by their places below ~/.config/libesmtp."""
    rc = f"hostname = localhost:{lab.port(tls)}\nstarttls = required\n"
    if login.external:
        rc += f'username = "{mail.sender}"\n'
    elif login.password:
        rc += f'username = "{login.user}"\npassword = "{login.password}"\n'
    if login.certificate:
        rc += 'certificate_passphrase = ""\n'
    copy = f"install -m 600 {lab.pki}/{login.certificate}.both.pem $d/private/smtp-starttls.pem"
    script = f"""\
        export HOME={lab.tmp}/home
        d=$HOME/.config/libesmtp
        mkdir -p $d/private
        chmod 700 $d $d/private
        rm -f $d/private/*
        install -m 600 {lab.ca} $d/ca.pem
        {copy if login.certificate else ''}
        install -m 600 {lab.file('esmtprc', rc)} $HOME/.esmtprc
        exec esmtp -f {mail.sender} {mail.to}
        """
    return lab.sh(textwrap.dedent(script), lf(mail.octets), ok=login.ok)


def nullmailer(lab, mail, tls, login):
    """The message goes into its queue; its daemon runs until the queue is empty."""
    how = "--ssl" if tls == "implicit TLS" else "--starttls"
    if login.password:
        how += f" --user={login.user} --pass='{login.password}'"
    if login.external == "LOGIN":
        how += " --auth-login"
    if login.certificate:
        how += " --x509certfile=/etc/nullmailer/both.pem"
    remotes = f"localhost smtp --port={lab.port(tls)} --x509cafile=/etc/nullmailer/ca.pem {how}\n"
    copy = f"install -o mail -m 600 {lab.pki}/{login.certificate}.both.pem both.pem"
    script = f"""\
        cd /etc/nullmailer
        echo {HELO} >/etc/mailname
        install -m 644 {lab.ca} ca.pem
        {copy if login.certificate else ''}
        install -o mail -m 600 {lab.file('remotes', remotes)} remotes
        cd /var/spool/nullmailer
        [ -p trigger ] || mkfifo trigger
        chown mail trigger
        rm -f queue/* failed/*
        nullmailer-inject -f {mail.sender} {mail.to} || exit
        setpriv --reuid=mail --regid=mail --clear-groups nullmailer-send >{lab.tmp}/sent 2>&1 &
        for i in $(seq 250); do
            sleep 0.1
            [ -n "$(ls queue)" ] || break
            grep -q 'Sending failed' {lab.tmp}/sent && break
        done
        kill $!
        wait $!
        cat {lab.tmp}/sent
        left=$(ls queue failed)
        rm -f queue/* failed/*
        ! echo "$left" | grep -q '[0-9]'
        """
    return lab.sh(textwrap.dedent(script), lf(mail.octets), ok=login.ok)


def dma(lab, mail, tls, login):
    conf = f"SMARTHOST localhost\nPORT {lab.port(tls)}\nMAILNAME {HELO}\nSECURETRANSFER\n"
    if tls == "STARTTLS":
        conf += "STARTTLS\n"
    if login.password:
        conf += "AUTHPATH /etc/dma/auth.conf\n"
    if login.certificate:
        conf += f"CERTFILE /etc/dma/both.pem\n"
    secret = f"{login.user}|localhost:{login.password}\n"
    copy = f"install -g mail -m 640 {lab.pki}/{login.certificate}.both.pem /etc/dma/both.pem"
    script = f"""\
        cd /etc/dma
        install -g mail -m 640 {lab.file('dma.conf', conf)} dma.conf
        install -g mail -m 640 {lab.file('auth.conf', secret)} auth.conf
        {copy if login.certificate else ''}
        timeout 30 dma -D -i -f {mail.sender} {mail.to}
        status=$?
        sleep 0.1
        left=$(ls /var/spool/dma | grep '^[MQ]')
        rm -f /var/spool/dma/[MQ]*
        cat /var/log/mail* /var/log/dma* 2>/dev/null
        [ -z "$left" ] || echo "still in its queue"
        [ -z "$left" ] && exit $status
        """
    return lab.sh(textwrap.dedent(script), lf(mail.octets), ok=login.ok)


# ---- cells ----

# Row, what the program was told, how the server's log must name the login.
PASSWORD = ("password", dict(password=harness.Server.password), "explicit")
ALONE = ("certificate alone", dict(certificate="alice"), "implicit")
BOTH = ("certificate and password",
        dict(certificate="alice", password=harness.Server.password), "explicit")
CARL = ("certificate alone, account without password", dict(certificate="carl"), "EXTERNAL", "carl")
EXTERNAL = "EXTERNAL"


def external(row, how):
    return (f"EXTERNAL, {row}", dict(certificate="alice", external=how), EXTERNAL)


ASKED, INITIAL = "identity when asked", "identity at once"
SERVED = {
    "curl": [PASSWORD, external(ASKED, "asked"), external(INITIAL, "initial"), ALONE, BOTH],
    "swaks": [PASSWORD, ALONE, BOTH],
    "msmtp": [PASSWORD, external(ASKED, "asked"), ALONE, BOTH],
    "smtplib": [PASSWORD, external(INITIAL, "initial"), external("empty, at once", "initial-empty"),
                external(ASKED, "asked"), external("empty when asked", "asked-empty"), ALONE, BOTH],
    "Net::SMTP": [PASSWORD, external(INITIAL, "initial"), ALONE, BOTH],
    "nodemailer": [PASSWORD, external(INITIAL, "initial"), ALONE, BOTH],
    "s-nail": [PASSWORD, external(INITIAL, "external"), external("=", "externanon"), ALONE, BOTH],
    "mutt": [PASSWORD, external(ASKED, "asked"), CARL, BOTH],
    "NeoMutt": [PASSWORD, ALONE, BOTH],
    "git send-email": [PASSWORD],
    "esmtp": [PASSWORD, external(INITIAL, "initial"), ALONE, BOTH],
    "nullmailer": [PASSWORD, ("password, by LOGIN", {**PASSWORD[1], "external": "LOGIN"}, "LOGIN"),
                   ALONE, BOTH],
    "dma": [PASSWORD, ALONE, BOTH],
}
# Program: packages of its root, those whose versions are shown, submit, a whole message?
WITH = {
    "curl": (PACKAGES, "curl libcurl4", curl, True),
    "swaks": (PACKAGES, "swaks libnet-ssleay-perl", swaks, True),
    "msmtp": (PACKAGES, "msmtp libgnutls30 libgsasl18", msmtp, True),
    "smtplib": (PACKAGES, "python3.11", _program("python3", "send.py"), True),
    "Net::SMTP": (PACKAGES, "perl libio-socket-ssl-perl libauthen-sasl-perl",
                  _program("perl", "send.pl"), True),
    "nodemailer": (PACKAGES, "node-nodemailer nodejs",
                   _program("NODE_PATH=/usr/share/nodejs node", "send.js"), True),
    "s-nail": (PACKAGES, "s-nail libssl3", s_nail, False),
    "mutt": (PACKAGES, "mutt libgnutls30 libgsasl18", _mutt("mutt"), False),
    "NeoMutt": (PACKAGES, "neomutt libgnutls30 libsasl2-modules", _mutt("neomutt"), False),
    "git send-email": ("git-email libmailtools-perl libio-socket-ssl-perl libauthen-sasl-perl "
                       "ca-certificates", "git-email perl libauthen-sasl-perl", git, False),
    "esmtp": (PACKAGES, "esmtp libesmtp6", esmtp, True),
    "nullmailer": ("nullmailer ca-certificates", "nullmailer libgnutls30", nullmailer, True),
    "dma": ("dma ca-certificates", "dma libssl3", dma, True),
}
# What a program cannot do: (row, its own words when told to do it, what it is told), or
# (row, None, the option it lacks).
CANNOT = {
    "swaks": [("EXTERNAL", "EXTERNAL", dict(certificate="alice", external="initial"))],
    "mutt": [("certificate alone", "SASL authentication failed", dict(certificate="alice"))],
    "NeoMutt": [("EXTERNAL", "external", dict(certificate="alice", external="asked"))],
    "git send-email": [("certificate alone", None,
                        "git-send-email(1) has no option for a client certificate"),
                       ("certificate and password", None,
                        "git-send-email(1) has no option for a client certificate")],
    "nullmailer": [("EXTERNAL", None, "nullmailer-send(8): PLAIN and LOGIN are its mechanisms")],
    "dma": [("EXTERNAL", None, "dma(8): CRAM-MD5 and LOGIN are its mechanisms")],
}
# Told to log in so, nothing may arrive; the event of the server's log, words of its reason.
NEGATIVE = [
    ("wrong password", dict(password="not the password"), "login.failed", ""),
    ("certificate of another authority", dict(certificate="foreign"), "certificate.unusable", ""),
    ("expired certificate", dict(certificate="expired"), "certificate.unusable", "expired"),
]
# (Program, row) that shows otherwise: event and words.
REFUSED_AS = {}
RELEASE = {}
NO_IMPLICIT = {"esmtp": "esmtprc(5) has STARTTLS only"}


def declare(m):
    for name in WITH:
        declare_one(m, name)


def declare_one(m, name):
    packages, shown, submit, raw = WITH[name]
    m.peer(name)(lambda: Lab(packages, shown, RELEASE.get(name, "bookworm"), raw))
    for tls in COLUMNS:
        if tls == "implicit TLS" and name in NO_IMPLICIT:
            for row, *_ in SERVED[name]:
                m.none(name, row, tls, NO_IMPLICIT[name])
            continue
        for row, told, how, *account in SERVED[name]:
            m.cell(name, row, tls)(served(submit, tls, told, how, *account))
        for row, words, told in CANNOT.get(name, []):
            if words:
                m.cell(name, row, tls, cannot=words)(served(submit, tls, told, EXTERNAL))
            else:
                m.none(name, row, tls, told)
        for row, told, event, words in NEGATIVE:
            if "certificate" in told and not any("certificate" in t for _, t, *_ in SERVED[name]):
                continue
            event, words = REFUSED_AS.get((name, row), (event, words))
            m.cell(name, row, tls, want="refused")(refused(submit, tls, told, event, words))


def served(submit, tls, told, how, account="alice"):
    def cell(lab, n):
        mail = lab.mail(f"{account}@example.org")
        said = submit(lab, mail, tls, Login(**told))
        return lab.arrived(mail, how, said, account)
    return cell


def refused(submit, tls, told, event, words):
    def cell(lab, n):
        mail = lab.mail()
        said = submit(lab, mail, tls, Login(**told, ok=range(256)))
        return lab.refused(mail, event, words, said)
    return cell
