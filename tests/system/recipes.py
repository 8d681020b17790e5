"""recipes.py - the settings that `sallyport check` recommends, pasted as they stand.

Only the words in capitals are replaced, as a reader would; passwords are typed.
"""
from harness import *

WORDS = {"FROM": "alice@example.org", "TO": "bob@example.org", "IDENTITY": "alice@example.org"}
MESSAGE = "Subject: {}\nFrom: alice@example.org\nTo: bob@example.org\n\nA line,\n.and one with a dot.\n"
PROGRAMS = ("curl", "msmtp", "swaks", "sallyport")


def pasted(program, text, tmp, password, subject, token="", words=WORDS):
    """The recipe of a program as what one would do with it: (text, (exit status, what is shown))."""
    message = tmp / "message"
    message.write_text(MESSAGE.format(subject))
    secret = tmp / "secret"
    secret.write_text(token or password)
    words = {**words, "MESSAGE": message, "COMMAND": f'"cat {secret}"', "TOKEN": token}
    text = re.sub(r"\b(" + "|".join(words) + r")\b", lambda m: str(words[m[1]]), text)
    left = re.findall(r"\b(?!AUTH|EXTERNAL|OAUTHBEARER|XOAUTH2|PLAIN)[A-Z]{2,}\b", text.replace(str(tmp), "")
                      .replace(token or "\0", ""))
    check(not left, f"{program}: {left} is to be replaced by what?\n{text}")
    if program == "msmtp":
        (tmp / "msmtprc").write_text(text + "\n")
        text = f"msmtp --file={tmp}/msmtprc {words['TO']} <{message}"
    path = f"{Path(SALLYPORT).parent}:{os.environ['PATH']}"
    return text, terminal(["sh", "-c", text], [("assword", password, True)], {"PATH": path}, seconds=60)
