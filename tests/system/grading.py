"""grading.py - `sallyport check --client` run on our own client, on a deliberately bad one
(bad_client.py) and on programs of others: for t_check_client.py, the sample that every
change has to pass, and t_check_client_all.py, the whole.
"""
import json, re
from concurrent.futures import ThreadPoolExecutor

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


def played(rows, certified):
    """What each row of SINS and CERTIFIED should have led to and did not; all that was found."""
    missed, seen = [], set()

    def one(row):
        (sins, options, wanted), how = row
        found = set(bad(sins, *options, **how))
        seen.update(found)
        if not wanted <= found:
            missed.append(f"{sins} {options}: {wanted - found} not in {found}")
    with ThreadPoolExecutor(2) as pool:  # they wait more than they compute
        list(pool.map(one, [*((r, {}) for r in rows),
                            *((r, {"login": False, "certificate": True}) for r in certified)]))
    return missed, seen


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
