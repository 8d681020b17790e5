# the certificate is for another name: the client does not talk to this server
server check=C06 certificate=wrong-name
= wrong-name-accepted: auth-tls
= wrong-name-accepted: mail-tls
= certificate-verified: connected !auth-tls !mail-tls !secret-clear !text-clear | {when}
