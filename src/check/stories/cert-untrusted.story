# the certificate is of an unknown authority: the client does not talk to this server
server check=C06 certificate=untrusted
= untrusted-accepted: auth-tls
= untrusted-accepted: mail-tls
= certificate-verified: connected !auth-tls !mail-tls !secret-clear !text-clear | {when}
