#!/usr/bin/python3
# sets: default
# timeout: 300
"""`sallyport check --profile mx`: DANE and MTA-STS, held against what the exchange does.

The zone is signed here and served on loopback; so are the policy and the exchange.
"""
import hashlib, json, ssl, subprocess

import exchanges
from exchanges import PolicyHost
from harness import *
from faulty import Faulty
from zone import Zone

DOMAIN, EXCHANGE, POLICY = "check.example", "mx.check.example", "mta-sts.check.example"
BAD = ("insecure", "broken", "interoperability")


@contextlib.contextmanager
def policy(pki, text, status=200, name=POLICY):
    with PolicyHost(pki, text, status, name) as web:
        yield web.address


def exchange(tmp, *faults, **more):
    return Faulty(tmp, *faults, cert=lambda pki: pki.sign(
        "mx", f"/CN={EXCHANGE}", f"DNS:{EXCHANGE}", "serverAuth"), **more)


def spki_hash(srv):
    pem = subprocess.run(["openssl", "x509", "-in", srv.cert[0], "-noout", "-pubkey"], check=True,
                         stdout=subprocess.PIPE).stdout
    return hashlib.sha256(ssl.PEM_cert_to_DER_cert(
        pem.decode().replace("PUBLIC KEY", "CERTIFICATE"))).hexdigest()


def records(srv, *more, tlsa=None, mx=EXCHANGE):
    found = [(DOMAIN, "MX", f"10 {mx}."), (EXCHANGE, "A", "127.0.0.1"), *more]
    if tlsa:
        found.append((f"_{srv.port}._tcp.{EXCHANGE}", "TLSA", tlsa))
    return found


def ids(report, *severities):
    return {f["id"] for f in report["findings"] if not severities or f["severity"] in severities}


def mx(srv, zone, *options, only="P47,P48", name=DOMAIN):
    argv = [SALLYPORT, "check", f"{name}:{srv.port}", "--profile", "mx", "--json", "--ca", srv.ca,
            "--timeout", 5, "--dns", zone.address, "--dns-anchor", zone.anchor, *options]
    if only:
        argv += ["--only", only]
    said = call(argv, ok=range(128), seconds=120)
    return json.loads(said[said.index("{"):])


def why_not(report, check_id):
    return next(c["why"] for c in report["checks"] if c["id"] == check_id)


def has(report, *wanted, exit):
    check(set(wanted) <= ids(report), f"{wanted} not among {ids(report)}: {report['failed']} "
          f"{[(c['id'], c['why']) for c in report['checks'] if c['id'] in ('P47', 'P48')]}")
    check(report["exit"] == exit, f"exit {report['exit']}, not {exit}: {ids(report, *BAD)} {report['failed']}")


@test("DANE: records that agree, that do not, that nobody can use, and none at all")
def _():
    with work() as tmp, exchange(tmp) as srv:
        right, wrong = spki_hash(srv), "ab" * 32
        for tlsa, wanted, status in ((f"3 1 1 {right}", "dane-matches", 0),
                                     (f"3 1 1 {wrong}", "dane-mismatch", 2),
                                     (f"1 1 1 {right}", "dane-unusable", 0),
                                     (None, "dane-none", 0)):
            with Zone(records(srv, tlsa=tlsa)) as zone:
                report = mx(srv, zone, only="P47")
                has(report, wanted, exit=status)
                check(report["peer"]["host"] == EXCHANGE and report["peer"]["domain"] == DOMAIN,
                      str(report["peer"]))


@test("DANE: a forged record is broken, an unsigned one counts for nothing")
def _():
    with work() as tmp, exchange(tmp) as srv:
        right = f"3 1 1 {spki_hash(srv)}"
        with Zone(records(srv, tlsa=right), forged=[f"_{srv.port}._tcp.{EXCHANGE}"]) as zone:
            has(mx(srv, zone, only="P47"), "dane-bogus", exit=2)
        with Zone(records(srv, tlsa=right), signed=False) as zone:
            has(mx(srv, zone, only="P47"), "dane-unsigned", exit=0)
        with Zone(records(srv, tlsa=right), forged=[DOMAIN]) as zone:
            before = srv.connections
            has(mx(srv, zone, only="P47"), "mx-bogus", exit=2)
            check(srv.connections == before, "an exchange was asked that cannot be proven")


@test("DANE without STARTTLS is broken")
def _():
    with work() as tmp, exchange(tmp, "no-starttls") as srv:
        with Zone(records(srv, tlsa=f"3 1 1 {spki_hash(srv)}")) as zone:
            has(mx(srv, zone), "dane-without-tls", exit=2)


STS = (f"_mta-sts.{DOMAIN}", "TXT", '"v=STSv1; id=20261122"')


def sts_text(mode="enforce", host=EXCHANGE, **more):
    return exchanges.sts_text(host, mode, **more)


@test("MTA-STS: a policy that agrees, one that does not, and how much it matters in each mode")
def _():
    with work() as tmp, exchange(tmp) as srv:
        for text, wanted, status in (
                (sts_text(), "sts-agrees", 0),
                (sts_text(host="*.check.example"), "sts-agrees", 0),
                (sts_text(host="*.mx.check.example"), "sts-mx-not-listed", 2),
                (sts_text(host="other.check.example"), "sts-mx-not-listed", 2),
                (sts_text("testing", "other.check.example"), "sts-mx-not-listed", 0),
                (sts_text("none"), "sts-none", 0),
                (sts_text("enforced"), "sts-policy-invalid", 2),
                (sts_text(version="2"), "sts-policy-invalid", 2),
                (sts_text(age="x"), "sts-policy-invalid", 2),
                ("<html>not found</html>", "sts-policy-invalid", 2)):
            with policy(srv.pki, text) as address, \
                    Zone(records(srv, STS, (POLICY, "A", address))) as zone:
                before = srv.connections
                has(mx(srv, zone, only="P48"), wanted, exit=status)
                check(srv.connections <= before + 1, f"{srv.connections - before} connections")


@test("MTA-STS: a record without a policy, a redirection, a wrong name, no record, several")
def _():
    with work() as tmp, exchange(tmp) as srv:
        with Zone(records(srv, STS)) as zone:
            has(mx(srv, zone, only="P48"), "sts-policy-missing", exit=2)
        for how in (dict(status=302), dict(status=404), dict(name="www.check.example")):
            with policy(srv.pki, sts_text(), **how) as address, \
                    Zone(records(srv, STS, (POLICY, "A", address))) as zone:
                has(mx(srv, zone, only="P48"), "sts-policy-missing", exit=2)
        with Zone(records(srv)) as zone:
            has(mx(srv, zone, only="P48"), "sts-none", exit=0)
        other = (STS[0], "TXT", '"v=STSv1; id=2"')
        for more in ([STS, other], [(STS[0], "TXT", '"v=STSv1;"')]):
            with Zone(records(srv, *more)) as zone:
                has(mx(srv, zone, only="P48"), "sts-record-invalid", exit=0)


@test("MTA-STS: an exchange whose certificate senders refuse, or without STARTTLS, is broken")
def _():
    with work() as tmp:
        with Faulty(tmp) as srv:  # its certificate is for localhost
            with policy(srv.pki, sts_text()) as address, \
                    Zone(records(srv, STS, (POLICY, "A", address))) as zone:
                report = mx(srv, zone, only="P48")
                has(report, "sts-cert", exit=2)
                check("another name" in json.dumps(report), "why?")
        with exchange(tmp, "no-starttls") as srv:
            with policy(srv.pki, sts_text()) as address, \
                    Zone(records(srv, STS, (POLICY, "A", address))) as zone:
                has(mx(srv, zone, only="P48"), "sts-without-tls", exit=2)


@test("a whole run asks the exchange, with DANE and MTA-STS among the rest, in twelve connections")
def _():
    with work() as tmp, exchange(tmp) as srv:
        with policy(srv.pki, sts_text()) as address, \
                Zone(records(srv, STS, (POLICY, "A", address),
                             tlsa=f"3 1 1 {spki_hash(srv)}")) as zone:
            report = mx(srv, zone, only=None)
            check({"dane-matches", "sts-agrees", "cert-good"} <= ids(report), str(ids(report)))
            check("P20" not in {c["id"] for c in report["checks"] if c["ran"]}, "P20 is for submission")
            check(srv.connections <= 12 and not srv.mails, f"{srv.connections} connections")


@test("a domain that takes no mail, one without an address, and a host without MX are said so")
def _():
    with work() as tmp, exchange(tmp) as srv:
        with Zone([(DOMAIN, "MX", "0 .")]) as zone:
            report = mx(srv, zone)
            check(report["exit"] == 68 and "no mail" in str(report["failed"]), str(report["failed"]))
        with Zone([(DOMAIN, "MX", f"0 {EXCHANGE}.")]) as zone:
            report = mx(srv, zone)
            check(report["exit"] == 68 and EXCHANGE in str(report["failed"]), str(report["failed"]))
        with Zone(records(srv, tlsa=f"3 1 1 {spki_hash(srv)}")) as zone:
            report = mx(srv, zone, name=EXCHANGE)
            has(report, "dane-matches", exit=0)
            check("MX" in why_not(report, "P48"), why_not(report, "P48"))
        zone.address = f"127.0.0.1@{free_port()}"
        report = mx(srv, zone)
        check(report["exit"] in (68, 69) and report["failed"], f"{report['exit']} {report['failed']}")


run()
