#!/usr/bin/python3
# sets: default
# timeout: 300
"""OCSP stapling: what openssl's own responder says is shown to clients that ask, read again when the
file changes, and never sent when it is too old or about something else."""
import datetime
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509 import ocsp
from harness import *

need_server()
if SALLYPORT == "standin":
    print("skipped: the stand-in staples nothing\n0 passed, 0 failed, 1 skipped")
    sys.exit(0)

HOUR = datetime.timedelta(hours=1)


def loaded(path):
    return x509.load_pem_x509_certificate(path.read_bytes())


def put(path, octets):
    """At once, as a careful program would."""
    new = path.with_suffix(".new")
    new.write_bytes(octets)
    os.replace(new, path)


def made(pki, certificate, begin=-HOUR, end=HOUR, status=ocsp.OCSPCertStatus.GOOD, signer=None):
    """A response as a responder of this CA (or of another, `signer`) would give it."""
    now = datetime.datetime.utcnow()
    signer = signer or pki
    revoked = status == ocsp.OCSPCertStatus.REVOKED
    key = serialization.load_pem_private_key(signer.ca_key.read_bytes(), None)
    builder = ocsp.OCSPResponseBuilder().add_response(
        loaded(certificate), loaded(pki.ca), hashes.SHA1(), status, now + begin, now + end if end else None,
        now - HOUR if revoked else None, None).responder_id(ocsp.OCSPResponderEncoding.HASH, loaded(signer.ca))
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.DER)


def by_openssl(pki, certificate, tmp):
    """openssl as the CA's responder: its data base says that the certificate is valid."""
    serial = f"{loaded(certificate).serial_number:X}"
    serial = "0" * (len(serial) % 2) + serial
    (tmp / "index").write_text(f"V\t351231235959Z\t\t{serial}\tunknown\t/CN=localhost\n")
    call(["openssl", "ocsp", "-issuer", pki.ca, "-cert", certificate, "-reqout", tmp / "request"])
    call(["openssl", "ocsp", "-index", tmp / "index", "-CA", pki.ca, "-rsigner", pki.ca, "-rkey", pki.ca_key,
          "-reqin", tmp / "request", "-respout", tmp / "response", "-ndays", "1"])
    return (tmp / "response").read_bytes()


def asked(srv, pki, port, *words):
    said = call(["openssl", "s_client", "-connect", f"localhost:{port}", "-servername", "localhost", "-CAfile", pki.ca,
                 "-verify_return_error", "-status", *words], stdin=b"QUIT\r\n")
    check("Verify return code: 0 (ok)" in said, said)
    if "OCSP response: no response sent" in said:
        return None
    check("OCSP Response Status: successful (0x0)" in said, said)
    return re.search(r"Cert Status: (\w+)", said)[1]


@contextlib.contextmanager
def stapling(tmp, response, chain=True):
    """(server, CA, certificate, the file that is stapled); response(pki, certificate) or None: no file."""
    pki = Certificates(tmp / "stapled")
    certificate, key = pki.server()
    shown = tmp / "shown.pem"
    shown.write_bytes(certificate.read_bytes() + (pki.ca.read_bytes() if chain else b""))
    path = tmp / "mail.ocsp"
    if response:
        put(path, response(pki, certificate))
    section = f"tls stapled {{\n    certificate = {shown}\n    key = {key}\n    ocsp-response = {path}\n}}\n"
    with server(tmp, more=section, listener="    certificate = stapled\n") as srv:
        yield srv, pki, certificate, path


@test("what openssl ocsp answers is shown on both ports, in TLS 1.2 and 1.3, with and without the issuer in the chain")
def _():
    for chain in (True, False):
        with work() as tmp, stapling(tmp, lambda pki, c: by_openssl(pki, c, tmp), chain) as (srv, pki, _, _):
            for version in ("-tls1_2", "-tls1_3"):
                check(asked(srv, pki, srv.tls_port, version) == "good", f"{version}, implicit TLS")
                check(asked(srv, pki, srv.port, version, "-starttls", "smtp") == "good", f"{version}, STARTTLS")
            check("warning" not in srv.log.read_text(), srv.log.read_text())


@test("the file may come later; one that is too old is not sent, and both the reload and the first client say so")
def _():
    with work() as tmp, stapling(tmp, None) as (srv, pki, certificate, path):
        check("mail.ocsp" in srv.log.read_text(), "a file that is not there is not said")
        check(asked(srv, pki, srv.tls_port) is None, "a response from nowhere")
        put(path, made(pki, certificate))
        wait_until(lambda: asked(srv, pki, srv.tls_port) == "good", 60, "the new response")
        put(path, made(pki, certificate, -2 * HOUR, -HOUR))
        wait_until(lambda: "mail.ocsp is too old since" in srv.log.read_text(), 60, "the warning")
        wait_until(lambda: asked(srv, pki, srv.tls_port) is None, 60, "the old response to be gone")
        check(asked(srv, pki, srv.tls_port) is None, "it was sent again")
        wait_until(lambda: " tls.staple-expired " in srv.log.read_text(), 20, "the event")
        put(path, made(pki, certificate, end=None))  # without nextUpdate: for a day
        wait_until(lambda: asked(srv, pki, srv.tls_port) == "good", 60, "the response without an end")


@test("a response that is revoked, about another certificate, of another signer or none at all: said, not sent")
def _():
    with work() as tmp, stapling(tmp, made) as (srv, pki, certificate, path):
        other, stranger = pki.server("other")[0], Certificates(tmp / "stranger", "stranger")
        for octets, words in [
                (made(pki, certificate, status=ocsp.OCSPCertStatus.REVOKED), "does not say that the certificate is good"),
                (made(pki, other), "is about another certificate"),
                (made(pki, certificate, signer=stranger), "is not signed by the issuer"),
                (ocsp.OCSPResponseBuilder.build_unsuccessful(ocsp.OCSPResponseStatus.TRY_LATER)
                 .public_bytes(serialization.Encoding.DER), "trylater"),
                (b"GET / HTTP/1.0\r\n", "is no OCSP response"), (b"\x30\x84\xff\xff\xff\xff", "is no OCSP response"),
                (made(pki, certificate)[:-40], "is no OCSP response")]:
            put(path, octets)
            said = call([SALLYPORT, "config", "check", "--files", "--config", srv.config], ok=range(256))
            check(words in said, f"not {words!r}: {said}")
        put(path, made(pki, other))
        wait_until(lambda: asked(srv, pki, srv.tls_port) is None, 60, "the wrong response to be gone")
        srv.mailbox("bob")


run()
