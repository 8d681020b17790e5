#!/usr/bin/python3
# sets: peers
# timeout: 7200
"""`sallyport check --client` against real programs: what it finds about each program of
clients_*.py, set up as its manual says, stands in golden/client_NAME.txt, one finding above
"good" a line.  Each line was compared by hand with the program's manual and with dialogues.

    t_check_clients.py [WORDS]             compare
    t_check_clients.py --write [WORDS]     write the files anew: then check each new line
    t_check_clients.py --keep FOLDER ...   also keep the whole JSON there

The command that is graded is this file with --drive: it hands one message to the program,
which runs in its root.  Programs with windows are waited for by --listen instead.
(curl, msmtp, smtplib and swaks: tests/system/t_check_client_all.py.)
"""
import argparse, itertools, json, sys
from pathlib import Path
from types import SimpleNamespace

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "system"))
from harness import *
import clients_lab, clients_libraries, clients_programs, clients_relays
import clients_desktop
from clients_lab import Root
from clients_programs import Login, RELEASE, WITH

GOLDEN = Path(__file__).resolve().parent / "golden"
CASE_SECONDS = 40   # more than the 30 that some wait for a greeting
JOB_SECONDS = int(os.environ.get("CHECK_JOB", CASE_SECONDS - 4))  # ends before its case
MANY = {"s-nail", "mutt", "NeoMutt", "esmtp", "nullmailer", "dma"}      # recipients as words
RELAYS = {"Postfix", "Exim", "Sendmail", "OpenSMTPD", "Dovecot submission"}
QUEUES = RELAYS | {"nullmailer", "dma"}
WINDOWS = {"Thunderbird", "Claws Mail"}
LISTENED = "C01,C02,C03,C04,C05,C06,C07,C08"  # what a person would have the patience for
ELSEWHERE = {"curl", "swaks", "msmtp", "smtplib"}
# How each of those that can show a certificate uses it; the others are run with a password only.
CERTIFICATE = {"Net::SMTP": "initial", "nodemailer": "initial", "s-nail": "external", "mutt": "asked",
               "NeoMutt": None, "esmtp": "initial", "nullmailer": None, "dma": None,
               "Go net/smtp": "asked", "PHPMailer": None, "Jakarta Mail": "initial",
               "Postfix": None, "Exim": "initial", "Sendmail": "initial", "OpenSMTPD": None}


class Message:
    """What clients_lab.Mail is to a submit function."""

    def __init__(self, name, path, sender, to):
        self.name, self.sender, self.to = name, sender, to
        self.octets = Path(path).read_bytes()
        head, _, self.body = self.octets.partition(b"\r\n\r\n")
        found = re.search(rb"(?mi)^Subject: *(.*?)\r?$", head)
        self.subject = found[1].decode() if found else "check"
        found = re.search(rb"(?mi)^From: *(.*?)\r?$", head)
        self.author = found[1].decode() if found else sender


class Driven:
    """What clients_lab.Lab is to a submit function: a root, and where the server is."""

    def __init__(self, root, ca, cert, key, port, tls_port, seconds=JOB_SECONDS, graded=True):
        self.graded = graded  # by its end, too: a program with windows is ended by us
        self.root, self.tmp, self.ports, self.seconds = root, root.tmp, (port, tls_port), seconds
        self.pki = self.tmp / "pki"
        self.pki.mkdir(exist_ok=True, mode=0o755)
        shutil.copy(ca, self.pki / "ca.pem")
        self.ca = self.pki / "ca.pem"
        if cert:
            shutil.copy(cert, self.pki / "alice.pem")
            shutil.copy(key, self.pki / "alice.key")
            self.file("pki/alice.both.pem", Path(cert).read_bytes() + Path(key).read_bytes())
            os.chmod(self.pki / "alice.key", 0o600)
        for path in (self.ca, self.pki / "alice.pem"):
            if path.exists():
                os.chmod(path, 0o644)

    file, p12 = clients_lab.Lab.file, clients_lab.Lab.p12

    def port(self, tls):
        return self.ports[tls == "implicit TLS"]

    def words(self, what, text=""):
        return f"{what}\n{text}"

    def sh(self, script, stdin=b"", seconds=0, ok=(0,)):
        status, text = self.root.run(script, stdin, self.seconds)
        if status == 124 and self.graded:
            print(text, flush=True)
            time.sleep(3600)  # so that whoever grades sees a program that hangs
        if status not in ok:
            raise Failed(f"ended with {status}\n{text}")
        return text


class Attached:
    """The root of another process."""
    run = Root.run

    def __init__(self, tmp):
        self.tmp = Path(tmp)
        self.folder = self.tmp / "root"
        self.fifo = os.open(self.folder / "agent.jobs", os.O_RDWR)
        self.process = SimpleNamespace(running=lambda: True)
        clients_lab._numbers = itertools.count(time.monotonic_ns())


def git_send_email(lab, mail, tls, login):
    """The message as it is: git's own patches are checked by t_clients.py."""
    return lab.sh(f"""\
        export HOME={lab.tmp}/home
        mkdir -p "$HOME"
        cd "$HOME"
        [ -d .git ] || git init -q .
        git send-email --from='{mail.author}' --to={mail.to} --confirm=never --suppress-cc=all \\
            --8bit-encoding=UTF-8 --smtp-server=localhost --smtp-server-port={lab.port(tls)} \\
            --smtp-domain={clients_programs.HELO} --smtp-ssl-cert-path={lab.ca} --smtp-user={login.user} \\
            --smtp-pass='{login.password}' --smtp-encryption={'ssl' if tls == 'implicit TLS' else 'tls'} \\
            --no-validate {lab.file('message', mail.octets.replace(bytes((13, 10)), bytes((10,))))}
        """, ok=login.ok)


def submit_of(name):
    return git_send_email if name == "git send-email" else WITH[name][2]


def drive(name, tmp, host, port, tls_port, ca, cert, key, user, password, sender, message, *to):
    lab = Driven(Attached(tmp), ca, cert, key, int(port), int(tls_port))
    login = Login(password=Path(password).read_text().strip() if password else None, user=user,
                  certificate="alice" if cert else None,
                  external=CERTIFICATE.get(name) if cert else None)
    to = " ".join(to) if name in MANY else ",".join(to) if name == "nodemailer" else to[0]
    mail = Message("check", message, sender, to)
    try:
        print(submit_of(name)(lab, mail, "STARTTLS", login) or "")
    except Failed as e:
        print(e)
        sys.exit(1)


# ---- grading ----

def command(name, tmp, certificate):
    words = [PYTHON, Path(__file__).resolve(), "--drive", name, tmp, "{host}", "{port}", "{tls-port}", "{ca}"]
    words += ["{cert}", "{key}"] if certificate else ["", ""]
    words += ["{user}", "" if certificate else "{password-file}", "{from}", "{message-crlf}", "{to}"]
    if name in MANY or name == "nodemailer":
        words.append("{to2}")
    return words


def warm_up(name, tmp):
    """Programs that are compiled first would need a case's time for it."""
    if name in ("Go net/smtp", "Jakarta Mail"):
        pki = Certificates(tmp / "warm")
        lab = Driven(Attached(tmp), pki.ca, None, None, free_port(), free_port(), seconds=300)
        path = tmp / "warm.eml"
        path.write_bytes(b"Subject: x\r\n\r\nx\r\n")
        with contextlib.suppress(Failed):
            submit_of(name)(lab, Message("warm", path, "a@check.test", "b@check.test"), "STARTTLS",
                            Login(password="x", ok=range(256)))


def graded(name, tmp, certificate, slow=1):
    """slow: how many times the usual seconds a case may take."""
    options = ["--timeout", CASE_SECONDS * slow]
    os.environ["CHECK_JOB"] = str(CASE_SECONDS * slow - 4)
    if certificate:
        options += ["--only", "C01,C09"]
    if name in QUEUES:
        options.append("--queues")
    said = call([SALLYPORT, "check", "--client", "--json", *options, "--",
                 *command(name, tmp, certificate)], ok=range(128), seconds=3000)
    return json.loads(said[said.index("{"):])


def listened(name, tmp, root):
    """A program with windows: told what a person would be told, it is made to send."""
    port, out = free_port(), tmp / "report.json"
    p = Process("check", ["sh", "-c", f'exec "$0" check --client --json --listen {port} '
                          f'--only {LISTENED} >{out}',
                          SALLYPORT], tmp / "check.log")
    try:
        wait_until(lambda: "let the program send" in p.output(), 30, "what to do")
        shown = dict(re.findall(r"^ +(password|user|sender|authority) +(\S+)", p.output(), re.M))
        lab = Driven(root, shown["authority"], None, None, port, port + 1, seconds=200, graded=False)
        login = Login(password=shown["password"], user=shown["user"], ok=range(256))
        message = tmp / "window.eml"
        message.write_bytes(b"Subject: check\r\n\r\nhello\r\n.\r\n.dot\r\n\r\nThe end.\r\n")
        seen, tries = 0, 0
        while p.running():
            cases = re.findall(r"(?m)^([0-9]+/[0-9]+ .*)$", p.output())
            tries = tries + 1 if len(cases) == seen else 1
            check(tries <= 3, f"the program does not come: {cases[-1:]}")
            seen = len(cases)
            print(f"    {name}: {cases[-1]}", flush=True)
            try:
                submit_of(name)(lab, Message(f"w{seen}.{tries}", message, shown["sender"],
                                             "someone@check.test"), "STARTTLS", login)
            except Failed as e:
                print(f"        {str(e).splitlines()[0]}", flush=True)
            with contextlib.suppress(Failed):  # it did not come: once more
                wait_until(lambda: p.output().count("let the program send") > seen or
                           not p.running(), 15, "the next case")
    finally:
        p.stop(signal.SIGINT)
    return json.loads(out.read_text())


def lines(report):
    """How far it gets with an endless reply is a matter of its speed."""
    return sorted(f"{f['severity']} {f['id']}" + "".join(f" | {x}" for x in f["facts"])
                  for f in report["findings"]
                  if f["severity"] != "good" and f["id"] != "endless-reply-read")


def path_of(name):
    return GOLDEN / f"client_{re.sub('[^A-Za-z0-9]', '', name)}.txt"


def read(name):
    """{"password": [lines]}, and the words before them."""
    sections, now, note = {}, None, []
    for line in path_of(name).read_text().splitlines() if path_of(name).exists() else ():
        if line.startswith("["):
            now = sections.setdefault(line[1:-1], [])
        elif line.startswith("#"):
            note.append(line)
        elif line:
            now.append(line)
    return sections, note


def write(name, sections, note):
    text = note or [f"# {name}, see t_check_clients.py."]
    for title, found in sections.items():
        text = [*text, "", f"[{title}]", *found]
    path_of(name).write_text("\n".join(text) + "\n")


def each(name, options):
    @test(f"{name}: what is found is what was checked by hand")
    def _():
        need_server()
        wanted, note = read(name)
        got, wrong = {}, []
        with work() as tmp:
            root = Root(tmp, WITH[name][0], RELEASE.get(name, "bookworm"))
            try:
                warm_up(name, tmp)
                for title in ("password", "certificate"):
                    if title == "certificate" and (name not in CERTIFICATE or name in WINDOWS):
                        continue
                    report = listened(name, tmp, root) if name in WINDOWS else \
                        graded(name, tmp, title == "certificate")
                    if name not in WINDOWS and not options.write and lines(report) != wanted.get(title, []):
                        # On a busy machine a program that is only slow is taken for one that hangs.
                        print(f"    {name}: asked again, for {set(lines(report)) ^ set(wanted.get(title, []))}",
                              flush=True)
                        report = graded(name, tmp, title == "certificate", slow=5)
                    got[title] = lines(report)
                    if options.keep:
                        (Path(options.keep) / f"{path_of(name).stem}-{title}.json").write_text(
                            json.dumps(report, indent=1))
                    if report["failed"]:
                        wrong.append(f"{title}: {report['failed']}")
                    for l in sorted(set(got[title]) ^ set(wanted.get(title, []))):
                        wrong.append(f"{title}: {'new' if l in got[title] else 'gone'}: {l}")
            finally:
                root.stop()
        if options.write:
            write(name, got, note)
            check(not any("'status'" in w for w in wrong), "\n".join(wrong))
        else:
            check(not wrong, "\n".join(wrong))


def main():
    options = argparse.ArgumentParser(add_help=False)
    options.add_argument("--write", action="store_true")
    options.add_argument("--keep")
    options, rest = options.parse_known_args()
    sys.argv[1:] = rest
    for name in WITH:
        if name not in ELSEWHERE and (options.write or path_of(name).exists()):
            each(name, options)
    run()


if sys.argv[1:2] == ["--drive"]:
    drive(*sys.argv[2:])
else:
    main()
