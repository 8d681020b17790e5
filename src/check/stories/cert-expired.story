# the certificate has expired: the client does not talk to this server
server check=C06 certificate=expired
= expired-accepted: auth-tls
= expired-accepted: mail-tls
= certificate-verified: connected !auth-tls !mail-tls !secret-clear !text-clear | {when}
