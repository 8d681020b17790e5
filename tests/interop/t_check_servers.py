#!/usr/bin/python3
# sets: peers
# timeout: 1800
"""`sallyport check` against real servers: what it finds about each set-up of
servers_peers.py stands in golden/check_NAME.txt, severity and id of every finding, one a
line.  Each line at advice or above was compared by hand with the dialogue; a prober that is
wrong about Postfix is worse than none.  The last line of each, where there is one, says
which programs send a message when the recommended settings are pasted.

    t_check_servers.py [WORDS]             compare
    t_check_servers.py --write [WORDS]     write the files anew: then check each new line
    t_check_servers.py --keep FOLDER ...   also keep the whole JSON there
"""
import argparse, json, sys
from pathlib import Path
sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "system"))
from harness import *
import servers_peers as peers
from servers_peers import IMPLICIT, STARTTLS
from recipes import PROGRAMS, WORDS, pasted

GOLDEN = Path(__file__).resolve().parent / "golden"
SERVERS = [peers.Postfix, peers.Exim, peers.DovecotSubmission, peers.OpenSMTPD, peers.Sendmail, peers.Courier,
           peers.Chasquid, peers.Aiosmtpd, peers.SmtpServer, peers.Haraka]

options = argparse.ArgumentParser(add_help=False)
options.add_argument("--write", action="store_true")
options.add_argument("--keep")
options, rest = options.parse_known_args()
sys.argv[1:] = rest


# What the default run leaves out: more logins and connections, and mail.  (P23 follows from P18.)
BEYOND = ["--thorough", "--intrusive", "--only", "P18,P21,P23,P26,P33,P44", "--send-from", "alice@remote.test",
          "--send-to"]


def probe(p, variant, transport, *more):
    words = [*more, *(["--tls"] if transport == IMPLICIT else ["--starttls"])]
    if p.variants[variant]["password"]:
        words += ["--user", p.user, "--password-file", p.password_file]
    words += ["--certificate", p.client[0], "--key", p.client[1],
              "--bad-cert", p.expired[0], "--bad-key", p.expired[1]]
    if p.source:
        words += ["--source", p.source]
    said = call([SALLYPORT, "check", f"localhost:{p.port(variant, transport)}", "--ca", p.ca, "--timeout", "60",
                 "--json", *words], seconds=400, ok=range(128))
    return json.loads(said[said.index("{"):])


def lines(found):
    return sorted({f"{f['severity']} {f['id']}" for f in found["findings"]})


def got_in(found, tmp, p):
    """The recommended settings, pasted: which programs got their message taken by them."""
    if not found["recipes"]:
        return ["settings: none"]
    recipe, names = found["recipes"][0], []
    for program in PROGRAMS:
        if recipe[program] is None:
            continue
        text, (status, said) = pasted(program, recipe[program], tmp, Path(p.password_file).read_text().strip(),
                                      f"pasted {program}", words={**WORDS, "USER": p.user})
        names.append(program if status == 0 else f"not {program}")
        if status and options.keep:
            print(f"{text}\n{said}")
    return [f"settings: {recipe['id']}: {', '.join(names)}"]


def keep(name, title, found):
    if options.keep:
        (Path(options.keep) / f"{name}, {title}.json".replace("/", "_")).write_text(json.dumps(found, indent=1))


def read(name):
    """{"variant, transport": [lines]}"""
    path, sections, now = GOLDEN / f"check_{name}.txt", {}, None
    for line in path.read_text().splitlines() if path.exists() else ():
        if line.startswith("["):
            now = sections.setdefault(line[1:-1], [])
        elif line and not line.startswith("#"):
            now.append(line.partition("#")[0].strip())
    return sections


def write(name, sections):
    text = [f"# What `sallyport check` finds about {name}, in each set-up: see t_check_servers.py."]
    for title, found in sections.items():
        text += ["", f"[{title}]", *found]
    (GOLDEN / f"check_{name}.txt").write_text("\n".join(text) + "\n")


def setups(cls):
    """Every variant by STARTTLS, the first one by implicit TLS as well."""
    for i, variant in enumerate(cls.variants):
        for transport in cls.transports:
            if transport == STARTTLS or i == 0 or STARTTLS not in cls.transports:
                yield variant, transport


def each(cls):
    name = cls.__name__

    @test(f"{name}: what is found is what was checked by hand")
    def _():
        need_server()
        wanted, got, wrong = read(name), {}, []
        with work() as tmp, cls(tmp) as p:
            for variant, transport in setups(cls):
                title = f"{variant or 'only one'}, {transport}"
                found = probe(p, variant, transport)
                got[title] = lines(found)
                if options.write or any(l.startswith("settings: ") for l in wanted.get(title, [])):
                    got[title] += got_in(found, tmp, p)
                keep(name, title, found)
                if found["failed"]:
                    wrong.append(f"{title}: {found['failed']}")
                if found["cost"]["connections"] > 12 or found["cost"]["failed_logins"] > 3:
                    wrong.append(f"{title}: costs {found['cost']}")
            title = "all that the default run leaves out"
            found = probe(p, *next(setups(cls)), *BEYOND, f"bob@{p.domains()[0]}")
            got[title] = lines(found)
            keep(name, title, found)
            for title in got:
                for l in sorted(set(got[title]) ^ set(wanted.get(title, []))):
                    wrong.append(f"{title}: {'new' if l in got[title] else 'gone'}: {l}")
        if options.write:
            write(name, got)
        else:
            check(not wrong, "\n".join(wrong))


for cls in SERVERS:
    if options.write or (GOLDEN / f"check_{cls.__name__}.txt").exists():
        each(cls)

run()
