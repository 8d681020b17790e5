#!/usr/bin/python3
# sets: default
# timeout: 300
"""MTA-STS (RFC 8461): what a domain's policy asks for, and that it outlives whoever makes it vanish."""
import contextlib

import clients
from exchanges import *
from wire import *

need_server()
if SALLYPORT == "standin":
    skip("the stand-in delivers nowhere")

OUTSIDE = f"clear.{ZONE}"  # a second domain


class World:
    """Two exchanges, one with a good certificate and one without TLS, and a policy."""

    def __init__(self, tmp, text=None, mx=("good",), **how):
        self.pki = Certificates(tmp / "pki-x")
        self.good = Exchange(tls=self.pki.sign("mx", f"/CN=good.{ZONE}", f"DNS:good.{ZONE}", "serverAuth"))
        self.other = Exchange(tls=self.pki.sign("mx2", f"/CN=wrong.{ZONE}", f"DNS:wrong.{ZONE}", "serverAuth"))
        self.clear = Exchange()
        self.web = PolicyHost(self.pki, text or sts_text(f"good.{ZONE}"), **how)
        self.records = [(ZONE, "MX", f"{n} {h}.{ZONE}.") for n, h in enumerate(mx)]
        self.records += [(f"good.{ZONE}", "A", self.good.address), (f"other.{ZONE}", "A", self.other.address),
                         (f"clear.{ZONE}", "A", self.clear.address), (f"mta-sts.{ZONE}", "A", self.web.address),
                         (f"_mta-sts.{ZONE}", "TXT", '"v=STSv1; id=1;"')]
        self.more = f"    tls-ca = {self.pki.ca}\n    mta-sts-ca = {self.pki.ca}\n    mta-sts-timeout = 60s"

    def taken(self):
        return [t[1][0] for hop in (self.good, self.other, self.clear) for t in hop.taken]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for x in (self.good, self.other, self.clear):
            x.stop()
        self.web.__exit__()


def send(srv, to):
    clients.smtplib_(srv, message("sts"), to=[to])


def new_id(srv, text):
    srv.zone.sets = {k: v for k, v in srv.zone.sets.items() if k[0].to_text() != f"_mta-sts.{ZONE}."}
    if text:
        srv.zone.put(f"_mta-sts.{ZONE}", "TXT", f'"{text}"')


def kept(srv):
    found = [p for p in srv.data.rglob("mta-sts/*") if p.name == ZONE]
    return found[0].read_text() if found else ""


def reload(srv, old, new):
    srv.config.write_text(srv.config.read_text().replace(old, new))
    srv.process.p.send_signal(signal.SIGHUP)


def said(srv, words):
    return wait_until(lambda: re.search(rf"^.*{words}.*$", srv.log.read_text(), re.M), 60, words)[0]


@test("enforce: listed and verified is delivered; not listed, unverified or in clear is not; other domains are not concerned")
def _():
    with work() as tmp, World(tmp, mx=("clear", "other", "good")) as w, delivering(tmp, w.records, w.more) as srv:
        send(srv, f"a@{ZONE}")
        check(f"good.{ZONE}" in logged(srv, "message.delivered", f"a@{ZONE}"), "not by the exchange that the policy lists")
        send(srv, f"a@{OUTSIDE}")
        logged(srv, "message.delivered", f"a@{OUTSIDE}")
        check(w.taken() == [f"a@{ZONE}", f"a@{OUTSIDE}"], str(w.taken()))
        said(srv, f"mta-sts.policy domain={ZONE} mode=enforce")
        wait_until(lambda: "mode: enforce" in kept(srv), 60, "the policy on disk")
        check(w.web.hits == 1, f"{w.web.hits}")
        text = call([SALLYPORT, "route", f"a@{ZONE}", "--config", srv.config])
        for words in ("enforce, id 1, kept, ", f"good.{ZONE} [{w.good.address}]: MTA-STS: TLS, verified",
                      f"clear.{ZONE} [{w.clear.address}]: MTA-STS: not used"):
            check(words in text, text)
        check(w.web.hits == 1, "route fetched what is kept")


@test("a listed exchange whose certificate is for another name, or that has no TLS, gets nothing: 4.7.5")
def _():
    with work() as tmp, World(tmp, sts_text(f"*.{ZONE}"), mx=("other", "clear")) as w, delivering(tmp, w.records, w.more) as srv:
        send(srv, f"a@{ZONE}")
        check("4.7.5" in logged(srv, "message.deferred", f"a@{ZONE}"), "not 4.7.5")
        check(w.other.sessions and w.clear.sessions, "one of them was not asked")
        check(not w.taken(), str(w.taken()))


@test("testing and none ask for nothing; a host without certificate, a redirect, garbage, a huge text are no policy")
def _():
    good = sts_text(f"good.{ZONE}")
    cases = ((sts_text(f"good.{ZONE}", "testing"), {}, "mta-sts.policy {} mode=testing"),
             (sts_text(f"good.{ZONE}", "none"), {}, "mta-sts.policy {} mode=none"),
             (good, {"name": "elsewhere.example"}, "mta-sts.failed warning {} .*certificate"),
             (good, {"status": 302}, "mta-sts.failed warning {} .*status 302"),
             ("<html>", {}, "mta-sts.failed warning {} .*version"),
             (good + "x: y\r\n" * 20000, {}, "mta-sts.failed warning {} .*too large"))
    with work() as tmp, World(tmp) as w, contextlib.ExitStack() as stack:
        web = []
        for n, (text, how, _) in enumerate(cases):
            d = f"d{n}.{ZONE}"
            web.append(stack.enter_context(PolicyHost(w.pki, text, domain=d, **how)))
            w.records += [(d, "MX", f"0 clear.{ZONE}."), (f"mta-sts.{d}", "A", web[n].address),
                          (f"_mta-sts.{d}", "TXT", '"v=STSv1; id=1;"')]
        srv = stack.enter_context(delivering(tmp, w.records, w.more))
        for n, (_, _, words) in enumerate(cases):
            to = f"a@d{n}.{ZONE}"
            send(srv, to)
            logged(srv, "message.delivered", to)
            said(srv, words.format(f"domain=d{n}.{ZONE}"))
            check(web[n].hits <= 1 and w.taken()[-1] == to, f"{n}: {web[n].hits} {w.taken()}")


@test("kept over a restart and over a policy that vanishes; another id is fetched; what fails meanwhile changes nothing")
def _():
    with work() as tmp, World(tmp, mx=("clear",)) as w, delivering(tmp, w.records, w.more) as srv:
        send(srv, f"a@{ZONE}")
        check("4.7.5" in logged(srv, "message.deferred", f"a@{ZONE}"), "not 4.7.5")
        for number, (record, status) in enumerate(((None, 200), ("v=STSv1; id=2", 500), ("v=STSv1; id=", 200))):
            srv.stop()
            new_id(srv, record)
            w.web.status, w.web.hits = status, 0
            srv.start()
            send(srv, f"{number}@{ZONE}")
            logged(srv, "message.deferred", f"{number}@{ZONE}")
            check(w.web.hits == (record == "v=STSv1; id=2") and not w.taken(), f"{record}: {w.web.hits} {w.taken()}")
        said(srv, 'mta-sts.failed .*status 500.*kept=enforce')
        srv.stop()
        new_id(srv, "v=STSv1; id=3")
        w.web.status, w.web.text = 200, sts_text(f"good.{ZONE}", "none")
        srv.start()
        send(srv, f"last@{ZONE}")
        logged(srv, "message.delivered", f"last@{ZONE}")
        wait_until(lambda: "mode: none" in kept(srv), 60, "the new policy on disk")


@test("a policy that has expired counts no more; a damaged file is none")
def _():
    with work() as tmp, World(tmp, mx=("clear",)) as w, delivering(tmp, w.records, w.more) as srv:
        send(srv, f"a@{ZONE}")
        logged(srv, "message.deferred", f"a@{ZONE}")
        wait_until(lambda: kept(srv), 60, "the policy on disk")
        srv.stop()
        new_id(srv, None)
        file = next(p for p in srv.data.rglob("mta-sts/*"))
        file.write_text(re.sub(r"fetched: \d+", "fetched: 1700000000", file.read_text()))
        srv.start()
        send(srv, f"b@{ZONE}")
        logged(srv, "message.delivered", f"b@{ZONE}")
        srv.stop()
        file.write_text("version: STSv1\nmode: enforce\nmx: ")
        srv.start()
        send(srv, f"c@{ZONE}")
        logged(srv, "message.delivered", f"c@{ZONE}")


@test("a policy's host that does not answer holds up its own domain and no other, and not for ever")
def _():
    with work() as tmp, World(tmp, mx=("clear",)) as w, delivering(tmp, w.records, w.more) as srv:
        w.web.go.clear()
        send(srv, f"slow@{ZONE}")
        wait_until(lambda: w.web.hits == 1, 60, "the question")
        send(srv, f"fast@{OUTSIDE}")
        logged(srv, "message.delivered", f"fast@{OUTSIDE}")
        check(w.taken() == [f"fast@{OUTSIDE}"], str(w.taken()))
        w.web.text = "nothing"
        w.web.go.set()
        logged(srv, "message.delivered", f"slow@{ZONE}")
    with work() as tmp, World(tmp, mx=("clear",)) as w, delivering(tmp, w.records, w.more.replace("60s", "1s")) as srv:
        w.web.go.clear()
        send(srv, f"slow@{ZONE}")
        logged(srv, "message.delivered", f"slow@{ZONE}")
        said(srv, "mta-sts.failed .*cannot be fetched.*kept=none")


@test("a reload while a policy is fetched loses nothing; mta-sts = no asks nobody")
def _():
    with work() as tmp, World(tmp, mx=("clear",)) as w, delivering(tmp, w.records, w.more) as srv:
        w.web.go.clear()
        send(srv, f"slow@{ZONE}")
        wait_until(lambda: w.web.hits == 1, 60, "the question")
        reload(srv, "mta-sts-timeout = 60s", "mta-sts-timeout = 61s")
        wait_until(lambda: w.web.hits == 2, 60, "the question of the new configuration")
        reload(srv, "mta-sts-timeout = 61s", "mta-sts = no")
        logged(srv, "message.delivered", f"slow@{ZONE}")
        check(w.web.hits == 2 and w.taken() == [f"slow@{ZONE}"], f"{w.web.hits} {w.taken()}")


run()
