#!/usr/bin/python3
"""Messages of others, seen by parsers that are not ours before and after our fix-up.

    t_corpora.py HELPER DIRECTORY            the messages in DIRECTORY
    t_corpora.py HELPER --collect COLLECT    those that COLLECT gathers, kept in the cache

HELPER is message_fix (see there).  Python's email package and Perl's Email::MIME must each
see the same message before and after: the same fields but for Bcc and Return-Path, empty Date and Message-ID,
and what we add in front; the same parts with the same octets.  A message that carries a
signature must come out octet for octet.
"""
import email, email.policy, email.utils, json, os, re, subprocess, sys, tempfile
from pathlib import Path

PERL = Path(__file__).resolve().parent / "email_mime.pl"
LEFT_OUT = {"bcc", "resent-bcc", "return-path"}
results = {"passed": 0, "failed": 0}
wrong = []


def check(name, ok, why):
    if not ok:
        wrong.append(f"{name}: {why}")
    return ok


def parse(octets):
    return email.message_from_bytes(octets, policy=email.policy.compat32)


def fields(msg):
    """Names and raw values, line ends as one."""
    return [(k, str(v).replace("\r\n", "\n")) for k, v in msg.raw_items()]


def parts(msg):
    """Every leaf's octets and every container's type."""
    out = []
    for p in msg.walk():
        body = p.get_payload(decode=False)
        out.append((p.get_content_type(), None if isinstance(body, list) else body,
                    p.preamble, p.epilogue))
    return out


def expected_additions(before):
    """What RFC 6409 lets us add, as this parser sees the need for it."""
    names = {k.lower().strip() for k, _ in before}
    lower = {k.lower().strip() for k, v in before if str(v).strip()}
    add = []
    if "date" not in lower:
        add.append("date")
    if "from" not in names:
        add.append("from")
    if "message-id" not in lower:
        add.append("message-id")
    if "content-type" in names and "mime-version" not in names:
        add.append("mime-version")
    return add


def seen_by_python(octets):
    msg = parse(octets)
    return fields(msg), parts(msg)


def seen_by_perl(paths):
    """The same of Email::MIME, for many files at a time."""
    out = []
    for i in range(0, len(paths), 500):
        said = subprocess.run(["perl", PERL, *paths[i:i + 500]], stdout=subprocess.PIPE,
                              stderr=subprocess.DEVNULL, check=True).stdout
        text = lambda h: bytes.fromhex(h).decode("latin-1").replace("\r\n", "\n")
        out += [([(text(k), text(v)) for k, v in m["fields"]], m["parts"]) for m in json.loads(said)]
    return out


def same_but_documented(name, norm, sent):
    (before, a), (after, b) = norm, sent
    kept = [(k, v) for k, v in before
            if k.lower().strip() not in LEFT_OUT
            and not (k.lower() in ("date", "message-id") and not v.strip())]
    tail = after[len(after) - len(kept):] if kept else []
    added = [k.lower() for k, _ in after[:len(after) - len(kept)]]
    if "sender" in added:  # several From mailboxes
        added.remove("sender")
    ok = check(name, tail == kept, f"fields changed: {kept} became {tail}")
    ok &= check(name, added == expected_additions(before),
                f"added {added}, not {expected_additions(before)}")
    # MIME-Version changes nothing in how this parser reads parts.
    ok &= check(name, a == b, "a part changed")
    return ok


def refusal_is_right(name, rule, norm):
    """The other parser must see the reason too."""
    msg = parse(norm)
    froms = [v for k, v in msg.raw_items() if k.lower().strip() == "from"]
    header = norm.split(b"\r\n\r\n", 1)[0]
    if rule == "two-from":
        return check(name, len(froms) > 1, "refused as two-from")
    if rule == "two-sender":
        return check(name, len(msg.get_all("sender", [])) > 1, "refused as two-sender")
    if rule == "bare-line-end":
        return check(name, re.search(rb"\0|\r(?!\n)|(?<!\r)\n", header), "no bare line end")
    if rule in ("from-syntax", "sender-syntax"):
        field = "from" if rule == "from-syntax" else "sender"
        value = str(msg[field])
        strict = email.message_from_bytes(
            b"From: " + value.encode("utf-8", "surrogateescape") + b"\r\n\r\n",
            policy=email.policy.default)["from"]
        listed = strict.addresses
        return check(name, strict.defects or not listed or any(not a.domain for a in listed),
                     f"{value!r} refused, but Python sees {strict.addresses} without a defect")
    return check(name, False, f"refused by {rule}: not expected in a corpus")


def mailboxes_agree(name, norm, ours):
    """Where our list is well-formed, Python must read the same addresses."""
    msg, ok = parse(norm), True
    for field, got in zip(("from", "to", "cc"), ours):
        value = msg[field]
        if value is None or got.endswith("!"):
            continue
        value = re.sub(r"\s+", " ", str(value)).rstrip(" ,")  # Python minds the comma
        theirs = [a for _, a in email.utils.getaddresses([value]) if a]
        fold = lambda a: a.rpartition("@")[0] + "@" + a.rpartition("@")[2].lower()
        mine = [fold(a) for a in re.findall(r'(?:"[^"]*"|\S)+', got)]
        ok &= check(name, mine == [fold(a) for a in theirs],
                    f"{field}: {value!r} is {mine} for us, {theirs} for Python")
    return ok


def one(name, raw, norm, sent, rule, signed, header_size, ours, perl):
    ok = True
    if rule != "ok":
        return refusal_is_right(name, rule, norm)
    lines = re.sub(rb"^>?From [^\r\n]*(\r\n|\r|\n)", b"", raw)
    if signed:
        ok &= check(name, sent == norm, "a signed message was changed")
    else:
        ok &= same_but_documented(name, seen_by_python(norm), seen_by_python(sent))
        # Where the header does not begin at once Perl takes what comes for one; ours is in front now.
        if re.match(rb"[!-9;-~]+[ \t]*:", norm):
            ok &= same_but_documented(f"{name}, for Perl", *perl)
    # Normalising, too, changes nothing but line ends (and the mailbox line).
    a, b = parse(re.sub(rb"\r\n|\r|\n", b"\r\n", lines)), parse(norm)
    # A text that begins with a blank has no header for us; Python skips that one line.
    ok &= check(name, fields(a) == fields(b) or raw[:1] in b" \t",
                "normalising changed a field")
    body = norm[header_size:]
    ok &= check(name, norm.endswith(body) and (not body or sent.endswith(body)),
                "the body changed")
    return ok & mailboxes_agree(name, norm, ours)


def run(helper, paths):
    with tempfile.TemporaryDirectory() as tmp:
        out = subprocess.run([helper, tmp], input="".join(f"{p}\n" for p in paths).encode(),
                             stdout=subprocess.PIPE, check=True).stdout
        lines = out.decode("utf-8", "surrogateescape").split("\n")[:-1]
        if len(lines) != len(paths):
            wrong.append(f"{len(paths)} messages went in, {len(lines)} came out")
            results["failed"] += 1
        seen, numbers = {}, range(len(paths))
        perl = list(zip(*(seen_by_perl([f"{tmp}/{n}.{e}" for n in numbers]) for e in ("norm", "sent"))))
        for line in lines:
            n, rule, signed, size, _, *ours = line.split("\t")
            path = paths[int(n)]
            norm, sent = (Path(tmp, f"{n}.{e}").read_bytes() for e in ("norm", "sent"))
            seen[rule] = seen.get(rule, 0) + 1
            ok = one(f"{path.parent.name}/{path.name}", path.read_bytes(), norm, sent, rule,
                     signed == "signed", int(size), ours, perl[int(n)])
            results["passed" if ok else "failed"] += 1
        print("; ".join(f"{v} {k}" for k, v in sorted(seen.items())))


def main():
    helper, what = sys.argv[1], sys.argv[2]
    if what == "--collect":
        cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        what = os.environ.get("SALLYPORT_CORPORA") or str(cache / "sallyport" / "corpora")
        if subprocess.run([sys.argv[3], what]).returncode:
            print("skipped: the corpora could not be gathered (see above)")
            print("0 passed, 0 failed, 1 skipped")
            return
    paths = sorted(p for p in Path(what).rglob("*")
                   if p.is_file() and not p.name.startswith("."))
    run(helper, paths)
    if not paths:
        wrong.append("no message found")
        results["failed"] += 1
    for line in wrong:
        print(line[:400].encode("ascii", "backslashreplace").decode())
    print(f"{results['passed']} passed, {results['failed']} failed")
    sys.exit(results["failed"] != 0)


main()
