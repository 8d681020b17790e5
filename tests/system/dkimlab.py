"""dkimlab.py - three verifiers of DKIM signatures that are not ours: dkimpy, OpenDKIM and npm's mailauth.

    verified(tmp, octets, {"k1._domainkey.example.org": "v=DKIM1; ..."})     {"k1": True}

A verifier that is missing is left out; all that are there must say the same."""
import json

from harness import *
import clients


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


VERIFIERS = {"dkimpy": Dkimpy, "OpenDKIM": OpenDKIM, "mailauth": Mailauth}


def verified(tmp, octets, records):
    """By every verifier that is here: each must say the same."""
    f = tmp / "delivered.eml"
    f.write_bytes(re.sub(rb"\r?\n", b"\r\n", octets))
    said = {}
    for name, make in VERIFIERS.items():
        with contextlib.suppress(Skipped):
            said[name] = next(iter(make().verify(tmp, [f], records)))
    first = said.pop("OpenDKIM", None)  # it stops at the first good one
    if not said:
        skip("no verifier is installed")
    got = next(iter(said.values()))
    check(all(s == got for s in said.values()), f"the verifiers differ: {said}")
    check(first is None or first and first.items() <= got.items(), f"OpenDKIM: {first}, others {got}")
    return got


def own_key(tmp, selector):
    """(the section, the record) of a new key of ours for example.org."""
    out = call([SALLYPORT, "cert", "dkim", "example.org", "--selector", selector, "--out", tmp / f"{selector}.pem", "--data", tmp])
    return out[out.index("dkim "):], "".join(re.findall(r'"([^"]*)"', out.splitlines()[0]))
