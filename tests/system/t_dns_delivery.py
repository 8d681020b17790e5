#!/usr/bin/python3
# sets: default
# timeout: 200
"""Delivery to mail exchanges: what DNS says, proven or not, and what TLS must prove."""
import hashlib, ssl, subprocess, threading
import clients
from exchanges import *
from wire import *

need_server()
if SALLYPORT == "standin":
    skip("the stand-in delivers nowhere")


class Broken(Exchange):
    """It lists STARTTLS, and hangs up in the handshake."""

    def __init__(self):
        super().__init__()
        self.lists = ["STARTTLS"]

    def _secured(self, c):
        raise EOFError


def spki(certificate):
    pem = subprocess.run(["openssl", "x509", "-in", certificate, "-noout", "-pubkey"], check=True, stdout=subprocess.PIPE).stdout
    return hashlib.sha256(ssl.PEM_cert_to_DER_cert(pem.decode().replace("PUBLIC KEY", "CERTIFICATE"))).hexdigest()


def bounced(srv, address, code):
    check(f" {code} " in logged(srv, "message.bounced", address), f"{address} was not returned with {code}: {logged(srv, 'message.bounced', address)}")


@test("exchanges by preference, the next when one fails; implicit MX; CNAME; an unsigned domain")
def _():
    a, b, c = Exchange(), Exchange(), Exchange()
    a.answers[""] = "421 4.3.2 not now"
    records = [(f"two.{ZONE}", "MX", f"10 a.{ZONE}."), (f"two.{ZONE}", "MX", f"20 b.{ZONE}."),
               (f"a.{ZONE}", "A", a.address), (f"b.{ZONE}", "A", b.address), (f"c.{ZONE}", "A", c.address),
               ("plain.example", "MX", f"5 b.{ZONE}."), (f"six.{ZONE}", "MX", f"5 both.{ZONE}."),
               (f"both.{ZONE}", "AAAA", "::1"), (f"both.{ZONE}", "A", c.address)]
    with work() as tmp, delivering(tmp, records) as srv:
        clients.smtplib_(srv, message("mx"), to=[f"x@two.{ZONE}", f"x@c.{ZONE}", "x@plain.example", f"x@six.{ZONE}"])
        wait_until(lambda: len(b.taken) == 2 and len(c.taken) == 2, 60, f"messages at b and c {len(b.taken)} {len(c.taken)}")
        check(a.sessions >= 1 and not a.taken, "the best exchange was not tried first")
        check(sorted(t[1][0] for t in b.taken) == ["x@plain.example", f"x@two.{ZONE}"], f"{b.taken}")
        check(sorted(t[1][0] for t in c.taken) == [f"x@c.{ZONE}", f"x@six.{ZONE}"], "implicit MX, or IPv4 behind IPv6")
        check_same(message("mx"), c.taken[0][2])
    for hop in (a, b, c):
        hop.stop()


@test("null MX, no such domain, loops, literals and hosts without address are returned; forged answers wait")
def _():
    a = Exchange()
    records = [(f"null.{ZONE}", "MX", "0 ."), (f"loop.{ZONE}", "MX", "10 mail.example.org."),
               (f"back.{ZONE}", "MX", f"10 a.{ZONE}."), (f"back.{ZONE}", "MX", "20 mail.example.org."),
               (f"back.{ZONE}", "MX", f"20 never.{ZONE}."), (f"never.{ZONE}", "A", a.address),
               (f"bare.{ZONE}", "MX", f"10 nothing.{ZONE}."), (f"a.{ZONE}", "A", a.address),
               (f"forged.{ZONE}", "MX", f"10 a.{ZONE}."), (f"part.{ZONE}", "MX", f"10 bad.{ZONE}."),
               (f"part.{ZONE}", "MX", f"20 a.{ZONE}."), (f"bad.{ZONE}", "A", a.address)]
    with work() as tmp, delivering(tmp, records, forged=[f"forged.{ZONE}", f"bad.{ZONE}"], missing=["gone.example"]) as srv:
        clients.smtplib_(srv, message("no"), to=[f"x@{d}.{ZONE}" for d in ("null", "loop", "back", "bare", "empty", "forged", "part")]
                         + ["x@gone.example", "x@[127.0.0.1]"])
        for address, code in ((f"x@null.{ZONE}", "556"), (f"x@loop.{ZONE}", "550"), (f"x@bare.{ZONE}", "550"), (f"x@empty.{ZONE}", "550"),
                              ("x@gone.example", "550"), ("x@[127.0.0.1]", "550")):
            line = logged(srv, "message.bounced", address)
            check(f'reply="{code} ' in line, line)
        check("5.1.10" in logged(srv, "message.bounced", f"x@null.{ZONE}"), "null MX is 5.1.10")
        check("5.4.6" in logged(srv, "message.bounced", f"x@loop.{ZONE}"), "a loop is 5.4.6")
        check("5.1.2" in logged(srv, "message.bounced", "x@gone.example"), "no domain is 5.1.2")
        check("4.4.3" in logged(srv, "message.deferred", f"x@forged.{ZONE}"), "forged is 4.4.3")
        wait_until(lambda: len(a.taken) == 2, 60, "the two that can be delivered")
        check(sorted(t[1][0] for t in a.taken) == [f"x@back.{ZONE}", f"x@part.{ZONE}"], f"{a.taken}")
    a.stop()


@test("a resolver that does not answer: the mail waits, and goes when it does")
def _():
    a = Exchange()
    with work() as tmp, delivering(tmp, [(f"a.{ZONE}", "A", a.address)], dns_timeout=3) as srv:
        srv.zone.shutdown()
        clients.smtplib_(srv, message("late"), to=[f"x@a.{ZONE}"])
        check("4.4.3" in logged(srv, "message.deferred", f"x@a.{ZONE}"), "not 4.4.3")
        threading.Thread(target=srv.zone.serve_forever, args=(0.05,), daemon=True).start()
        wait_until(lambda: call([SALLYPORT, "queue", "retry", "--all", "--config", srv.config], ok=range(128)) is not None
                   and a.taken, 60, "the message")
    a.stop()


@test("an address literal is delivered where the route says so")
def _():
    a = Exchange()
    with work() as tmp, delivering(tmp, [], more="    address-literals = yes") as srv:
        clients.smtplib_(srv, message("literal"), to=[f"x@[{a.address}]"])
        wait_until(lambda: a.taken, 30, "the message")
    a.stop()


@test("DANE: a record that fits is TLS verified; one that does not, and TLS not offered, deliver nothing")
def _():
    with work() as tmp:
        pki = Certificates(tmp / "pki-x")
        good = pki.sign("mx", f"/CN=other.{ZONE}", f"DNS:other.{ZONE}", "serverAuth")
        a, clear = Exchange(tls=good), Exchange()
        port, right = a.port, spki(good[0])
        records = [(f"{n}.{ZONE}", "A", clear.address if n == "clear" else a.address) for n in ("right", "wrong", "clear", "odd", "forged", "none")]
        records += [(f"_{port}._tcp.{n}.{ZONE}", "TLSA", t) for n, t in (
            ("right", f"3 1 1 {right}"), ("wrong", f"3 1 1 {'ab' * 32}"), ("clear", f"3 1 1 {right}"),
            ("odd", f"1 1 1 {right}"), ("forged", f"3 1 1 {right}"))]
        records += [("unproven.example", "A", clear.address), (f"_{port}._tcp.unproven.example", "TLSA", f"3 1 1 {'ab' * 32}")]
        with delivering(tmp, records, forged=[f"_{port}._tcp.forged.{ZONE}"]) as srv:
            clients.smtplib_(srv, message("dane"), to=[f"x@{n}.{ZONE}" for n in ("right", "wrong", "clear", "odd", "forged", "none")]
                             + ["x@unproven.example"])
            for n in ("wrong", "clear", "forged"):
                check("4.7.5" in logged(srv, "message.deferred", f"x@{n}.{ZONE}"), f"{n}: not 4.7.5")
            for n in (f"right.{ZONE}", f"odd.{ZONE}", f"none.{ZONE}", "unproven.example"):
                logged(srv, "message.delivered", f"x@{n}")
            check(sorted(t[1][0] for t in a.taken) == sorted(f"x@{n}.{ZONE}" for n in ("right", "odd", "none")), f"{a.taken}")
            check([t[1][0] for t in clear.taken] == ["x@unproven.example"], "in clear to who says by DANE that it has TLS")
            for n, words in (("right", "DANE: TLS that agrees"), ("odd", "DANE: TLS (none"), ("forged", "not used now"), ("none", "where it can be had")):
                text = call([SALLYPORT, "route", f"x@{n}.{ZONE}", "--config", srv.config])
                check(f"{n}.{ZONE} [{a.address}]: " in text and words in text and "dnssec           proven" in text, text)
        a.stop()
        clear.stop()


@test("DANE-TA: a CA of the record, with the exchange's name in the certificate; another name or another CA deliver nothing")
def _():
    with work() as tmp:
        pki, strange = Certificates(tmp / "pki-x"), Certificates(tmp / "pki-y", "another")
        port, hops, records = 0, {}, []
        for n, ca, name in (("fits", pki, "fits"), ("name", pki, "other"), ("ca", strange, "ca")):
            certificate, key = ca.sign(n, f"/CN={name}.{ZONE}", f"DNS:{name}.{ZONE}", "serverAuth")
            chain = tmp / f"{n}.chain"
            chain.write_text(Path(certificate).read_text() + Path(ca.ca).read_text())
            hops[n] = Exchange(tls=(chain, key))
            records.append((f"{n}.{ZONE}", "A", hops[n].address))
        der = ssl.PEM_cert_to_DER_cert(Path(pki.ca).read_text())
        records += [(f"_{Exchange.port_of_all}._tcp.{n}.{ZONE}", "TLSA", f"2 0 1 {hashlib.sha256(der).hexdigest()}") for n in hops]
        with delivering(tmp, records) as srv:
            clients.smtplib_(srv, message("ta"), to=[f"x@{n}.{ZONE}" for n in hops])
            logged(srv, "message.delivered", f"x@fits.{ZONE}")
            for n in ("name", "ca"):
                check("4.7.5" in logged(srv, "message.deferred", f"x@{n}.{ZONE}"), f"{n}: not 4.7.5")
                check(not hops[n].taken, f"{n} was delivered")
        for hop in hops.values():
            hop.stop()


@test("TLS-Required: No waives DANE; REQUIRETLS asks for it and for a server that promises the same, and wins over the field")
def _():
    field = b"TLS-Required: No\r\n" + message("required")
    with work() as tmp:
        pki = Certificates(tmp / "pki-x")
        good = pki.sign("mx", f"/CN=mx.{ZONE}", f"DNS:mx.{ZONE}", "serverAuth")
        keeps, plain, clear = Exchange(tls=good), Exchange(tls=good), Exchange()
        keeps.lists = ["REQUIRETLS"]
        records = [(f"{n}.{ZONE}", "A", h.address) for n, h in (("keeps", keeps), ("plain", plain), ("clear", clear), ("wrong", plain), ("any", plain))]
        records += [(f"_{Exchange.port_of_all}._tcp.{n}.{ZONE}", "TLSA", f"3 1 1 {'ab' * 32 if n == 'wrong' else spki(good[0])}")
                    for n in ("keeps", "plain", "clear", "wrong")]
        with delivering(tmp, records) as srv:
            clients.smtplib_(srv, field, to=[f"x@wrong.{ZONE}", f"x@clear.{ZONE}"])
            for n, hop in (("wrong", plain), ("clear", clear)):
                logged(srv, "message.delivered", f"x@{n}.{ZONE}")
                check_same(field, hop.taken.pop()[2])
            with inside(srv) as w:
                w.expect(250, f"MAIL FROM:<{srv.address}> REQUIRETLS")
                for n in ("keeps", "plain", "clear", "wrong", "any"):
                    w.rcpt(f"y@{n}.{ZONE}")
                w.submit(field)
            logged(srv, "message.delivered", f"y@keeps.{ZONE}")
            check(any("REQUIRETLS" in l for l in keeps.lines if l.startswith("MAIL")), "REQUIRETLS was not passed on")
            for n, why in (("plain", "a server without REQUIRETLS"), ("any", "TLS that nothing verifies"), ("clear", "no TLS"),
                           ("wrong", "another certificate than DANE's")):
                check("5.7.30" in logged(srv, "message.bounced", f"y@{n}.{ZONE}"), why)
            clients.smtplib_(srv, message("neither"), to=[f"z@wrong.{ZONE}", f"z@clear.{ZONE}"])
            for n in ("wrong", "clear"):  # connections of before may still be open: they are no way around it
                check("4.7.5" in logged(srv, "message.deferred", f"z@{n}.{ZONE}"), f"{n}: not 4.7.5")
            check(not plain.taken and not clear.taken and len(keeps.taken) == 1, "delivered where it may not be")
        for hop in (keeps, plain, clear):
            hop.stop()


@test("exchanges of one preference share the domains; one that is an alias in DNS is found all the same")
def _():
    a, b = Exchange(), Exchange()
    records = [(f"a.{ZONE}", "A", a.address), (f"b.{ZONE}", "A", b.address), (f"alias.{ZONE}", "CNAME", f"b.{ZONE}."),
               (f"cname.{ZONE}", "MX", f"1 alias.{ZONE}.")]
    domains = [f"d{i}.{ZONE}" for i in range(24)]
    records += [(d, "MX", f"10 {h}.{ZONE}.") for d in domains for h in "ab"]
    with work() as tmp, delivering(tmp, records) as srv:
        clients.smtplib_(srv, message("many"), to=[f"x@{d}" for d in [*domains, f"cname.{ZONE}"]])
        wait_until(lambda: len(a.taken) + len(b.taken) == 25, 60, f"{len(a.taken)} {len(b.taken)}")
        check(len(a.taken) >= 1 and len(b.taken) >= 2, f"always the same first: {len(a.taken)} {len(b.taken)}")
        check(any(t[1] == [f"x@cname.{ZONE}"] for t in b.taken), "not at the alias's host")
    a.stop()
    b.stop()


@test("opportunistic: a handshake that fails is followed by a new connection in clear; tls = required is not")
def _():
    with work() as tmp:
        broken = Broken()
        records = [(f"b.{ZONE}", "A", broken.address)]
        with delivering(tmp, records) as srv:
            clients.smtplib_(srv, message("clear"), to=[f"x@b.{ZONE}"])
            wait_until(lambda: broken.taken, 60, "the message in clear")
        with work() as other, delivering(other, records, more="    tls = required") as srv:
            clients.smtplib_(srv, message("clear"), to=[f"x@b.{ZONE}"])
            check("4.7.5" in logged(srv, "message.deferred", f"x@b.{ZONE}"), "not 4.7.5")
            check(len(broken.taken) == 1, "it was sent in clear")
        broken.stop()


run()
