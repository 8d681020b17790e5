#!/usr/bin/python3
# sets: default
"""The client knows no server by name: what it does follows from what the server says."""
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "system"))
from harness import *

CLIENT = ("include/sallyport/client.h", "src/smtp/client*.c", "src/smtp/cli_*.[ch]",
          "src/smtp/reply.[ch]", "src/delivery/*.[ch]", "src/cli/cmd_send.c", "src/cli/target.[ch]",
          "src/cli/send*.[ch]", "src/sasl/*client*.[ch]", "src/net/dial.[ch]")
# "sendmail" is also a name of ours: the program under which send answers.
NAMES = ("exim", "postfix", "opensmtpd", "dovecot", "courier", "aiosmtpd", "nodemailer",
         "smtp-server", "haraka", "chasquid", "qmail", "stalwart", "gmail", "sendmail.org")


@test("no mail server is named in the client's source")
def _():
    files = [f for pattern in CLIENT for f in ROOT.glob(pattern)]
    check(len(files) > 20, f"only {len(files)} files: have they moved?")
    found = [f"{f.relative_to(ROOT)}: {name}" for f in files for name in NAMES
             if re.search(rf"\b{re.escape(name)}\b", f.read_text(), re.I)]
    check(not found, "; ".join(found))


run()
