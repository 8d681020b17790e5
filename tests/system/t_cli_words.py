#!/usr/bin/python3
# sets: default
# timeout: 300
"""What the program says about itself: help, mistakes of typing, manual pages, and what
happens when nobody can read it."""
from harness import *

PAGES = ["sallyport.1", "sallyport.conf.5", "sallyport-accounts.conf.5", "libsallyport.3"]


def need():
    need_server()
    if SALLYPORT == "standin":
        skip("this is about the program")


def commands():
    """["sallyport", "sallyport serve", ...] and their words."""
    lines = call([SALLYPORT, "completion", "words"]).splitlines()
    return {l.partition(":")[0]: l.partition(":")[2].split() for l in lines}


def page(name):
    """A manual page as it is installed."""
    built = Path(SALLYPORT).resolve().parent.parent.parent / "man" / name
    path = built if built.exists() else ROOT / "man" / name
    if not path.exists():
        skip(f"{name} is not beside this program")
    return path


def plain(path):
    return path.read_text().replace("\\-", "-").replace("\\(dq", '"').replace("\\&", "").replace("\\e", "\\")


@test("--help of every command and subcommand, and the same by help; every option explained")
def _():
    need()
    known = commands()
    check(len(known) > 25, f"{len(known)} commands")
    for path, words in known.items():
        argv = path.split()[1:]
        text = call([SALLYPORT, *argv, "--help"])
        check(text.startswith(f"{path} - ") and "usage: " in text, f"{path}: {text}")
        check(text == call([SALLYPORT, *argv, "-h"]), f"{path} -h")
        check(text == call([SALLYPORT, "help", *argv]), f"help {path}")
        for word in words:
            check(re.search(rf"(?m)^  +(-\w, )?{re.escape(word)}\b|^  {re.escape(word)} |-h, {word}", text),
                  f"{path} does not explain {word}")
        check(all(len(l) <= 110 for l in text.splitlines()), f"{path}: a long line")
        check("(null)" not in text, text)
    check(call([SALLYPORT, "--version"]) == call([SALLYPORT, "-V"]), "-V")
    check(re.fullmatch(r"sallyport \d+\.\d+\.\d+\n", call([SALLYPORT, "--version"])), "version")
    said = call([SALLYPORT], ok=(64,))
    check("commands:" in said, said)


@test("a command that is not there: what was meant, status 64; never a crash")
def _():
    need()
    for argv, words in [(["sned"], "did you mean `sallyport send`?"), (["queu", "list"], "`sallyport queue`"),
                        (["queue", "lst"], "did you mean `sallyport queue list`?"), (["user", "help", "x"], "no command"),
                        (["help", "bnch"], "did you mean"), (["xyzzy"], "--help"), ([""], "no command"),
                        (["\x1b[31mred"], "\\x1b"), (["--versoin"], "did you mean --version?"), (["-Z"], "-Z"),
                        (["queue", "list", "--jsno"], "did you mean --json?"), (["role", "server", "0"], "serve")]:
        said = call([SALLYPORT, *argv], ok=(64,))
        check(words in said and "\x1b" not in said, f"{argv}: {said}")


PRINTERS = [["--version"], ["--help"], ["send", "--help"], ["config", "dump", "--all"], ["config", "check"],
            ["completion", "bash"], ["completion", "zsh"], ["help", "queue", "list"], ["user", "list"],
            ["queue", "list", "--json"], ["config", "explain"]]


@test("a full disk behind standard output is an error with words and status 74")
def _():
    need()
    with work() as tmp:
        (tmp / "data").mkdir()
        (tmp / "p").write_text("secret words here\n")
        (tmp / "c").write_text(f"data-directory = {tmp}/data\n")
        call([SALLYPORT, "user", "add", "alice", "--address", "a@x.org", "--config", tmp / "c", "--password-file", tmp / "p"])
        for argv in PRINTERS:
            named = argv if argv[0] not in ("config", "user") else [*argv, "--config", str(tmp / "c")]
            with open("/dev/full", "w") as full:
                done = subprocess.run([SALLYPORT, *named], stdout=full, stderr=subprocess.PIPE, text=True)
            if argv[:2] == ["queue", "list"]:
                continue  # an empty queue prints nothing
            check(done.returncode == 74 and "No space left" in done.stderr, f"{argv}: {done}")


@test("a reader that has gone is no mistake to speak of")
def _():
    need()
    for argv in [["config", "dump", "--all", "--config", "/dev/null"], ["completion", "zsh"], ["send", "--help"]]:
        r, w = os.pipe()
        os.close(r)
        done = subprocess.run([SALLYPORT, *argv], stdout=w, stderr=subprocess.PIPE, text=True)
        os.close(w)
        check(done.returncode in (-signal.SIGPIPE, 74), f"{argv}: {done}")
        check("ipe" not in done.stderr, done.stderr)


@test("manual pages: no complaint of mandoc, groff or man; the parts that a page has")
def _():
    need()
    for name in PAGES:
        path = page(name)
        tools = {"mandoc": ["-Tlint", "-Wwarning"], "groff": ["-mandoc", "-ww", "-z", "-Tutf8"]}
        for tool, argv in tools.items():
            if shutil.which(tool):
                said = call([tool, *argv, path], ok=range(256))
                check(said == "", f"{tool} {name}: {said}")
        if shutil.which("man"):
            done = subprocess.run(["man", "--warnings", "-l", str(path)], stdout=subprocess.DEVNULL,
                                  stderr=subprocess.PIPE, text=True, env={**os.environ, "MANWIDTH": "80", "LC_ALL": "C.UTF-8"})
            check(done.stderr == "", f"man {name}: {done.stderr}")
    one = plain(page("sallyport.1"))
    for part in ["NAME", "SYNOPSIS", "DESCRIPTION", "COMMANDS", "ENVIRONMENT", "FILES", "SIGNALS", "EXIT STATUS",
                 "EXAMPLES", "SEE ALSO", "STANDARDS"]:
        check(f"\n.Sh {part}\n" in one, f"sallyport(1) lacks {part}")


@test("sallyport(1) has every command, option, environment variable and status that the program has")
def _():
    need()
    one = plain(page("sallyport.1"))
    for path, words in commands().items():
        for word in words:
            if word.startswith("--") and word != "--help":
                check(f".It Fl Fl {word[2:]}" in one, f"{path} {word}")
        check(path == "sallyport" or f"\n.Ss {path}\n" in one or any(p.startswith(path + " ") for p in commands()), path)
    source = "".join(p.read_text() for p in sorted((ROOT / "src/cli").glob("*.c")))
    variables = set(re.findall(r'getenv\("(\w+)"\)', source)) | set(re.findall(r'"(SALLYPORT_\w+)"', source))
    variables -= {"SALLYPORT_"}
    for v in variables:
        check(f".It Ev {v}\n" in one, f"{v} is not in ENVIRONMENT")
    check(len(variables) >= 6, str(variables))
    values = {"USAGE": 64, "DATAERR": 65, "NOINPUT": 66, "NOUSER": 67, "NOHOST": 68, "UNAVAILABLE": 69, "SOFTWARE": 70,
              "OSERR": 71, "OSFILE": 72, "CANTCREAT": 73, "IOERR": 74, "TEMPFAIL": 75, "PROTOCOL": 76, "NOPERM": 77,
              "CONFIG": 78}
    for name in set(re.findall(r"\bEX_([A-Z]+)\b", source)) - {"OK"}:
        check(f"\n.It {values[name]}\n" in one, f"EX_{name} is not in EXIT STATUS")


@test("sallyport-accounts.conf(5): every key of an account, and its example is taken")
def _():
    need()
    text = plain(page("sallyport-accounts.conf.5"))
    keys = set(re.findall(r"^\.It Cm (\S+) No =", text, re.M))
    shared = call([SALLYPORT, "bench", "--help"]).partition("options:")[2].partition("--connections")[0]
    options = set(re.findall(r"(?m)^  (?:-\w,|   ) --([a-z0-9-]+)", shared))
    check(options and options <= keys and "from" in keys, f"missing {sorted(options - keys)}")
    check({"account", "attach", "header"}.isdisjoint(keys), "keys that no account takes")
    with work() as tmp:
        (tmp / "sallyport").mkdir()
        example = text[text.index("# what is used"):text.index(".Ed", text.index("# what is used"))]
        (tmp / "sallyport/accounts.conf").write_text(example)
        os.chmod(tmp / "sallyport/accounts.conf", 0o600)
        for name in re.findall(r"^account (\w+) \{", example, re.M):
            said = call([SALLYPORT, "send", "-A", name, "--socks", f"127.0.0.1:{free_port()}", "--timeout", "2"],
                        stdin=b"From: a@x.org\nTo: b@x.org\n\nx\n", env={"XDG_CONFIG_HOME": str(tmp)}, ok=(75, 66))
            check("accounts.conf:" not in said, said)
            check("cannot connect" in said or "work.pem" in said, said)
        for key in sorted(keys):  # each is known to the parser
            switch = re.search(rf"^\.It Cm {key} No = Cm yes", text, re.M)
            (tmp / "sallyport/accounts.conf").write_text(f"account x {{\n    {key} = {'no' if switch else 'v'}\n}}\n")
            said = call([SALLYPORT, "send", "-A", "x"], stdin=b"x\n", env={"XDG_CONFIG_HOME": str(tmp)}, ok=range(256))
            check("no key" not in said and "accounts.conf:2" not in said, f"{key}: {said}")
        (tmp / "sallyport/accounts.conf").write_text("account x {\n    password = hunter2\n    srver = y\n")
        said = call([SALLYPORT, "send", "-A", "x"], stdin=b"x\n", env={"XDG_CONFIG_HOME": str(tmp)}, ok=(78,))
        for words in ["accounts.conf:2:5", "password-command", "accounts.conf:3:5", "did you mean \"server\"?", "never closed"]:
            check(words in said, f"{words}: {said}")


run()
