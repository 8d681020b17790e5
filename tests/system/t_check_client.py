#!/usr/bin/python3
# sets: default
# timeout: 900
"""`sallyport check --client`: our own client has no fault in it, a deliberately bad one
has all of them, and what is found of some programs stays what it was (golden/client-*).

A golden file lists findings above "good", one a line; each was checked by hand against the
program's manual and against dialogues.  To write them anew after a look at the difference:

    CHECK_GOLDEN=write ./run-tests check_client
"""
import json, re
from harness import *

GOLDEN = HERE / "golden"
CATALOGUE = (ROOT / "src/check/cat_client.h").read_text()
BAD = [PYTHON, HERE / "bad_client.py"]
COMMON = ["{host}", "{port}", "{ca}", "{user}", "{password-file}", "{from}", "{to}", "{to2}"]
NOBODY = ["{host}", "{port}", "{ca}", "-", "-", "{from}", "{to}", "{to2}"]


def rows(severity):
    """Ids of the catalogue's findings about clients."""
    return set(re.findall(r'\.id = "([a-z0-9-]+)", \.check = SP_C_\w+,\s+\.severity = SP_SEV_'
                          + severity, CATALOGUE))


def check_client(command, *options, seconds=600, ok=(0, 1, 2, 3)):
    """What the run found: {id: [facts, ...]} of all above "good", and the whole report."""
    need_server()
    if SALLYPORT == "standin":
        skip("this is about the program")
    text = call([SALLYPORT, "check", "--client", "--json", *options, "--", *command],
                seconds=seconds, ok=ok)
    report = json.loads(text[text.index("{"):])
    found = {}
    for f in report["findings"]:
        if f["severity"] != "good":
            found.setdefault(f["id"], []).append(f["facts"])
    return found, report


def bad(sins, *options, login=True, certificate=False):
    command = [*BAD, sins, *(COMMON if login else NOBODY)]
    if certificate:
        command = ["env", "CERT={cert}", "KEY={key}", *command]
    return check_client(command, *options)[0]


# ---- ourselves ----

def ours(*login):
    return [SALLYPORT, "send", "--server", "smtp://{host}:{port}", "--ca", "{ca}", *login,
            "--from", "{from}", "--to", "{to}", "--to", "{to2}"]


PASSWORD = ["--user", "{user}", "--password-file", "{password-file}"]
CERTIFICATE = ["--certificate", "{cert}", "--key", "{key}"]


def no_fault(command):
    found, report = check_client(command, ok=(0,))
    worse = [f for f in report["findings"] if f["severity"] not in ("good", "advice")]
    check(not worse, f"our own client: {worse}")
    return report


@test("our own client, with a password over STARTTLS, has nothing above advice")
def _():
    report = no_fault(ours(*PASSWORD))
    check(any(f["id"] == "ordinary-delivered" for f in report["findings"]), "nothing sent")


@test("our own client with certificate and password has nothing above advice")
def _():
    no_fault(ours(*PASSWORD, *CERTIFICATE))


@test("our own client with a certificate alone has nothing above advice")
def _():
    no_fault(ours(*CERTIFICATE))


@test("our own client with implicit TLS has nothing above advice")
def _():
    command = [w.replace("smtp://{host}:{port}", "smtps://{host}:{tls-port}")
               for w in map(str, ours(*PASSWORD))]
    no_fault(command)


# ---- the bad client ----

# sins, options of check, what must be found
SINS = [
    ("clear,anonymous", ["--only", "C01"], {"starttls-not-used"}),
    ("optional", ["--case", "stripped"], {"secret-in-clear", "text-in-clear"}),
    ("optional,login", ["--case", "stripped"], {"secret-in-clear"}),
    ("optional", ["--case", "downgrade"], {"secret-in-clear"}),
    ("optional", ["--case", "starttls-454"], {"secret-in-clear"}),
    ("optional", ["--case", "challenge-stripped"], {"challenge-in-clear"}),
    ("optional,helo-fallback", ["--case", "ehlo-unknown"], {"text-in-clear"}),
    ("come-back-clear", ["--case", "handshake-junk"], {"secret-in-clear"}),
    ("believe", ["--case", "injection"], {"injection-believed"}),
    ("any-name", ["--case", "cert-wrong-name"], {"wrong-name-accepted"}),
    ("any-certificate", ["--case", "cert-untrusted"], {"untrusted-accepted"}),
    ("any-time", ["--case", "cert-expired"], {"expired-accepted"}),
    ("any-signature", ["--case", "scram-bad-signature"], {"scram-signature-unchecked"}),
    ("any-signature", ["--case", "scram-no-signature"], {"scram-signature-unchecked"}),
    ("no-stuffing", ["--case", "dots"], {"command-from-message"}),
    ("raw,no-stuffing", ["--case", "bare-line-ends"], {"smuggling-passed-on", "bare-line-end"}),
    ("claim-success", ["--case", "refused-for-good@dot"], {"success-claimed"}),
    ("claim-success", ["--case", "421@mail"], {"success-claimed"}),
    ("no-reply,no-quit", ["--case", "disconnect@dot"], {"success-claimed-unknown"}),
    ("quit-matters", ["--case", "disconnect@quit"], {"failure-claimed"}),
    ("crash", ["--only", "C01"], {"client-crashed", "ordinary-not-delivered"}),
    ("hang", ["--only", "C01", "--timeout", "3"], {"client-hangs"}),
    ("no-ehlo", ["--case", "ehlo-after-starttls"], {"no-ehlo-after-starttls"}),
    ("stale-mechanism", ["--case", "caps-clear-only"], {"stale-mechanism"}),
    ("size-if-listed", ["--case", "caps-clear-only"], {"stale-extension"}),
    ("helo-fallback", ["--case", "ehlo-refused-tls"], {"helo-mail-inside-tls"}),
    ("helo-fallback,no-greeting", ["--case", "ehlo-refused-tls"], {"mail-without-greeting"}),
    ("no-equals", ["--case", "auth-legacy"], {"legacy-auth-line-unread"}),
    ("first-mechanism", ["--case", "auth-odd-lines"], {"auth-line-misread"}),
    ("mail-anyway", ["--case", "login-refused"], {"mail-after-refused-login"}),
    ("external-if-listed", ["--case", "external-uninvited"], {"external-without-certificate"}),
    ("starttls-again,mail-anyway", ["--case", "530-inside-tls"], {"starttls-inside-tls"}),
    ("split", ["--case", "slow-replies"], {"split-replies-unmanaged"}),
    ("single-line", ["--case", "multiline-replies"], {"multiline-replies-unmanaged"}),
    ("-", ["--case", "long-reply-line"], {"long-reply-line-unmanaged"}),
    ("endless", ["--case", "endless-greeting"], {"endless-reply-read"}),
    ("hide-refusals", ["--case", "recipient-refused"], {"partial-refusal-hidden"}),
    ("cut", ["--only", "C01"], {"message-cut"}),
    ("change", ["--only", "C01"], {"message-changed"}),
    ("bare-lf-data", ["--only", "C01"], {"end-of-data-bare-lf", "bare-line-end"}),
    ("-", ["--only", "C18"], {"nul-sent", "long-line-sent"}),
    ("-", ["--only", "C19"], {"8bit-not-offered", "utf8-address-not-offered"}),
    ("size", ["--case", "plain-server"], {"parameter-not-offered"}),
    ("bdat", ["--only", "C01"], {"bdat-not-offered"}),
    ("pipeline-ehlo", ["--only", "C01"], {"pipelined-not-offered"}),
    ("talk-first", ["--only", "C01"], {"talks-first"}),
    ("no-name,blank,no-quit", ["--only", "C01"], {"ehlo-without-name", "blank-before-path",
                                                  "no-quit"}),
    ("no-brackets,bare-lf-command", ["--only", "C01"], {"no-angle-brackets",
                                                        "command-bare-lf"}),
    ("helo,unlisted", ["--only", "C01"], {"helo-after-starttls", "mechanism-not-offered"}),
]
# With a certificate: the client's own, and no password.
CERTIFIED = [
    ("certificate,anonymous", ["--case", "external-explicit"], {"external-not-spoken"}),
    ("certificate,external", ["--case", "certificate-implicit"], {"implicit-not-tried"}),
    ("certificate,external", ["--case", "certificate-hides-auth"], {"auth-gone-unmanaged"}),
    ("certificate,external", ["--case", "external-334"], {"external-334-unmanaged"}),
]
# Nothing made in seconds can show these: see the sentence.
UNSEEN = {
    "waits-for-ever": "takes five and a half minutes",
    "helo-inside-tls": "the golden files have it (msmtp)",
}


@test("the bad client without a sin has nothing above advice but what its author left out")
def _():
    found, _ = check_client([*BAD, "-", *COMMON])
    left_out = {"nul-sent", "8bit-not-offered", "utf8-address-not-offered"}
    worse = set(found) & (rows("INSECURE") | rows("BROKEN") | rows("INTEROP"))
    check(worse == left_out, f"{worse}")


@test("every sin is found, and every finding about clients has its sin")
def _():
    missed, seen = [], set()
    for sins, options, wanted in SINS:
        found = set(bad(sins, *options))
        seen |= found
        if not wanted <= found:
            missed.append(f"{sins} {options}: {wanted - found} not in {found}")
    for sins, options, wanted in CERTIFIED:
        found = set(bad(sins, *options, login=False, certificate=True))
        seen |= found
        if not wanted <= found:
            missed.append(f"{sins} {options}: {wanted - found} not in {found}")
    check(not missed, "\n    ".join(["not found:", *missed]))
    every = rows("INSECURE") | rows("BROKEN") | rows("INTEROP") | rows("ADVICE")
    check(len(every) > 50, f"only {len(every)} rows could be read")
    check(every - seen == set(UNSEEN), f"never found: {every - seen - set(UNSEEN)}; "
          f"found though listed: {set(UNSEEN) & seen}")


@test("the password and its encodings are in no report")
def _():
    with work() as tmp:
        note = tmp / "password"
        page = tmp / "report.html"
        script = f"cat '{{password-file}}' >{note}; exec \"$0\" \"$@\""
        command = ["sh", "-c", script, *BAD, "optional", *COMMON]
        _, report = check_client(command, "--only", "C04", "--html", page)
        secret = note.read_text().strip()
        check(len(secret) > 20, "no password was given")
        import base64
        for text in (json.dumps(report), page.read_text()):
            for form in (secret, *(base64.b64encode(b"\0" * n + secret.encode()).decode()[4:-8]
                                   for n in range(3))):
                check(form not in text, "the password is in the report")
        check("[hidden]" in json.dumps(report), "nothing was hidden")


# ---- how it runs a command ----

@test("a command that never connects is a failure of the check, with the command's words")
def _():
    need_server()
    text = call([SALLYPORT, "check", "--client", "--", "sh", "-c", "echo no such host >&2; exit 1"],
                ok=(69,))
    check("never connected" in text and "no such host" in text, text)


@test("a command that cannot be run is said so")
def _():
    need_server()
    text = call([SALLYPORT, "check", "--client", "--", "/nonexistent/mailer"], ok=(69,))
    check("/nonexistent/mailer" in text, text)


@test("Ctrl-C ends the run, the command and what it started, with what was found so far")
def _():
    need_server()
    with work() as tmp:
        pids = tmp / "pids"
        p = Process("check", [SALLYPORT, "check", "--client", "--", "sh", "-c",
                              f"sleep 600 & echo $! $$ >{pids}; wait"], tmp / "log")
        wait_until(lambda: pids.exists() and pids.read_text().split(), 20, "the command")
        p.stop(signal.SIGINT)
        for pid in pids.read_text().split():
            wait_until(lambda: not os.path.exists(f"/proc/{pid}") or
                       " Z " in Path(f"/proc/{pid}/stat").read_text(), 10, f"the end of {pid}")


@test("a story of one's own is played")
def _():
    with work() as tmp:
        (tmp / "mine.story").write_text(
            "# the server is a teapot: nothing is sent\n"
            "server check=C16\n"
            "C: (tls) MAIL\nS: 550 5.3.0 I am a teapot\n"
            "= success-claimed: failure !delivered | {when}\n")
        found, report = check_client([*BAD, "-", *COMMON], "--stories", tmp)
        check(found == {"success-claimed": [["the server is a teapot"]]}, f"{found}")


@test("a program with windows is told what to do, and is graded by its visits")
def _():
    need_server()
    with work() as tmp:
        port, out = free_port(), tmp / "report.json"
        p = Process("check", ["sh", "-c", f'exec "$0" check --client --json --listen {port} '
                              f'--only C02 >{out}', SALLYPORT], tmp / "log")
        wait_until(lambda: "let the program send" in p.output(), 20, "what to do")
        shown = dict(re.findall(r"^ +(password|authority) +(\S+)", p.output(), re.M))
        send = [*BAD, "-", "localhost", port, shown["authority"], "prober", shown["password"],
                "prober@check.test", "someone@check.test"]
        for n in (1, 2):
            wait_until(lambda: p.output().count("let the program send") >= n or
                       not p.running(), 30, "the next case")
            call(send, stdin=b"Subject: x\r\n\r\nhello\r\n", ok=(0, 1))
        wait_until(lambda: not p.running(), 30, "the end")
        report = json.loads(out.read_text())
        check("ehlo-after-starttls" in [f["id"] for f in report["findings"]], f"{report}")
        check("message-cut" not in [f["id"] for f in report["findings"]],
              "what a person writes is held against the message of the run")


# ---- programs of others ----

SMTPLIB = """\
import smtplib, ssl, sys
host, port, ca, user, password, sender, path, *to = sys.argv[1:]
with smtplib.SMTP(host, int(port), timeout=15) as s:
    s.starttls(context=ssl.create_default_context(cafile=ca))
    s.login(user, open(password).read().strip())
    refused = s.sendmail(sender, to, open(path, "rb").read())
sys.exit(1 if refused else 0)
"""
PROGRAMS = {
    "smtplib": [PYTHON, "-c", SMTPLIB, "{host}", "{port}", "{ca}", "{user}", "{password-file}",
                "{from}", "{message-crlf}", "{to}", "{to2}"],
    "curl": ["curl", "-sS", "--ssl-reqd", "--cacert", "{ca}", "--user", "{user}:{password}",
             "--mail-from", "{from}", "--mail-rcpt", "{to}", "--mail-rcpt", "{to2}", "--crlf",
             "--upload-file", "{message}", "--max-time", "15",
             "smtp://{host}:{port}/client.check.test"],
    "curl-optional": ["curl", "-sS", "--ssl", "--cacert", "{ca}", "--user", "{user}:{password}",
                      "--mail-from", "{from}", "--mail-rcpt", "{to}", "--crlf", "--upload-file",
                      "{message}", "--max-time", "15", "smtp://{host}:{port}/client.check.test"],
    "msmtp": ["msmtp", "--file=/dev/null", "--host={host}", "--port={port}", "--tls=on",
              "--tls-starttls=on", "--tls-trust-file={ca}", "--auth=on", "--user={user}",
              "--passwordeval=cat {password-file}", "--from={from}", "--timeout=15", "--",
              "{to}", "{to2}"],
    "swaks": ["swaks", "--server", "{host}", "--port", "{port}", "--tls", "--tls-verify",
              "--tls-ca-path", "{ca}", "--auth", "--auth-user", "{user}", "--auth-password",
              "{password}", "--from", "{from}", "--to", "{to},{to2}", "--data", "@{message}",
              "--helo", "client.check.test", "--timeout", "15"],
}


def golden(name, command):
    if not shutil.which(command[0]):
        skip(f"{command[0]} is not installed")
    _, report = check_client(command)
    lines = sorted(f"{f['severity']} {f['id']}" + "".join(f" | {x}" for x in f["facts"])
                   for f in report["findings"] if f["severity"] != "good"
                   # how far it gets with an endless reply is a matter of its speed
                   and f["id"] != "endless-reply-read")
    got, path = "".join(l + "\n" for l in lines), GOLDEN / f"client-{name}.txt"
    if os.environ.get("CHECK_GOLDEN") == "write":
        path.parent.mkdir(exist_ok=True)
        note = [l for l in path.read_text().splitlines(True) if l.startswith("#")] \
            if path.exists() else []
        path.write_text("".join(note) + got)
    want = "".join(l for l in path.read_text().splitlines(True) if not l.startswith("#"))
    check(got == want, f"{path.name} says\n{want}\nbut now it is\n{got}")


for name, command in PROGRAMS.items():
    test(f"{name}: what is found is what was checked by hand")(
        lambda name=name, command=command: golden(name, command))

run()
