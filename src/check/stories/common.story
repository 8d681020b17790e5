# The server that is like any other: it stands behind every story, and judges every client
server check=C01
C: <connect>
S: 220 mail.check.test ESMTP
C: (clear) EHLO
S: 250-mail.check.test
S: 250-PIPELINING
S: 250-SIZE 10485760
S: 250-8BITMIME
S: 250-ENHANCEDSTATUSCODES
S: 250 STARTTLS
C: (tls cert) EHLO
S: 250-mail.check.test
S: 250-PIPELINING
S: 250-SIZE 10485760
S: 250-8BITMIME
S: 250-ENHANCEDSTATUSCODES
S: 250 AUTH SCRAM-SHA-256 PLAIN LOGIN EXTERNAL
C: (tls) EHLO
S: 250-mail.check.test
S: 250-PIPELINING
S: 250-SIZE 10485760
S: 250-8BITMIME
S: 250-ENHANCEDSTATUSCODES
S: 250 AUTH SCRAM-SHA-256 PLAIN LOGIN
C: HELO
S: 250 mail.check.test
C: (clear) STARTTLS
S: 220 2.0.0 Ready to start TLS
C: (tls) STARTTLS
S: 503 5.5.1 TLS is on
C: (clear) AUTH
S: 530 5.7.0 Must issue a STARTTLS command first
C: (clear) MAIL
S: 530 5.7.0 Must issue a STARTTLS command first
C: (tls) AUTH
! auth
C: (wanted anonymous) MAIL
S: 530 5.7.0 Authentication required
C: MAIL
S: 250 2.1.0 Sender ok
C: RCPT
S: 250 2.1.5 Recipient ok
C: DATA
S: 354 Go on, end with a dot
C: <chunk>
S: 250 2.0.0 More
C: <dot>
S: 250 2.0.0 Taken
C: <login-good>
S: 235 2.7.0 Welcome
C: <login-bad>
S: 535 5.7.8 Credentials invalid
C: RSET
S: 250 2.0.0 Ok
C: NOOP
S: 250 2.0.0 Ok
C: VRFY
S: 252 2.5.0 Send some mail and see
C: QUIT
S: 221 2.0.0 Bye
= success-claimed: success !delivered !unknown | {when}
= success-claimed-unknown: success unknown !delivered | {when}
= failure-claimed: failure delivered !partial | {when}
= secret-in-clear: secret-clear | {when}
= challenge-in-clear: challenge-clear | {when}
= text-in-clear: text-clear submission | {when}
= client-crashed: crashed | {when}
= client-hangs: killed !held | {when}
= command-from-message: executed | {when}
= starttls-inside-tls: starttls-in-tls | {when}
