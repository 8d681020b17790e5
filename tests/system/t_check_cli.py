#!/usr/bin/python3
# sets: default
# timeout: 300
"""The command line of `sallyport check`: its options, its exit statuses, its three outputs."""
import html.parser, json, re, signal, socket, subprocess, threading
from harness import *
from faulty import Faulty


def ask(*words, ok=(0,), env=None, seconds=120):
    return call([SALLYPORT, "check", *words], ok=ok, env=env, seconds=seconds)


@test("a mistake on the command line is 64 and names it; nothing is connected to")
def _():
    for words, said in [
        ([], "which server"),
        (["a", "b"], "one server at a time"),
        (["a", "--server", "smtp://b"], "not both"),
        (["a", "--profile", "imap"], "--profile is submission or mx"),
        (["a", "--only", "P99x"], "no check `P99x`"),
        (["a", "--tls", "--starttls"], "exclude each other"),
        (["a", "--bad-key", "x"], "--bad-key needs --bad-cert"),
        (["a", "--password-file", "/dev/null"], "--password-file needs --user"),
        (["lmtp://a:24"], "LMTP"),
        (["a", "--send-to", "not an address"], "--send-to is a mail address"),
        (["a", "--send-to", "a@example.org>\r\nRSET"], "--send-to is a mail address"),
        (["a", "--send-from", "a@b>", "--send-to", "a@example.org"], "--send-from is a mail address"),
        (["a", "--timeout", "0"], "--timeout"),
        (["localhost:99999"], "no port"),
    ]:
        check(said in ask(*words, ok=(64,)), f"{words}: {ask(*words, ok=(64,))}")


@test("--list names every check with what it costs; --only takes these names")
def _():
    for side in ([],):
        said = ask("--list", *side)
        ids = re.findall(r"(?m)^([PC]\d\d) ", said)
        check(len(ids) >= 20 and len(ids) == len(set(ids)), str(ids))
        check("connection" in said, said[:300])
        text = (ROOT / "doc" / "findings.md").read_text()
        for i in ids:
            check(f"\n### {i}: " in text, f"{i} is not in doc/findings.md")


# What real servers turned out to need (25 questions), and the answers to each that are told
# apart.  By hand: a row that goes from the catalogue is missed here.
QUESTIONS = {
    "P01": "clear-password-offered clear-no-auth",                    # AUTH in clear
    "P02": "clear-password-taken clear-auth-refused",                 # AUTH PLAIN in clear
    "P03": "clear-mail-accepted tls-temporary-code clear-mail-refused",
    "P04": "auth-list-changes auth-list-same",                        # before and after TLS
    "P05": "mail-without-ehlo ehlo-required-in-tls ehlo-remembered",
    "P06": "auth-without-ehlo auth-needs-ehlo",
    "P07": "starttls-injection starttls-clear-answer starttls-clean",  # CVE-2011-0411
    "P08": "starttls-twice starttls-listed-in-tls starttls-once",
    "P09": "starttls-argument-taken starttls-argument-refused starttls-before-ehlo starttls-after-ehlo",
    "P10": "cert-adds-external cert-removes-auth cert-changes-nothing",
    "P11": "external-for-all external-not-for-all",
    "P12": "external-equals external-equals-refused external-ir-ignored external-identity",
    "P26": "external-spelling external-spelling-refused",             # the other spellings
    "P13": "external-any-identity external-identity-ignored external-other-refused",
    "P14": "cert-implicit cert-explicit",
    "P15": "implicit-after-failure no-login-after-failure",
    "P16": "foreign-cert-counts foreign-cert-ignored foreign-cert-refused",
    "P35": "bad-cert-counts bad-cert-ignored bad-cert-refused",       # expired, revoked
    "P17": "password-refused-with-cert password-with-cert",
    "P18": "second-auth-taken second-auth-refused ehlo-after-auth login-kept login-forgotten",
    "P19": "star-ignored star-cancels base64-oddly unknown-mechanism-oddly auth-in-transaction",
    "P43": "long-auth-line long-auth-line-refused command-line-refused",
    "P42": "enhanced-missing enhanced-wrong",
    "P20": "auth-at-mail auth-at-rcpt auth-required-oddly auth-temporary-code",
    "P21": "message-end-variant bare-newline-kept nul-accepted",      # smuggling
    "P22": "session-tickets no-session-tickets no-close-notify",
    "P23": "authzid-ignored authzid-refused",
    "P24": "legacy-auth-line legacy-auth-only mechanism-twice",
    "P25": "no-scram scram-offered",
}


@test("each question that real servers made necessary has its check, which tells the answers apart")
def _():
    text = (ROOT / "doc" / "findings.md").read_text()
    parts = dict(re.findall(r"(?ms)^### ([PC]\d\d): (.*?)(?=^### |\Z)", text))
    check(len(parts) >= 60, f"{len(parts)} checks were read")
    check({f"P{n:02}" for n in range(1, 26)} <= set(QUESTIONS), "a question has no row")
    for question, answers in QUESTIONS.items():
        missing = [a for a in answers.split() if f"`{a}`" not in parts[question]]
        check(not missing, f"{question} has no {missing}")


@test("a server that is not there: 68 without a name, 69 without a connection")
def _():
    check("nowhere.invalid" in ask("nowhere.invalid", ok=(68,)), "the name is not said")
    ask(f"localhost:{free_port()}", ok=(69,))
    found = json.loads(ask(f"localhost:{free_port()}", "--json", ok=(69,)))
    check(found["failed"]["status"] == 69 and found["worst"] == "unknown", str(found["failed"]))


@test("a file that is not there is 66 and named, whichever it is")
def _():
    for option in (["--ca"], ["--certificate"], ["--bad-cert"], ["--user", "a", "--password-file"]):
        said = ask("localhost:1", *option, "/nonexistent/x", ok=(66,))
        check("/nonexistent/x" in said, f"{option}: {said}")


@test("a page that cannot be written is found out before the server is asked")
def _():
    ask("localhost:1", "--html", "/nonexistent/x.html", ok=(73,))


class Silent:
    """Greets and says nothing more; or says what it likes."""

    def __init__(self, greeting=b"220 silent ESMTP\r\n", answer=None):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.greeting, self.answer, self.open = greeting, answer, []
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            try:
                s, _ = self.listener.accept()
            except OSError:
                return
            self.open.append(s)
            threading.Thread(target=self.talk, args=(s,), daemon=True).start()

    def talk(self, s):
        try:
            s.sendall(self.greeting)
            while data := s.recv(4096):
                if self.answer:
                    s.sendall(self.answer)
        except OSError:
            pass

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.listener.close()
        for s in self.open:
            s.close()


EVIL = b"250-evil\r\n250-<script>alert(1)</script>\x1b[2J\xff\xc2\x9b31m\r\n250 \xe2\x80\xaeSIZE\r\n"


class Elements(html.parser.HTMLParser):
    def __init__(self):
        super().__init__()
        self.seen, self.depth = [], []

    def handle_starttag(self, tag, attributes):
        self.seen.append(tag)
        if tag not in ("meta", "br"):
            self.depth.append(tag)
        check(not any(n.startswith("on") or n in ("src", "action") for n, _ in attributes), str(attributes))

    def handle_endtag(self, tag):
        check(self.depth and self.depth.pop() == tag, f"</{tag}>")


@test("what a hostile server says stays text: in the terminal's report, the page and JSON")
def _():
    with work() as tmp, Silent(b"220 evil\x1b]0;owned\x07\r\n", EVIL) as s:
        page = tmp / "page.html"
        words = [f"127.0.0.1:{s.port}", "--timeout", "2", "--html", page]
        said = ask(*words, "-v", ok=range(128))
        check(not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]", said), repr(said))
        found = json.loads(ask(*words, "--json", ok=range(128)))
        check(found["findings"], "nothing was found")
        text = page.read_text()
        check("<script" not in text and "\u202e" not in text and "\x1b" not in text, text)
        e = Elements()
        e.feed(text)
        check(not e.depth, f"never closed: {e.depth}")
        check("script" not in e.seen and "h1" in e.seen, str(set(e.seen)))


@test("Ctrl-C ends the run with what was found; the exit status says that it was ended")
def _():
    for greeting in (b"220 silent ESMTP\r\n", b""):  # while a reply is awaited; while a connection is opened
        with Silent(greeting) as s:
            p = subprocess.Popen([SALLYPORT, "check", f"127.0.0.1:{s.port}", "--json"], stdout=subprocess.PIPE, text=True)
            wait_until(lambda: s.open, 30, "a connection")
            p.send_signal(signal.SIGINT)
            out = p.communicate(timeout=60)[0]
            found = json.loads(out)
            check(found["interrupted"] and p.returncode == 130, f"{p.returncode}: {out[:300]}")
            check(all(c["ran"] or c["why"] for c in found["checks"]), "not run: why?")


def on_terminal(words, env=None, **size):
    return terminal([SALLYPORT, "check", *words], env={"NO_COLOR": "", **(env or {})}, **size)


@test("a terminal sees progress and colour; NO_COLOR takes the colour away")
def _():
    with Silent(answer=b"250 ok\r\n") as s:
        words = [f"127.0.0.1:{s.port}", "--timeout", "2", "--only", "P01,P02"]
        _, said = on_terminal(words)
        check(re.search(r"\r\[\d+/\d+\] ", said), repr(said))
        check(re.search(r"\x1b\[\d+(;1)?m", said), repr(said))
        check(not re.search(r"\x1b\[\d+(;1)?m", on_terminal(words, {"NO_COLOR": "1"})[1]), "colour")


def screen(text, columns=80):
    """The lines that a terminal of that width shows when all is said."""
    lines = [""]
    for piece in re.findall(r"\x1b\[[0-9;]*[A-Za-z]|\r|\n|[^\x1b\r\n]+", text):
        if piece == "\r":
            lines[-1] = "\r" + lines[-1]  # what comes is written over it
        elif piece == "\n":
            lines.append("")
        elif piece == "\x1b[K":
            lines[-1] = "" if lines[-1].startswith("\r") else lines[-1]
        elif not piece.startswith("\x1b"):
            old = lines[-1].lstrip("\r")
            lines[-1] = piece + old[len(piece):] if lines[-1].startswith("\r") else old + piece
    while lines and not lines[-1].strip("\r"):
        lines.pop()
    lines = [l.strip("\r") for l in lines]
    check(all(len(l) <= columns for l in lines), f"too wide: {[l for l in lines if len(l) > columns]}")
    return lines


@test("what is shown at the end fits a terminal of 80 by 24, the shell's line included")
def _():
    need_server()
    with work() as tmp, Faulty(tmp, "clear-auth", "clear-mail", "injection", "old-tls", "any-password", "relay", "legacy",
                               "twice", "star", "size-refused", "pipelining", "enhanced-missing", "any-identity",
                               "foreign", "second-auth", "argument", "tickets") as srv:
        words = [f"localhost:{srv.port}", "--ca", srv.ca, "--user", srv.user, "--password-file", srv.password_file,
                 "--certificate", srv.client[0], "--key", srv.client[1], "--source", "127.0.0.1", "--timeout", "8"]
        status, said = on_terminal(words)
        check(status == 3, f"{status}: {said}")
        shown = screen(said)
        check(len(shown) <= 23, f"{len(shown)} lines:\n" + "\n".join(shown))
        check("INSECURE" in shown[2] and re.search(r"and \d+ more", "\n".join(shown)), "\n".join(shown))
        check(re.search(r"(?m)^\d+ insecure, \d+ broken", "\n".join(shown)), "\n".join(shown))
    for words in (["nowhere.invalid"], [f"127.0.0.1:{free_port()}"]):
        check(len(screen(on_terminal(words)[1])) <= 23, "too long")


run()
