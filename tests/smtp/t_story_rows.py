#!/usr/bin/python3
# sets: default
"""Every rule about STARTTLS, EHLO, AUTH, client certificates and extensions has its stories, for either
engine: stories/INDEX.  The rules are named here a second time, so that a line that is taken
out of the index is missed."""
import re
from pathlib import Path

HERE = Path(__file__).resolve().parent
RULES = {
    "thread": ["January 2009: EHLO, STARTTLS, MAIL", "January 2009: another AUTH list inside TLS",
               "January 2009: no fall back to HELO", "May 2010: option 1, the certificate alone does not count",
               "May 2010: option 2, MAIL is an implicit AUTH EXTERNAL",
               "May 2010: option 3, nothing counts until EXTERNAL"],
    "1": ["what STARTTLS erases", "after the handshake", "lenient-ehlo", "lenient-path", "EHLO again", "STARTTLS edges",
          "octets behind STARTTLS", "handshake fails, TLS ends", "the client's TLS policy", "implicit TLS",
          "resumption, renegotiation", "not a mail client", "mechanism list", "mechanisms that show the secret",
          "challenge mechanisms in the clear", "530", "AUTH replies", "authorization identity", "channel binding",
          "error limits", "legacy list line"],
    "2": ["certificate-login", "client-certificates", "usable certificate", "judged when", "EXTERNAL offered",
          "spellings accepted", "success", "implicit login", "auto", "certificate and password", "trace"],
    "3": ["extensions offered", "parameters of MAIL and RCPT", "8-bit and binary", "LIMITS", "pipelining",
          "bare CR, bare LF, NUL", "XCLIENT"],
}


def faults(text):
    found, rows = [], {}
    for line in text.splitlines():
        if line.startswith("#") or not line.strip():
            continue
        section, rule, *ends = [w.strip() for w in line.split("|")]
        rows[section, rule] = ends
        if len(ends) != 2:
            found.append(f"{rule}: not four columns")
            continue
        for folder, names in zip(("stories", "cli_stories"), ends):
            if not names or names == "-":
                found.append(f"{rule}: no story in {folder}, and no reason")
            elif not names.startswith("- "):
                found += [f"{rule}: {folder}/{n}.story is not there" for n in names.split()
                          if not (HERE / folder / f"{n}.story").exists()]
        if all(e.startswith("-") for e in ends) and not re.search(r"tests/\w+", ends[0]):
            found.append(f"{rule}: no story at all, and not said what protects it")
    want = {(s, r) for s, rules in RULES.items() for r in rules}
    found += [f"no line for {s}: {r}" for s, r in sorted(want - set(rows))]
    return found + [f"not a rule: {s}: {r}" for s, r in sorted(set(rows) - want)]


text = (HERE / "stories" / "INDEX").read_text()
bad = faults(text)
print(*bad, sep="\n")
# each line taken out, and each first story misspelt, must be noticed
lines = [l for l in text.splitlines() if l and not l.startswith("#")]
missed = [l for l in lines if not faults(text.replace(l + "\n", ""))]
missed += [l for l in lines if (m := re.search(r"\| ([\w-]{3,})[^|]*$", l))
           and not faults(text.replace(l, l.replace(m[1], m[1] + "-x")))]
print(*[f"nobody would notice: {l}" for l in missed], sep="\n")
print(f"{sum(map(len, RULES.values()))} rules, {len(lines)} lines")
print(f"{int(not bad) + int(not missed)} passed, {int(bool(bad)) + int(bool(missed))} failed")
raise SystemExit(bool(bad or missed))
