#!/usr/bin/python3
# sets: default
# timeout: 300
"""The settings that `sallyport check` recommends for mail programs, pasted as they stand:
each program gets in by them and its message arrives.

Only the words in capitals are replaced, as a reader would; passwords are typed.
"""
import json
from harness import *
from issuer import ISSUER, Issuer, jwt
from recipes import PROGRAMS, pasted

def probe(srv, port, *words):
    said = call([SALLYPORT, "check", f"localhost:{port}", "--ca", srv.ca, "--json", *words], seconds=240)
    return json.loads(said[said.index("{"):])


def held(srv, what):
    return {"password": ["--user", srv.user, "--password-file", srv.password_file],
            "certificate": ["--certificate", srv.client_certificate, "--key", srv.client_key]}[what]


def all_work(tmp, srv, port, words, first, cannot=(), token=""):
    """Each recipe of the report, with each program that has one."""
    report, wrong, sent = probe(srv, port, *words), [], []
    ids = [r["id"] for r in report["recipes"]]
    check(ids[0] == first, f"{first} is not recommended, but {ids}")
    for r in report["recipes"]:
        if r["id"].startswith("password") and "--user" not in words:
            continue  # a guess by the list of mechanisms: USER is to be replaced
        for program in PROGRAMS:
            if r[program] is None:
                if (r["id"], program) not in cannot:
                    wrong.append(f"{r['id']}: nothing for {program}")
                continue
            if program != "sallyport" and not shutil.which(program):
                continue
            subject = f"by {r['id']} {program}"
            text, (status, said) = pasted(program, r[program], tmp, srv.password, subject, token)
            if status:
                wrong.append(f"{r['id']}, {program}: {status}\n{text}\n{said}")
            else:
                sent.append(subject)
    check(not wrong, "\n".join(wrong))
    box = srv.mailbox("bob")
    # swaks has a message of its own
    sent = [s for s in sent if not s.endswith("swaks")]
    wait_until(lambda: all(any(f"Subject: {s}\r\n".encode() in m or f"Subject: {s}\n".encode() in m
                               for m in box.messages()) for s in sent), 60, f"each of {sent}")
    check(not any(b"bare" in m.lower() for m in box.messages()), "a message was changed")


@test("a password: every program gets in as it is told, by STARTTLS and by implicit TLS")
def _():
    need_server()
    with work() as tmp, server(tmp) as srv:
        all_work(tmp, srv, srv.port, held(srv, "password"), "password-starttls")
        all_work(tmp, srv, srv.tls_port, ["--tls", *held(srv, "password")], "password-implicit")


NO_EXTERNAL = {("certificate-external", "swaks"), ("certificate-identity", "swaks")}


@test("a certificate: every program gets in as it is told, with AUTH EXTERNAL and without, on both ports")
def _():
    need_server()
    for how, first in (("either", "certificate-external"), ("implicit", "certificate-implicit")):
        with work() as tmp, server(tmp, listener=f"    certificate-login = {how}\n") as srv:
            all_work(tmp, srv, srv.port, held(srv, "certificate"), first, NO_EXTERNAL)
            all_work(tmp, srv, srv.tls_port, ["--tls", *held(srv, "certificate")], first, NO_EXTERNAL)


@test("an access token: every program gets in as it is told, on both ports")
def _():
    need_server()
    if not jwt:
        skip("PyJWT is not installed")
    with work() as tmp:
        issuer = Issuer(tmp / "keys.jwks")
        more = f"oauth main {{\n    issuer = {ISSUER}\n    audience = mail\n    keys = {tmp}/keys.jwks\n" \
               f"    scope = mail.send\n}}\n"
        for listed, first in (("OAUTHBEARER XOAUTH2", "access-token"), ("XOAUTH2", "access-token")):
            folder = tmp / listed[:2].lower()
            folder.mkdir(mode=0o711)
            with server(folder, more=more, listener=f"    auth-tls = {listed}\n") as srv:
                path = tmp / "token"
                path.write_text(issuer.token())
                words = ["--user", srv.user, "--token-file", path]
                for port, transport in ((srv.port, []), (srv.tls_port, ["--tls"])):
                    all_work(tmp, srv, port, [*transport, *words], first, {("access-token", "swaks")},
                             path.read_text())


@test("what a certificate keeps out gets no settings, and an unknown authority a word to be replaced")
def _():
    need_server()
    with work() as tmp, server(tmp) as srv:
        words = [SALLYPORT, "check", f"localhost:{srv.port}", "--json", *held(srv, "password")]
        found = json.loads(call(words, ok=(2,)))
        check("--cacert CA" in found["recipes"][0]["curl"] and "--ca CA" in found["recipes"][0]["sallyport"],
              str(found["recipes"]))
        found = json.loads(call([*words, "--ca", srv.ca, "--tls-name", "other.example.org"], ok=(2,)))
        check(found["recipes"] == [], str(found["recipes"]))


@test("what is filled in is what a shell takes for one word; else it stays a word to be replaced")
def _():
    need_server()
    with work() as tmp, server(tmp) as srv:
        odd = tmp / "it's $HOME.pem"
        shutil.copy(srv.ca, odd)
        report = json.loads(call([SALLYPORT, "check", f"localhost:{srv.port}", "--ca", odd, "--json",
                                  *held(srv, "password")]))
        for r in report["recipes"]:
            for program in ("curl", "msmtp", "thunderbird", "swaks", "sallyport"):
                check("$HOME" not in r[program] and "CA" in r[program], r[program])


run()
