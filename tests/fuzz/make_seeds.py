#!/usr/bin/python3
"""make_seeds.py [NAME...] - write seeds/NAME.seeds again from what the tree holds.

Stories give dialogues, commands and replies; tests/corpora/own gives messages; openssl
gives certificates.  Lines behind "# by hand" in a file stay: inputs of crashes that were
found, and what no other file holds.
"""
import base64, re, subprocess, sys, tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
TESTS = HERE.parent
HAND = b"# by hand"
MOST = 8000  # octets of made seeds in one file; a corpus is to be small
LARGE = ("certificate", "client", "server")


def escape(octets):
    out = bytearray()
    for c in octets:
        if c in b"\\":
            out += b"\\\\"
        elif 32 <= c < 127:
            out.append(c)
        else:
            out += {13: b"\\r", 10: b"\\n", 9: b"\\t"}.get(c, b"\\x%02x" % c)
    if out[:1] == b"#":
        out[:1] = b"\\x23"
    return bytes(out)


def story_octets(text):
    """The escapes of stories/README.md."""
    def one(m):
        s = m[0]
        if s[1] == "x":
            return chr(int(s[2:4], 16))
        if s[1] == "*":
            n, what = re.match(r"\\\*(\d+)x?(.)", s).groups()
            return what * min(int(n), 64)
        return {"r": "\r", "n": "\n", "0": "\0", "t": "\t", "s": " "}.get(s[1], s[1])
    return re.sub(r"\\(?:x[0-9a-fA-F]{2}|\*\d+x?.|.)", one, text).encode("latin-1", "replace")


def stories(folder):
    for path in sorted((TESTS / "smtp" / folder).glob("*.story")):
        yield path, path.read_text().splitlines()


def client_lines():
    for _, lines in stories("stories"):
        for line in lines:
            if line.startswith("C: "):
                yield story_octets(line[3:])


def command():
    for line in client_lines():
        m = re.match(rb"(?i)(?:MAIL |RCPT )(.*)", line, re.S)
        if m:
            yield m[1]
        elif re.match(rb"(?i)EHLO ", line):
            yield line[5:]
    yield from (b"2027-12-31T23:59:59Z", b"1970-01-01T00:00:00+00:00", b"[IPv6:2001:db8::1]",
                b"[192.0.2.1]", b"a+2Bb+3D", b"-9", b'FROM:<@a.example,@b.example:"a b"@[192.0.2.1]>')


def params():
    rcpt = b":<c@d.example>"
    for line in client_lines():
        m = re.match(rb"(?i)MAIL FROM:(.*)", line, re.S)
        if m:
            yield m[1] + b"\n<c@d.example> NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;c+2Bd@d.example"
        m = re.match(rb"(?i)RCPT TO:(.*)", line, re.S)
        if m:
            yield b"<a@b.example> SIZE=10 BODY=8BITMIME\n" + m[1]
    yield (b"<a@b.example> BODY=BINARYMIME SMTPUTF8 RET=HDRS ENVID=x+3Dy AUTH=a+40b BY=60;RT "
           b"HOLDUNTIL=2026-11-23T00:00:00Z MT-PRIORITY=-3 REQUIRETLS\n" + rcpt[1:])
    yield b"<> AUTH=<> RET=FULL BY=-60;N HOLDFOR=60 MT-PRIORITY=9\n<Postmaster> NOTIFY=NEVER"


def reply():
    for _, lines in stories("cli_stories"):
        said = b"".join(story_octets(l[2:]) + b"\r\n" for l in lines if l.startswith("S "))
        if said:
            yield b"\0" + said[:400]


def ehlo():
    for _, lines in stories("cli_stories"):
        said = [l[6:] for l in lines if re.match(r"S 250[- ][A-Z]", l)]
        if len(said) > 1:
            yield "\n".join(said).encode()
    yield b"SIZE 10000000\nLIMITS RCPTMAX=500 MAILMAX=10\nAUTH=LOGIN PLAIN\nBINARYMIME\nREQUIRETLS\nDELIVERBY 60"


def data():
    yield from (b"Subject: x\r\n\r\nbody\r\n.\r\nQUIT\r\n", b"\r\n..\r\n...\r\n.x\r\n.\r\n",
                b"a\n.\nb\r\n.\r\n", b"a\r\n.\rb\r\n.\r\n", b"a\r.\r\n\r\n.\n\r\n.\r\n",
                b"a\0b\r\n.\r\n", b"\xff\xfe\r\n.\r\n", b"x" * 1000 + b"\r\n.\r\n", b".\r\n",
                b"a\r\r\n.\r\n", b"a\r\n.\r\r\n.\r\n")


def messages(prefix=b""):
    for path in sorted((TESTS / "corpora" / "own").glob("*.eml")):
        text = path.read_bytes()
        if len(text) < 900:
            yield prefix + re.sub(rb"\r?\n", b"\r\n", text)


def header():
    yield from messages()


def fixup():
    for flags in (b"\0", b"\x06"):
        yield from messages(flags)


def compose():
    for flags in (b"\0", b"\x03", b"\x04"):
        for text in messages(flags):
            yield text.replace(b"\r\n", b"\n")


def trace():
    for flags in (b"\0", b"\x1e", b"\x21"):
        yield (flags + b"client.example\nhost.example\n192.0.2.1\nmx.example.org\nid1\nTLSv1.3\n"
               b"TLS_AES_256_GCM_SHA384\nalice\nbob@example.net\n")
        yield flags + b"From: a@b\r\nTo: c@d\r\nSubject: x\r\n\r\nbody\r\n"
        yield flags + b"[x)(y\r\nBcc: z]\nA \"B\" \\C\n\xc3\xb6\n\x1b[2J\n+0D+0A\n\n\n\n<>\n"


def address():
    yield from (bytes([f]) + a for f in (0, 7) for a in (
        b"alice@example.org", b'"a b"@example.org', b'"\\a"@Example.ORG', b"@x.org,@y.org:a@b.c",
        b"a@[192.0.2.1]", b"a@[IPv6:2001:DB8::1]", b"postmaster", b"", b"\xc3\xb6@b\xc3\xbccher.example",
        b"*@example.org a@example.org", b"*-bounces@example.org x-bounces@example.org",
        b'G: a@b, "q\\"" <e@f>;, (c (d) e) g@h (x)', b"<@r.org,@s.org:z@[IPv6:::1]>, A. B <a@b>",
        b"a . b @ c . d", b"=?utf-8?q?=C3=B6?= <a@b>, ,", b"undisclosed-recipients:;"))


def sasl():
    gs2 = (b"n,,n=user,r=clinonce", b"y,,n=us=2Cer,r=abc", b"p=tls-exporter,,n=user,r=abc",
           b"n,a=bob,n=user,r=abc")
    for mech in range(4):
        for g in gs2:
            yield bytes([mech, 0]) + g + b"\nc=biws,r=clinoncesrvnonce,p=dGVzdA==\n"
        yield bytes([mech, 128]) + b"\nr=clinoncesrvnonce,s=MDEyMzQ1Njc4OWFiY2RlZg==,i=4096\nv=dGVzdA==\n"
        for how in (0xc0, 0xc4, 0xc1):
            yield bytes([mech, how])
            yield bytes([mech, how]) + b"\x80\x05A\x80\x06B\xc8\x01\xf0\x02C"
    yield b"\x04\x00\nuser 00112233445566778899aabbccddeeff\n"
    yield b"\x04\x80<1.2@mx.example.org>\n"
    yield b"\x04\xc0"


def scram():
    key = base64.b64encode(bytes(range(32)))
    yield b"SCRAM-SHA-256$16384:MDEyMzQ1Njc4OWFiY2RlZg==$" + key + b":" + key
    key = base64.b64encode(bytes(range(20)))
    yield b"SCRAM-SHA-1$4096:MDEyMw==$" + key + b":" + key
    yield from (b"user", b"us=2Cer=3D", b"r=abc,s=QUJD,i=4096", b"I\xc2\xadX", b"\xc2\xaa",
                b"\xe2\x85\xa8", b"\xd8\xa71", b"a=1,b=2,m=3", "pa\u00dfw\u00f6rd".encode())


def oneshot():
    seen = set()
    for line in client_lines():
        for word in line.split():
            try:
                octets = base64.b64decode(word, validate=True)
            except ValueError:
                continue
            if len(octets) > 4 and octets not in seen:
                seen.add(octets)
                yield octets
    yield b"alice\nbob\nsecret"


def varint(n):
    out = bytearray()
    while n > 127:
        out.append(n & 127 | 128)
        n >>= 7
    return bytes(out) + bytes([n])


def pb(*fields):
    """Protobuf: (number, octets or int)."""
    out = b""
    for number, value in fields:
        if isinstance(value, int):
            out += varint(number << 3) + varint(value)
        else:
            out += varint(number << 3 | 2) + varint(len(value)) + value
    return out


def proto_field(message, field):
    text = (TESTS.parent / "src" / "ipc" / "sallyport.proto").read_text()
    body = re.search(rf"^message {message} \{{(.*?)^\}}", text, re.S | re.M)[1]
    return int(re.search(rf"\b{field} = (\d+);", body)[1])


def fields(message, **values):
    pairs = []
    for name, value in values.items():
        for v in value if isinstance(value, list) else [value]:
            pairs.append((proto_field(message, name), v))
    return pb(*pairs)


def envelope(cuts=True):
    rcpt = [fields("Recipient", address=a, notify=6) for a in (b"c@d.example", b"e@f.example")]
    return fields("Envelope", version=1, reverse_path=b"a@b.example", rcpt=rcpt, header_size=60,
                  content_size=100, cut=[fields("Cut", offset=10, length=5),
                                         fields("Cut", offset=20, length=1)] if cuts else [],
                  helo=b"client.example", message_id=b"<1@x>")


def stored():
    state = fields("JobState", rcpt=[fields("RcptState", index=0), fields("RcptState", index=1, status=1)])
    for e in (envelope(), envelope(False)):
        total = len(e) + len(state)
        yield bytes([40, 0]) + e
        yield bytes([0, -(-len(state) * 255 // total)]) + state + e


def frame():
    names = re.findall(r"X\(SP_MSG_\w+,\s+(\w+),\s+(\w+),\s+(\w+),", (TESTS.parent / "src/ipc/frame.h").read_text())
    roles = ["NONE", "SUPERVISOR", "SERVER", "AUTH", "QUEUE", "DELIVERY", "LOCAL", "FILTER", "AUTHHELPER", "CONTROL"]
    for i, (name, sender, to) in enumerate(names, 1):
        me, peer = roles.index(to), roles.index(sender)
        me, peer = me or 4, peer or 4
        meta = fields("Submit", envelope=envelope()) if name == "submit" else b""
        yield bytes([me, peer, 0, 1, i, len(meta), 0]) + meta
    yield bytes([4, 2, 2, 3, 1, 2, 3]) + b"\x08\x01abc"
    yield bytes([4, 2, 1]) + b"\0" * 12 + b"1VPS"


def config():
    yield b""
    yield (b"hostname = mx.example.org\nlistener a {\n    address = *:587 [::1]:2587\n    tls = starttls\n"
           b"    auth-tls = PLAIN LOGIN\n    message-size = 10M\n}\nroute x {\n    match = *.example.org\n"
           b"    to = smarthost\n    host = mx.example.net\n}\n")
    yield b"tls a { certificate = a.pem\n key = b.pem\n}\nlistener b { address = *:465\n tls = implicit\n certificate = a\n}\n"
    yield b'log-level = debug # x\nretry-intervals = 1m 5m 1h\nlocal-domains = a.example "b.example"\n'
    for line in (TESTS / "config" / "errors.txt").read_text().splitlines():
        if "=" in line and len(line) < 60:
            yield line.strip().encode() + b"\n"


def accounts():
    yield (b"account default {\n    server = smtp://mail.example.org\n    user = alice\n"
           b'    password-command = "pass show \\"x\\""\n    no-tls = yes\n    ca = ~/ca.pem # c\n}\n')
    yield (b"defaults\ntls on\ntls_starttls off\ntls_trust_file ~/ca.pem\naccount a\nhost mail.example.org\n"
           b"port 465\nfrom a@b\nuser alice\npassword hunter2hunter2\nauth scram-sha-256\naccount b : a\n"
           b"host other\naccount default : b\n")
    yield b'account x\nhost "h"\npasswordeval "gpg -d x"\ntls_fingerprint AA:BB\nproxy_host 127.0.0.1\nproxy_port 9050\ntimeout off\nprotocol lmtp\n'


def certificate():
    san = ("email:alice@example.org", "URI:spiffe://example.org/bob", "DNS:a.example,IP:127.0.0.1",
           "otherName:1.3.6.1.5.5.7.8.9;UTF8:alice@example.org", "email:a@b,email:c@d", "")
    with tempfile.TemporaryDirectory() as tmp:
        for i, names in enumerate(san):
            argv = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                    "-keyout", f"{tmp}/key", "-out", f"{tmp}/der", "-outform", "DER", "-subj",
                    "/CN=carol" if not names else "/CN=x", "-days", "9000", "-set_serial", "1"]
            if names:
                argv += ["-addext", f"subjectAltName={names}"]
            subprocess.run(argv, check=True, capture_output=True)
            der = Path(tmp, "der").read_bytes()
            yield b"\x01" + der
            if i == 0:
                yield b"\x00" + der
                yield b"\x03" + der


def netaddr():
    yield from (b"192.0.2.1:587", b"[2001:db8::1]:587", b"*:25", b"::1", b"[::ffff:192.0.2.1]", b"[::1%lo]:1", b"1.2.3.4")


def text():
    yield from (b"QUJD", b"QUI=", b"QQ==", b"00ff", b"18446744073709551615", b"\xc3\xb6\xe2\x82\xac\xf0\x9f\x98\x80",
                b"\xed\xa0\x80", b"\xc2\x9b", b"a,b,,c", b' \t"\\\x1b[2J ')


def log():
    yield b"\0\0alice\nno such user\n192.0.2.1"
    yield b"\x03\x05a b=\"c\"\n\x1b[2J\xc2\x9b\n\xff\xc3\xb6"
    yield b"\x01\x10" + b"\n".join(b"\xff" * 300 for _ in range(6))


def server():
    """Stories as scripts of f_server.c."""
    for path, lines in stories("stories"):
        out, policy = [], b"0"
        for line in lines:
            if line.startswith("server"):
                policy = (b"1" if "implicit-tls" in line else b"2" if "kind=lmtp" in line else
                          b"3" if "kind=local" in line else b"4" if "certs=required" in line else
                          b"5" if "no-login" in line else b"0")
            elif line.startswith("C: ") or line == "C:":
                out.append(b"C" + story_octets(line[3:]).replace(b"\n", b"\nl"))
            elif line.startswith("C- "):
                out.append(b"c" + story_octets(line[3:]).replace(b"\n", b"\nl"))
            elif re.match(r"S[:~]", line):
                if out and out[-1] != b".":
                    out.append(b".")
            elif line.startswith("! "):
                w = line[2:].split()
                if w[0] == "tls":
                    out.append(b"T" + {"none": b"n", "fail": b"f", "binding": b"b"}.get(
                        w[1], b"u" if w[1] == "usable" else b"x"))
                elif w[0] == "gone":
                    out.append(b"g")
                elif w[0] == "expire":
                    out.append(b"e")
                elif w[0] == "drain":
                    out.append(b"d")
                elif w[0] == "auth":
                    out.append(b"A" + {"ok": b"a", "fail": b"n", "weak": b"k", "temporary": b"t",
                                       "syntax": b"s", "challenge": b"c"}.get(w[1], b"a"))
                elif len(w) > 1 and w[1][0] in "45":
                    out.append(b"A" + (b"x" if w[1] == "421" else b"t" if w[1][0] == "4" else b"n"))
        script = policy + b"\n" + b"\n".join(out)
        if len(script) < 420:
            yield script


def client():
    """Stories as scripts of f_client.c."""
    for path, lines in stories("cli_stories"):
        out, policy = [], b"0"
        for line in lines:
            w = line.split()
            if out and out[-1][:1] == b"S" and w and w[0] not in ("S", "#"):
                out.append(b".")
            if line.startswith("options"):
                policy = (b"6" if "tls=implicit" in line else b"8" if "opportunistic" in line else
                          b";" if "lmtp" in line else b"9" if "tls=none" in line else
                          b"3" if "cert" in line and "password" in line else
                          b"2" if "cert" in line else b"1" if "password" in line else b"0")
            elif line.startswith("S "):
                out.append(b"S" + story_octets(line[2:]).replace(b"\n", b"\nl"))
            elif w[:1] == ["tls"]:
                out.append(b"T" + {"verified": b"v", "unverified": b"u"}.get(w[1], b"f"))
                if "cert" in w:
                    out[-1] = out[-1].upper()
            elif w[:1] == ["mail"]:
                out.append(b"Um")
            elif w[:1] == ["end"]:
                out.append(b"Ub")
            elif w[:1] == ["quit"]:
                out.append(b"Uq")
            elif w[:1] == ["token"]:
                out.append(b"Aa")
            elif w[:1] == ["cancel"]:
                out.append(b"Ac")
            elif w[:1] == ["gone"]:
                out.append(b"g")
        script = policy + b"\n" + b"\n".join(out)
        if len(script) < 700:
            yield script


def write(name):
    path = HERE / "seeds" / f"{name}.seeds"
    old = path.read_bytes() if path.exists() else b""
    kept = old[old.index(HAND):] if HAND in old else HAND + b"\n"
    made, total = [], 0
    for octets in globals()[name]():
        line = escape(octets)
        if line not in made and total + len(line) <= MOST * (2 if name in LARGE else 1):
            made.append(line)
            total += len(line)
    path.write_bytes(b"# made by make_seeds.py\n" + b"\n".join(made) + b"\n" + kept)
    print(f"{name}: {len(made)} seeds, {total} octets")


if __name__ == "__main__":
    names = sys.argv[1:] or [p.stem[2:] for p in sorted(HERE.glob("f_*.c"))]
    for n in names:
        write(n)
