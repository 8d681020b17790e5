#!/usr/bin/python3
# sets: peers
# timeout: 1200
"""The settings that `sallyport check` recommends for Thunderbird, entered in Thunderbird: its
message arrives, by each recipe that has a text for it and by both kinds of TLS.

(What is pasted into shells and files: tests/system/t_check_recipes.py.)
"""
import json, sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "system"))
from harness import *
import clients_lab
import clients_desktop as desktop
from clients_programs import Login, WITH

TLS = {"STARTTLS": "STARTTLS", "SSL/TLS": "implicit TLS"}
PACKAGES, SHOWN = WITH["Thunderbird"][:2]


def entered(lab, text):
    """(kind of TLS, login) as the lines of a recipe say; every line must be understood."""
    said = dict(line.split(": ", 1) for line in text.splitlines())
    tls = TLS[said.pop("Connection security")]
    method = said.pop("Authentication method")
    login = {"Normal password": dict(password=lab.srv.password), "No authentication": {}}[method]
    user = said.pop("User name", None)
    check((said.pop("Server name"), int(said.pop("Port"))) == ("localhost", lab.port(tls)), text)
    check(bool(login) == bool(user), text)
    for line, value in said.items():
        what, path = line.split(" to import (Settings, Certificates, ")[0], value.split(" ")[0]
        if what == "Authority":
            check(Path(path).read_bytes() == lab.ca.read_bytes(), text)
        else:
            check(what == "Own certificate" and path == f"{lab.pki}/alice.pem" and "PKCS#12" in value, text)
            login["certificate"] = "alice"
    check(any(line.startswith("Authority") for line in said), text)
    return tls, Login(user=user or "alice", **login)


def recipes(lab, tls):
    """{id: the text for Thunderbird}, of a run with the password and of one with the certificate."""
    found = {}
    for held in (["--user", lab.srv.user, "--password-file", lab.srv.password_file],
                 ["--certificate", lab.pki / "alice.pem", "--key", lab.pki / "alice.key"]):
        said = call([SALLYPORT, "check", f"localhost:{lab.port(tls)}", "--ca", lab.ca, "--json",
                     *(["--tls"] if tls == "implicit TLS" else []), *held], seconds=240)
        for r in json.loads(said[said.index("{"):])["recipes"]:
            if r["id"].startswith("certificate") or "--user" in held:
                found[r["id"]] = r["thunderbird"]
    return found


@test("what Thunderbird is told, entered in Thunderbird: its message arrives")
def _():
    with clients_lab.Lab(PACKAGES, SHOWN, raw=False) as lab:
        lab.settings_taken = True  # t_clients.py
        for tls, password in (("STARTTLS", "password-starttls"), ("implicit TLS", "password-implicit")):
            told = recipes(lab, tls)
            check(told["certificate-external"] is None, "Thunderbird has no EXTERNAL")
            for name, how in ((password, "explicit"), ("certificate-implicit", "implicit")):
                kind, login = entered(lab, told[name])
                check(kind == tls, told[name])
                mail = lab.mail()
                said = desktop.thunderbird(lab, mail, tls, login)
                print(f"    {name}, {tls}: {lab.arrived(mail, how, said)}", flush=True)


run()
