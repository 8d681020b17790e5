"""clients_libraries.py - mail libraries of other languages, each driven by a small program
(programs/) that is as the library's documentation shows it; see clients_programs.py.
"""
from clients_programs import *


def go(lab, mail, tls, login):
    if not (lab.tmp / "send").exists():
        source = lab.file("send.go", (PROGRAMS / "send.go").read_text())
        lab.sh(f"cd {lab.tmp} && HOME={lab.tmp} go build -o send {source}", seconds=300)
    return lab.sh(f"{lab.tmp}/send {options(lab, mail, tls, login)}", ok=login.ok)


def php(lab, mail, tls, login):
    program = lab.file("send.php", (PROGRAMS / "send.php").read_text())
    said = lab.sh(f"php {program} {options(lab, mail, tls, login)}", ok=login.ok)
    mail.body += b"\r\n"  # it ends every message with an empty line
    return said


def jakarta(lab, mail, tls, login):
    jars = "/usr/share/java/jakarta-mail.jar:/usr/share/java/jakarta-activation.jar"
    if not (lab.tmp / "Send.class").exists():
        source = lab.file("Send.java", (PROGRAMS / "Send.java").read_text())
        lab.sh(f"javac -cp {jars} -d {lab.tmp} {source}", seconds=180)
    o = option_values(lab, mail, tls, login) | {"p12_password": P12_PASSWORD}
    if login.certificate:
        o["p12"] = lab.p12(login.certificate)
    lines = "".join(f"{k}={str(v).lower() if isinstance(v, bool) else v}\n" for k, v in o.items())
    return lab.sh(f"java -cp {jars}:{lab.tmp} Send {lab.file('options.properties', lines)}", ok=login.ok)


SERVED.update({
    "Go net/smtp": [PASSWORD, external(INITIAL, "initial"), external(ASKED, "asked"), ALONE, BOTH],
    "PHPMailer": [PASSWORD, ALONE, BOTH],
    "Jakarta Mail": [PASSWORD, external(INITIAL, "initial"), external("=", "empty"), ALONE, BOTH],
})
WITH.update({
    "Go net/smtp": ("golang-go ca-certificates", "golang-1.19-go", go, True),
    "PHPMailer": ("php-cli libphp-phpmailer ca-certificates", "libphp-phpmailer php8.2-cli", php, False),
    "Jakarta Mail": ("openjdk-17-jdk-headless libjakarta-mail-java", "libjakarta-mail-java openjdk-17-jre-headless",
                     jakarta, True),
})
CANNOT["PHPMailer"] = [("EXTERNAL", "Could not authenticate", dict(certificate="alice", external="initial"))]
