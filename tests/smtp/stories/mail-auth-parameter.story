# MAIL AUTH=: xtext decoded, "<>" and what is no address are empty, bad xtext 501 5.5.4 (RFC 4954 5)
server
S: 220 mx.example.org ESMTP
C: EHLO client.example
S~ 250 mx.example.org
C: STARTTLS
S: 220 2.0.0 Ready to start TLS
C: EHLO client.example
S~ 250 mx.example.org
! auth ok alice
C: AUTH PLAIN AGFsaWNlAHNlY3JldA==
S: 235 2.7.0 Authenticated as alice
C: MAIL FROM:<alice@example.org> AUTH=e+3Dmc2@example.com
S: 250 2.1.0 Sender ok
= mail <alice@example.org> auth=e=mc2@example.com
C: RSET
S: 250 2.0.0 Ok
C: MAIL FROM:<alice@example.org> AUTH=<>
S: 250 2.1.0 Sender ok
= mail <alice@example.org> auth=
C: RSET
S: 250 2.0.0 Ok
C: MAIL FROM:<alice@example.org> AUTH=e+3
S: 501 5.5.4 Bad value, the form is AUTH=<> or an address in xtext
# Dovecot's submission service sends the bare name of its own user.
C: MAIL FROM:<alice@example.org> AUTH=alice
S: 250 2.1.0 Sender ok
= mail <alice@example.org> auth=
