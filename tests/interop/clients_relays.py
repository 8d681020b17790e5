"""clients_relays.py - mail servers that hand over the mail of others: each is our client
with its smart host setting, and takes the message in by its own sendmail command or port.

As in clients_programs.py: submit(lab, message, "STARTTLS" or "implicit TLS", Login).
"""
import smtplib

from clients_programs import *
from peers import POSTFIX_SERVICES


def _changed(lab, *what):
    """Has the set-up changed since the last run, so that the daemon must be told?"""
    changed = getattr(lab, "setup", None) != what
    lab.setup = what
    return changed


def _keys(lab, login, owner, folder):
    """Shell lines: certificate and key where the daemon's user reads them."""
    lines = f"mkdir -p {folder}\ninstall -m 644 {lab.ca} {folder}/ca.pem\n"
    if login.certificate:
        for kind, mode in (("pem", 644), ("key", 600)):
            lines += (f"install -o {owner} -m {mode} {lab.pki}/{login.certificate}.{kind} "
                      f"{folder}/client.{kind}\n")
    return lines


# ---- Postfix ----

def postfix(lab, mail, tls, login):
    """As SASL_README and TLS_README have it for a relay host."""
    hop = f"[localhost]:{lab.port(tls)}"
    if _changed(lab, tls, login.password, login.certificate, login.external):
        conf = (f"compatibility_level = 3.6\nmyhostname = {HELO}\nmydestination =\n"
                "inet_interfaces = 127.0.0.1\ninet_protocols = ipv4\ndisable_dns_lookups = yes\n"
                f"smtp_host_lookup = native\nmaillog_file = /var/log/postfix.log\nrelayhost = {hop}\n"
                "smtp_tls_security_level = secure\nsmtp_tls_CAfile = /etc/postfix/ca.pem\n"
                "smtp_tls_secure_cert_match = nexthop\n")
        if tls == "implicit TLS":
            conf += "smtp_tls_wrappermode = yes\n"
        if login.password:
            conf += ("smtp_sasl_auth_enable = yes\nsmtp_sasl_tls_security_options = noanonymous\n"
                     "smtp_sasl_password_maps = texthash:/etc/postfix/sasl_passwd\n")
        if login.external:
            conf += "smtp_sasl_mechanism_filter = external\n"
        if login.certificate:
            conf += ("smtp_tls_cert_file = /etc/postfix/client.pem\n"
                     "smtp_tls_key_file = /etc/postfix/client.key\n")
        lab.sh(_keys(lab, login, "root", "/etc/postfix") + f"""
            cp {lab.file('main.cf', conf)} /etc/postfix/main.cf
            cp {lab.file('master.cf', POSTFIX_SERVICES)} /etc/postfix/master.cf
            chmod 644 /etc/postfix/*.cf
            install -m 600 {lab.file('sasl', f"{hop} {login.user}:{login.password}")} /etc/postfix/sasl_passwd
            postfix stop || :
            postfix start
            """)
    return lab.sh(f"""\
        : >/var/log/postfix.log
        sendmail -i -f {mail.sender} {mail.to} || exit
        for i in $(seq 200); do
            grep -q 'to=<{mail.to}>.*status=' /var/log/postfix.log && break
            sleep 0.1
        done
        cat /var/log/postfix.log
        postsuper -d ALL >/dev/null 2>&1
        grep -q 'to=<{mail.to}>.*status=sent' /var/log/postfix.log
        """, lf(mail.octets), ok=login.ok)


# ---- Exim ----

def exim(lab, mail, tls, login):
    transport = ("  driver = smtp\n  hosts_require_tls = *\n  tls_verify_hosts = *\n"
                 "  tls_verify_certificates = /etc/exim4/ca.pem\n")
    if tls == "implicit TLS":
        transport += "  protocol = smtps\n"
    if login.certificate:
        transport += "  tls_certificate = /etc/exim4/client.pem\n  tls_privatekey = /etc/exim4/client.key\n"
    if login.password or login.external:
        transport += "  hosts_require_auth = *\n"
    authenticators = ""
    if login.external:
        authenticators = ("external:\n  driver = external\n  public_name = EXTERNAL\n"
                          f"  client_send = {mail.sender}\n")
    elif login.password:
        authenticators = ("plain:\n  driver = plaintext\n  public_name = PLAIN\n"
                          f"  client_send = ^{login.user}^{login.password}\n")
    conf = (f"primary_hostname = {HELO}\nlog_file_path = /var/log/exim4/%slog\nkeep_environment =\n"
            "begin routers\nsmarthost:\n  driver = manualroute\n"
            f"  route_list = * localhost::{lab.port(tls)} byname\n  self = send\n"
            f"  transport = smarthost\nbegin transports\nsmarthost:\n{transport}"
            f"begin retry\n* * F,1h,30m\nbegin authenticators\n{authenticators}")
    return lab.sh(_keys(lab, login, "Debian-exim", "/etc/exim4") + f"""
        cp {lab.file('exim4.conf', conf)} /etc/exim4/exim4.conf
        chmod 644 /etc/exim4/exim4.conf
        rm -rf /var/log/exim4/* /var/spool/exim4/input/* /var/spool/exim4/db/*
        exim4 -odf -oi -f {mail.sender} {mail.to}
        cat /var/log/exim4/mainlog
        grep -q '=> {mail.to}' /var/log/exim4/mainlog
        """, lf(mail.octets), ok=login.ok)


# ---- Sendmail ----

def sendmail(lab, mail, tls, login):
    """As cf/README has it: SMART_HOST, authinfo, client certificate, TLS_Srv."""
    if _changed(lab, tls, login.password, login.certificate, login.external):
        mc = f"""\
            divert(0)dnl
            OSTYPE(`linux')dnl
            define(`confDOMAIN_NAME', `{HELO}')dnl
            define(`confCACERT_PATH', `/etc/mail/certs')dnl
            define(`confCACERT', `/etc/mail/certs/ca.pem')dnl
            define(`confAUTH_MECHANISMS', `EXTERNAL SCRAM-SHA-256 CRAM-MD5 PLAIN LOGIN')dnl
            define(`SMART_HOST', `relay:[localhost]')dnl
            define(`RELAY_MAILER_ARGS', `TCP $h {lab.port(tls)}')dnl
            FEATURE(`access_db')dnl
            define(`confSERVICE_SWITCH_FILE', `/etc/mail/service.switch')dnl
            define(`confQUEUE_LA', `1000')dnl
            FEATURE(`nocanonify')dnl
            FEATURE(`no_default_msa')dnl
            """
        mc = textwrap.dedent(mc)
        if login.certificate:
            mc += ("define(`confCLIENT_CERT', `/etc/mail/certs/client.pem')dnl\n"
                   "define(`confCLIENT_KEY', `/etc/mail/certs/client.key')dnl\n")
        info = ""
        if login.external:
            info = f'AuthInfo:127.0.0.1 "U:{mail.sender}" "I:{mail.sender}" "P:x" "M:EXTERNAL"\n'
        elif login.password:
            info = f'AuthInfo:127.0.0.1 "U:{login.user}" "I:{login.user}" "P:{login.password}"\n'
        if info:
            mc += "FEATURE(`authinfo')dnl\n"
        mc += "MAILER(`local')dnl\nMAILER(`smtp')dnl\n"
        lab.sh("set -e\n" + _keys(lab, login, "root", "/etc/mail/certs") + f"""
            # It waits a minute for a host name of its own with a dot in it.
            printf '127.0.0.1 localhost\\n127.0.1.1 {HELO} %s\\n' "$(hostname)" >/etc/hosts
            printf 'hosts files\\naliases files\\n' >/etc/mail/service.switch
            chown root:root /etc/mail /var/spool/mqueue
            chmod 755 /etc/mail
            chmod 700 /var/spool/mqueue
            cd /usr/share/sendmail/cf
            m4 m4/cf.m4 {lab.file('client.mc', mc)} >/etc/mail/client.cf
            cp {lab.file('authinfo', info)} /etc/mail/authinfo
            echo 'TLS_Srv: PERM+VERIFY' >/etc/mail/access
            for map in authinfo access; do
                rm -f /etc/mail/$map.db
                makemap hash /etc/mail/$map </etc/mail/$map
                chown root:root /etc/mail/$map /etc/mail/$map.db
                chmod 600 /etc/mail/$map /etc/mail/$map.db
            done
            """)
    return lab.sh(f"""\
        timeout 50 sendmail -Am -C /etc/mail/client.cf -odi -i -v -f {mail.sender} {mail.to}
        status=$?
        left=$(ls /var/spool/mqueue)
        rm -f /var/spool/mqueue/*
        [ $status = 0 ] && [ -z "$left" ]
        """, lf(mail.octets), ok=login.ok)


# ---- OpenSMTPD ----

def _to_port(port, mail, said, user=None, password=None):
    """Give it the message over its own port."""
    try:
        with smtplib.SMTP("127.0.0.1", port, timeout=60) as s:
            s.ehlo("localhost")
            if user:
                s.login(user, password)
            s.sendmail(mail.sender, [mail.to], mail.octets)
    except (OSError, smtplib.SMTPException) as e:
        raise Failed(f"it did not take the message: {e}\n{said()}") from None


def opensmtpd(lab, mail, tls, login):
    lab.relay_port = getattr(lab, "relay_port", 0) or free_port()
    # A route that failed is left alone for a while: begin anew.
    again = "" if login.ok == (0,) else mail.name
    if _changed(lab, tls, login.password, login.certificate, again):
        scheme = "smtps" if tls == "implicit TLS" else "smtp+tls"
        who = "account@" if login.password else ""
        conf = ("table secrets file:/etc/mail/secrets\n"
                + ('pki client cert "/etc/mail/client.pem"\npki client key "/etc/mail/client.key"\n'
                   if login.certificate else "")
                + f"listen on 127.0.0.1 port {lab.relay_port}\n"
                f'action out relay host "{scheme}://{who}127.0.0.1:{lab.port(tls)}"'
                + (" auth <secrets>" if login.password else "")
                + (" pki client" if login.certificate else "") + f" helo {HELO}\n"
                "match from any for any action out\n")
        secret = f"account {login.user}:{login.password}\n"
        lab.sh(_keys(lab, login, "root", "/etc/mail") + f"""
            if [ -f /run/smtpd.pid ]; then
                kill $(cat /run/smtpd.pid)
                for i in $(seq 200); do
                    kill -0 $(cat /run/smtpd.pid) 2>/dev/null || break
                    sleep 0.1
                done
                rm /run/smtpd.pid
            fi
            # Whom it trusts is a matter of the system.
            cp {lab.ca} /usr/local/share/ca-certificates/ours.crt
            update-ca-certificates >/dev/null 2>&1
            install -g opensmtpd -m 640 {lab.file('secrets', secret)} /etc/mail/secrets
            cp {lab.file('smtpd.conf', conf)} /etc/smtpd.conf
            smtpd -d -v -f /etc/smtpd.conf >>/var/log/smtpd.log 2>&1 &
            echo $! >/run/smtpd.pid
            """)
        wait_until(lambda: port_open(lab.relay_port), 20, "OpenSMTPD: "
                   + lab.sh("cat /var/log/smtpd.log"))
    lab.sh(": >/var/log/smtpd.log")
    _to_port(lab.relay_port, mail, lambda: lab.sh("cat /var/log/smtpd.log"))
    return lab.sh("""\
        for i in $(seq 450); do
            grep -qE 'mta (delivery|error)' /var/log/smtpd.log && break
            sleep 0.1
        done
        cat /var/log/smtpd.log
        smtpctl remove all >/dev/null 2>&1
        grep -q 'mta delivery .*result="Ok"' /var/log/smtpd.log
        """, ok=login.ok)


# ---- Dovecot ----

def dovecot(lab, mail, tls, login):
    """Its submission service passes each session on to the relay."""
    lab.relay_port = getattr(lab, "relay_port", 0) or free_port()
    if _changed(lab, tls, login.password, login.certificate, login.external):
        conf = f"""\
            protocols = submission
            listen = 127.0.0.1
            log_path = /var/log/dovecot.log
            hostname = {HELO}
            ssl = no
            disable_plaintext_auth = no
            mail_location = maildir:/var/mail/%n
            passdb {{
              driver = static
              args = password=inner
            }}
            userdb {{
              driver = static
              args = uid=nobody gid=nogroup home=/var/mail/%n
            }}
            service submission-login {{
              inet_listener submission {{
                port = {lab.relay_port}
              }}
            }}
            submission_relay_host = localhost
            submission_relay_port = {lab.port(tls)}
            submission_relay_ssl = {'smtps' if tls == 'implicit TLS' else 'starttls'}
            submission_relay_ssl_verify = yes
            ssl_client_ca_file = /etc/dovecot/ca.pem
            """
        if login.password:
            conf += (f"submission_relay_user = {login.user}\n"
                     f"submission_relay_password = {login.password}\n")
        if login.certificate:
            conf += ("ssl_client_cert = </etc/dovecot/client.pem\n"
                     "ssl_client_key = </etc/dovecot/client.key\n")
        lab.sh(_keys(lab, login, "root", "/etc/dovecot") + f"""
            install -m 644 {lab.file('dovecot.conf', textwrap.dedent(conf))} /etc/dovecot/dovecot.conf
            doveadm stop 2>/dev/null
            dovecot
            """)
        wait_until(lambda: port_open(lab.relay_port), 20, "Dovecot")

    def log():
        return lab.sh("cat /var/log/dovecot.log 2>/dev/null; : >/var/log/dovecot.log")
    try:
        _to_port(lab.relay_port, mail, log, "inner", "inner")
    except Failed as e:
        if 1 in login.ok:
            return str(e)
        raise
    return log()


# ---- cells ----

SERVED.update({
    "Postfix": [PASSWORD, ALONE, BOTH],
    "Exim": [PASSWORD, external(INITIAL, "initial"), ALONE, BOTH],
    "Sendmail": [PASSWORD, external(INITIAL, "initial"), ALONE, BOTH],
    "OpenSMTPD": [PASSWORD, ALONE, BOTH],
    "Dovecot submission": [PASSWORD, ALONE, BOTH],
})
WITH.update({
    "Postfix": ("postfix libsasl2-modules sasl2-bin ca-certificates",
                "postfix libsasl2-2 libssl3", postfix, True),
    "Exim": ("exim4-daemon-heavy ca-certificates", "exim4-daemon-heavy libgnutls30", exim, True),
    "Sendmail": ("sendmail-bin sendmail-cf sensible-mda m4 make libsasl2-modules ca-certificates",
                 "sendmail-bin libsasl2-2 libssl3", sendmail, True),
    "OpenSMTPD": ("opensmtpd ca-certificates", "opensmtpd libssl3t64", opensmtpd, True),
    "Dovecot submission": ("dovecot-core dovecot-submissiond ca-certificates",
                           "dovecot-submissiond libssl3", dovecot, True),
})
RELEASE["OpenSMTPD"] = "trixie"  # Debian 12's does not get through a TLS handshake
CANNOT.update({
    "Postfix": [("EXTERNAL", "no mechanism available",
                 dict(certificate="alice", external="initial", **PASSWORD[1]))],
    "OpenSMTPD": [("EXTERNAL", None, "smtpd.conf(5) has no such setting: PLAIN and LOGIN are its mechanisms")],
    "Dovecot submission": [("EXTERNAL", None, "submission_relay_user logs in by PLAIN or LOGIN only")],
})
NO_IMPLICIT["Sendmail"] = "cf/README: its mailers know STARTTLS only"
