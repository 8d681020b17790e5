#!/usr/bin/python3
# sets: default
"""doc/submission.md has the table of fixup.h, row for row, and the configuration's words are
what sp_fix_policy_set() takes."""
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
WORDS = {"PASS": "pass", "REPAIR": "repair", "REFUSE": "refuse"}
LETTERS = (("SP_FIX_P", "pass"), ("SP_FIX_M", "repair"), ("SP_FIX_R", "refuse"))

header = (ROOT / "src/message/fixup.h").read_text()
body = header[header.index("#define SP_FIX_ROWS"):header.index("/* clang-format on */")]
rows = re.findall(r'X\(\w+,\s*"([\w-]+)",\s*(\w+),\s*(\w+),\s*([^,]+?),\s*(\d+),\s*"([\d.]+)",'
                  r'\s*"([^"]*)",\s*"([^"]*)"\)', body.replace("\\\n", " "))
want = [f"| `{name}` | {words} | {WORDS[act]} | {WORDS[signed]} | "
        + ", ".join(w for c, w in LETTERS if c in may)
        + f" | `{code} {enhanced}` | {repair} |"
        for name, act, signed, may, code, enhanced, words, repair in rows]
doc = (ROOT / "doc/submission.md").read_text()
got = re.findall(r"^\| `[\w-]+` \|.*\|$", doc, re.M)
bad = [f"in the document only: {l}" for l in got if l not in want]
bad += [f"not in the document: {l}" for l in want if l not in got]

# long-header-line=pass would not help: the protocol refuses such lines before.
possible = {(name, w) for name, _, _, may, *_ in rows for c, w in LETTERS if c in may
            if name != "long-header-line" and may.strip() != "SP_FIX_R"}
table = (ROOT / "src/config/conf_table.c").read_text()
table = table[table.index("WORDS(w_header_rule"):]
table = table[:table.index(");")]
kinds = {"PR": ("pass", "refuse"), "MR": ("repair", "refuse"), "PMR": ("pass", "repair", "refuse")}
words = {(name, w) for kind, name in re.findall(r'\b(PM?R|MR)\("([\w-]+)"\)', table)
         for w in kinds[kind]}
bad += [f"{n}={w} is in one table only" for n, w in sorted(possible ^ words)]
print(*bad, sep="\n")
print(f"{len(rows)} rows")
print(f"{int(not bad)} passed, {int(bool(bad))} failed")
raise SystemExit(bool(bad) or len(rows) < 20)
