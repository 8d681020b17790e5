#!/usr/bin/python3
"""servers_aiosmtpd.py - aiosmtpd as a submission server: passwords by the authenticator and
EXTERNAL by the auth_ hook that its manual describes.  Keeps mail as servers_sink.py does,
and prints who sent each message and how.  All settings come as JSON in the first argument.
"""
import asyncio, base64, functools, json, signal, ssl, sys
from aiosmtpd.smtp import MISSING, SMTP, AuthResult, LoginPassword
from servers_sink import BIGGEST, Keep

settings = json.loads(sys.argv[1])


class Handler(Keep):
    """Mail, and the certificate's login."""

    async def auth_EXTERNAL(self, server, args):
        certificate = server.transport.get_extra_info("peercert") or {}
        names = [v for k, v in certificate.get("subjectAltName", ()) if k == "email"]
        said = args[1] if len(args) > 1 else None
        if said is None:
            said = await server.challenge_auth("")
            if said is MISSING:
                return AuthResult(success=False)
            wanted = said.decode()
        else:
            wanted = "" if said == "=" else base64.b64decode(said).decode()
        good = bool(names) and wanted in ("", names[0])
        return AuthResult(success=good, handled=False, auth_data=("EXTERNAL", names and names[0]))

    async def handle_DATA(self, server, session, envelope):
        how, who = session.auth_data
        message_id = next((l for l in envelope.original_content.split(b"\r\n")
                           if l.lower().startswith(b"message-id:")), b"").decode()
        print(f"accepted {message_id.split(':')[-1].strip()} from {who} by {how}", flush=True)
        return await super().handle_DATA(server, session, envelope)


def check_password(server, session, envelope, mechanism, data):
    good = isinstance(data, LoginPassword) and \
        (data.login.decode(), data.password.decode()) == (settings["user"], settings["password"])
    return AuthResult(success=good, handled=False, auth_data=(mechanism, settings["user"]))


def main():
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(settings["certificate"], settings["key"])
    tls.load_verify_locations(settings["ca"])
    tls.verify_mode = ssl.CERT_OPTIONAL
    loop = asyncio.new_event_loop()
    handler = Handler(settings["folder"])
    make = functools.partial(SMTP, handler, hostname="mail.remote.test", loop=loop,
                             authenticator=check_password, auth_required=True,
                             data_size_limit=BIGGEST, enable_SMTPUTF8=True)
    loop.run_until_complete(loop.create_server(
        functools.partial(make, tls_context=tls, require_starttls=True), "127.0.0.1",
        settings["port"]))
    # TLS from the first octet: the login is allowed because all of it is inside TLS.
    loop.run_until_complete(loop.create_server(
        functools.partial(make, auth_require_tls=False), "127.0.0.1", settings["tls_port"], ssl=tls))
    loop.add_signal_handler(signal.SIGTERM, loop.stop)
    loop.run_forever()


main()
