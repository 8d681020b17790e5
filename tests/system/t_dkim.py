#!/usr/bin/python3
# sets: default
# timeout: 600
"""DKIM: our signatures, verified by three programs that are not ours: dkimpy, OpenDKIM and
npm's mailauth.  A verifier that is missing is a check that is skipped, with its name."""
import itertools, json
from harness import *
import clients

BUILD = os.environ.get("SALLYPORT_BUILD", "")
CORPUS = ROOT / "tests/corpora/own"


def record_name(selector, domain="example.org"):
    return f"{selector}._domainkey.{domain}"


class Dkimpy:
    def __init__(self):
        try:
            import dkim
        except ImportError:
            skip("python3-dkim is not installed")
        self.dkim = dkim

    def verify(self, tmp, files, records):
        """For each file what became of each signature, from the top: selector to truth."""
        def txt(name, timeout=5):
            name = name.decode() if isinstance(name, bytes) else name
            return records.get(name.rstrip("."), "").encode() or None
        for f in files:
            d = self.dkim.DKIM(Path(f).read_bytes())
            count = sum(1 for k, _ in d.headers if k.lower() == b"dkim-signature")
            found = {}
            for i in range(count):
                d = self.dkim.DKIM(Path(f).read_bytes())
                try:
                    good = d.verify(idx=i, dnsfunc=txt)
                except self.dkim.DKIMException as e:
                    good = str(e)
                found[d.signature_fields[b"s"].decode()] = good
            yield found


class OpenDKIM:
    def __init__(self):
        self.program = shutil.which("opendkim") or (os.path.exists("/usr/sbin/opendkim") and "/usr/sbin/opendkim")
        if not self.program:
            skip("opendkim is not installed")

    def verify(self, tmp, files, records):
        (tmp / "keys").write_text("".join(f"{n} {v}\n" for n, v in records.items()))
        (tmp / "conf").write_text(f"Mode v\nTestPublicKeys {tmp}/keys\nSyslog no\nRequireSafeKeys no\n")
        for f in files:
            out = call([self.program, "-x", tmp / "conf", "-t", f], ok=range(256))
            yield {s: r == "succeeded" or r for s, r in re.findall(r"verification \(s=([\w-]+)[^)]*\) (.+)", out)}


class Mailauth:
    def __init__(self):
        self.modules = clients.node_modules()

    def verify(self, tmp, files, records):
        (tmp / "records.json").write_text(json.dumps(records))
        out = call(["node", HERE / "node/verify.js", tmp / "records.json"], env={"NODE_PATH": str(self.modules)},
                   stdin="".join(f"{f}\n" for f in files).encode())
        for line in out.splitlines():
            yield {r.get("selector"): r["result"] == "pass" or f"{r['result']} {r['comment']}"
                   for r in json.loads(line)["results"]}


# OpenDKIM reads messages as a milter does: without the blanks in front of a value, which
# the simple form of a header counts.  Its test mode loses a last line without an end.
CANNOT = {("OpenDKIM", "simple"): {"blanks.eml", "folds.eml", "empty-values.eml", "empty-fields.eml",
                                   "no-last-line-end.eml"},
          ("OpenDKIM", "relaxed"): {"no-last-line-end.eml"}}
VERIFIERS = {"dkimpy": Dkimpy, "OpenDKIM": OpenDKIM, "mailauth": Mailauth}

# What canonical forms are about; every message has From.
TRICKY = {
    "empty body": b"From: a@example.org\r\nSubject: x\r\n\r\n",
    "blanks": b"From:  a@example.org \r\nSubject:\t a  b\t\r\n c \r\nTo:b@example.org\r\n\r\n a \t b \r\n \t\r\nc\r\n\r\n \r\n\r\n",
    "no last line end": b"From: a@example.org\r\n\r\nlast",
    "twice": b"X-Twice: 1\r\nFrom: a@example.org\r\nX-Twice: 2\r\ncomments: one\r\nComments: two\r\n\r\nbody\r\n",
    "8bit": "From: a@example.org\r\nSubject: gr\u00fc\u00df\r\n\r\nk\u00f6rper \u2028\r\n".encode(),
    "long": b"From: a@example.org\r\nSubject: " + b"x" * 900 + b"\r\n\r\n" + b"y" * 990 + b"\r\n" * 3000 + b"z\r\n",
    "empty values": b"From: a@example.org\r\nSubject:\r\nComments: \r\nTo:\t\r\n\r\n\r\n\r\nx\r\n",
}


def keys(tmp):
    if not shutil.which("openssl"):
        skip("openssl is not installed")
    call(["openssl", "genrsa", "-out", tmp / "rsa.pem", "2048"])
    call(["openssl", "genpkey", "-algorithm", "ed25519", "-out", tmp / "ed.pem"])
    return {"rsa": tmp / "rsa.pem", "ed": tmp / "ed.pem"}


def messages(tmp):
    """Messages with CRLF line ends and a From field, as a server would have them."""
    out = []
    for name, text in TRICKY.items():
        out.append(tmp / (name.replace(" ", "-") + ".eml"))
        out[-1].write_bytes(text)
    for f in sorted(CORPUS.glob("*.eml")):
        text = re.sub(rb"\r?\n", b"\r\n", f.read_bytes())
        header = text.split(b"\r\n\r\n")[0]
        sound = all(re.fullmatch(rb"([!-9;-~]+:|[ \t])[^\r\n]*", line) for line in header.split(b"\r\n"))
        if sound and b"\r\n\r\n" in text and len(re.findall(rb"^from:", header, re.I | re.M)) == 1 \
           and b"DKIM-Signature" not in header:
            out.append(tmp / f.name)
            out[-1].write_bytes(text)
    return out


def sign(helper, key, selector, canon, files):
    done = call([helper, key, "example.org", selector, *canon], stdin="".join(f"{f}\n" for f in files).encode())
    return done.splitlines()[0]


def against(name):
    @test(f"{name} accepts RSA and Ed25519 in all four canonical forms, and refuses what was altered")
    def _():
        helper = Path(BUILD) / "tests/message/message_dkim"
        if not BUILD or not helper.exists():
            skip("needs a build folder: run it by ./run-tests")
        verifier = VERIFIERS[name]()
        with work() as tmp:
            made, all_files = keys(tmp), messages(tmp)
            check(len(all_files) > 12, all_files)
            for (kind, key), canon in itertools.product(made.items(), itertools.product(("simple", "relaxed"), repeat=2)):
                files = [f for f in all_files if f.name not in CANNOT.get((name, canon[0]), ())]
                record = sign(helper, key, kind, canon, files)
                signed = [f"{f}.signed" for f in files]
                altered = [alter(f) for f in signed[:3]]
                records = {record_name(kind): record}
                for f, got in zip(signed, verifier.verify(tmp, signed, records), strict=True):
                    check(got == {kind: True}, f"{name} on {f}, {kind}, {canon}: {got}")
                for f, got in zip(altered, verifier.verify(tmp, altered, records), strict=True):
                    check(got.get(kind) is not True, f"{name} accepts the altered {f}, {kind}, {canon}")


def alter(f):
    """A field added that was oversigned: a signature must not survive that."""
    text = Path(f).read_bytes()
    Path(f"{f}.bad").write_bytes(b"From: other@example.org\r\n" + text)
    return f"{f}.bad"


for which in VERIFIERS:
    against(which)

run()
