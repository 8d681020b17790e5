#!/usr/bin/python3
# sets: default
# timeout: 300
"""TLSRPT (RFC 8460): sessions are counted for domains that ask, reports go by mail and by HTTPS; format judged by a JSON schema."""
import datetime, email, email.policy, gzip, http.server, json, threading

import clients
from exchanges import *
from wire import *

need_server()
if SALLYPORT == "standin":
    skip("the stand-in delivers nowhere")
try:
    import jsonschema
except ImportError:
    skip("python3-jsonschema is not here")

COUNT = {"type": "integer", "minimum": 0}
TIME = {"type": "string", "pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$"}
RESULTS = ["starttls-not-supported", "certificate-host-mismatch", "certificate-expired", "certificate-not-trusted",
           "validation-failure", "tlsa-invalid", "dnssec-invalid", "dane-required", "sts-policy-fetch-error",
           "sts-policy-invalid", "sts-webpki-invalid"]


def closed(required, **properties):
    return {"type": "object", "properties": properties, "required": required.split(), "additionalProperties": False}


SCHEMA = closed(  # RFC 8460 4.4 and 4.5
    "organization-name date-range contact-info report-id policies",
    **{"organization-name": {"type": "string"}, "contact-info": {"type": "string", "pattern": "^[^@]+@[^@]+$"},
       "report-id": {"type": "string", "minLength": 1},
       "date-range": closed("start-datetime end-datetime", **{"start-datetime": TIME, "end-datetime": TIME}),
       "policies": {"type": "array", "minItems": 1, "items": closed(
           "policy summary",
           policy=closed("policy-type policy-domain", **{
               "policy-type": {"enum": ["tlsa", "sts", "no-policy-found"]}, "policy-domain": {"type": "string"},
               "policy-string": {"type": "array", "minItems": 1, "items": {"type": "string"}},
               "mx-host": {"type": "array", "items": {"type": "string"}}}),
           summary=closed("total-successful-session-count total-failure-session-count", **{
               "total-successful-session-count": COUNT, "total-failure-session-count": COUNT}),
           **{"failure-details": {"type": "array", "items": closed(
               "result-type failed-session-count", **{
                   "result-type": {"enum": RESULTS}, "failed-session-count": {"type": "integer", "minimum": 1},
                   "receiving-mx-hostname": {"type": "string"}, "receiving-ip": {"type": "string"},
                   "failure-reason-code": {"type": "string"}})}})}})


class Taker:
    """https://localhost:PORT/: what was posted, and whether it is taken."""

    def __init__(self, pki):
        self.got, self.status = [], 201
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                outer.got.append((self.headers["Content-Type"], self.rfile.read(int(self.headers["Content-Length"]))))
                self.send_response(outer.status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.handle_error = lambda *_: None
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*pki.sign("taker", "/CN=localhost", "DNS:localhost", "serverAuth"))
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True, do_handshake_on_connect=False)
        self.url = f"https://localhost:{self.server.server_address[1]}/report"
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()


def judged(octets):
    report = json.loads(octets)
    jsonschema.Draft7Validator(SCHEMA).validate(report)
    return report


def of_type(report, kind):
    return [p for p in report["policies"] if p["policy"]["policy-type"] == kind][0]


@contextlib.contextmanager
def world(tmp, on="yes"):
    """Domains: one with a policy and a bad exchange in front of a good one; one without a
    policy whose exchange has no TLS; one that asks for nothing."""
    pki = Certificates(tmp / "pki-x")
    good = Exchange(tls=pki.sign("mx", f"/CN=good.{ZONE}", f"DNS:good.{ZONE}", "serverAuth"))
    bad = Exchange(tls=pki.sign("mx2", f"/CN=wrong.{ZONE}", f"DNS:wrong.{ZONE}", "serverAuth"))
    clear = Exchange()
    with contextlib.ExitStack() as stack:
        for x in (good, bad, clear):
            stack.callback(x.stop)
        taker = stack.enter_context(Taker(pki))
        web = stack.enter_context(PolicyHost(pki, sts_text(f"*.{ZONE}")))
        records = [(ZONE, "MX", f"0 bad.{ZONE}."), (ZONE, "MX", f"1 good.{ZONE}."),
                   (f"good.{ZONE}", "A", good.address), (f"bad.{ZONE}", "A", bad.address),
                   (f"mta-sts.{ZONE}", "A", web.address), (f"_mta-sts.{ZONE}", "TXT", '"v=STSv1; id=1;"'),
                   (f"_smtp._tls.{ZONE}", "TXT", f'"v=TLSRPTv1; rua=mailto:tlsrpt%40{ZONE}?subject=x,{taker.url}"'),
                   (f"clear.{ZONE}", "A", clear.address),
                   (f"_smtp._tls.clear.{ZONE}", "TXT", f'"v=TLSRPTv1;rua={taker.url}"'),
                   (f"silent.{ZONE}", "A", clear.address)]
        more = f"    tls-ca = {pki.ca}\n    mta-sts-ca = {pki.ca}\n}}\ndkim own {{\n    domain = reports.example\n    selector = s1\n    key = {tmp}/dkim.pem"
        subprocess.run(["openssl", "genrsa", "-out", str(tmp / "dkim.pem"), "2048"], check=True, capture_output=True)
        (tmp / "dkim.pem").chmod(0o644)
        top = f"tls-reports = {on}\ntls-reports-contact = tlsrpt@reports.example\ntls-reports-organization = \"Example Ltd\"\ntls-reports-ca = {pki.ca}\n"
        srv = stack.enter_context(delivering(tmp, records, more, top=top))
        srv.good, srv.bad, srv.clear, srv.taker = good, bad, clear, taker
        yield srv


def send(srv, to):
    clients.smtplib_(srv, message("rpt"), to=[to])
    logged(srv, "message.delivered", to)


def lines(srv):
    return [l for p in srv.data.rglob("tlsrpt/20*") for l in p.read_text().splitlines()]


def older(srv):
    """What was counted today was counted a while ago."""
    for p in list(srv.data.rglob("tlsrpt/20*")):
        p.rename(p.with_name("2026-01-31"))


@test("counted by policy and reason, told once by signed mail and by HTTPS, in the form of RFC 8460")
def _():
    with work() as tmp, world(tmp) as srv:
        send(srv, f"a@{ZONE}")
        send(srv, f"a@clear.{ZONE}")
        send(srv, f"a@silent.{ZONE}")
        wait_until(lambda: len(lines(srv)) >= 3, 60, "three sessions")
        text = call([SALLYPORT, "queue", "tlsrpt", ZONE, "--config", srv.config])
        now = judged(text)
        srv.stop()
        check(not any("silent" in l for l in lines(srv)), "a domain that did not ask was counted")
        older(srv)
        srv.start()
        wait_until(lambda: len(srv.taker.got) >= 2, 120, "two posts")
        mails = lambda: [t for hop in (srv.good, srv.bad) for t in hop.taken if f"tlsrpt@{ZONE}" in t[1][0]]
        wait_until(mails, 120, "a mail")
        posts = {}
        for kind, octets in srv.taker.got:
            check(kind == "application/tlsrpt+gzip", kind)
            r = judged(gzip.decompress(octets))
            posts[r["policies"][0]["policy"]["policy-domain"]] = r
        sender, _, octets = mails()[0]
        m = email.message_from_bytes(octets if isinstance(octets, bytes) else octets.encode(), policy=email.policy.default)
        check(m["TLS-Report-Domain"] == ZONE and m["TLS-Report-Submitter"], str(m.items()))
        check(m.get_content_type() == "multipart/report" and m.get_param("report-type") == "tlsrpt", m["Content-Type"])
        check("d=reports.example" in (m["DKIM-Signature"] or ""), "not signed")
        part = [p for p in m.walk() if p.get_content_type() == "application/tlsrpt+gzip"][0]
        mailed = judged(gzip.decompress(part.get_payload(decode=True)))
        check(mailed == posts[ZONE], "the mail says something else than the post")
        check(re.fullmatch(rf"[^!]+!{re.escape(ZONE)}!1769817600!1769903999\.json\.gz", part.get_filename()), part.get_filename())
        check(mailed["organization-name"] == "Example Ltd" and mailed["contact-info"] == "tlsrpt@reports.example"
              and mailed["date-range"]["start-datetime"] == "2026-01-31T00:00:00Z", str(mailed))
        sts = of_type(mailed, "sts")
        check(sts["summary"] == {"total-successful-session-count": 1, "total-failure-session-count": 1}, str(sts))
        check(sts["policy"]["mx-host"] == [f"*.{ZONE}"] and "mode: enforce" in sts["policy"]["policy-string"], str(sts))
        detail = sts["failure-details"][0]
        check(detail["result-type"] == "certificate-host-mismatch" and detail["receiving-mx-hostname"] == f"bad.{ZONE}"
              and detail["receiving-ip"] == srv.bad.address, str(detail))
        check(now["policies"] == mailed["policies"], "`queue tlsrpt` said something else")
        clear = of_type(posts[f"clear.{ZONE}"], "no-policy-found")
        check(clear["failure-details"][0]["result-type"] == "starttls-not-supported", str(clear))
        wait_until(lambda: not [p for p in srv.data.rglob("tlsrpt/*") if p.name != datetime.datetime.utcnow().strftime("%Y-%m-%d")],
                   60, "everything given away")


@test("what a host does not take is kept over a restart and given to it again; off means that nothing is counted")
def _():
    with work() as tmp, world(tmp) as srv:
        srv.taker.status = 500
        send(srv, f"a@clear.{ZONE}")
        wait_until(lambda: lines(srv), 60, "a session")
        srv.stop()
        older(srv)
        srv.start()
        wait_until(lambda: "tls-report.failed" in srv.log.read_text(), 60, "a refusal")
        srv.stop()
        srv.taker.status, before = 204, len(srv.taker.got)
        srv.start()
        wait_until(lambda: len(srv.taker.got) > before, 60, "another attempt")
        wait_until(lambda: not list(srv.data.rglob("tlsrpt/post-*")), 60, "that it is gone")
        srv.stop()
        srv.config.write_text(srv.config.read_text().replace("tls-reports = yes", "tls-reports = no"))
        srv.start()
        send(srv, f"b@clear.{ZONE}")
        check(not lines(srv), str(lines(srv)))


run()
