# the TLS handshake breaks: the client does not come back without TLS
server check=C04 needs=starttls
C: (clear) EHLO
S: 250-mail.check.test
S: 250-8BITMIME
S: 250-AUTH PLAIN LOGIN
S: 250 STARTTLS
C: STARTTLS
S: 220 2.0.0 Ready to start TLS
! junk
C: (clear) AUTH
! auth
C: (clear) MAIL
S: 250 2.1.0 Sender ok
= clear-refused: !secret-clear !challenge-clear !mail-clear !delivered
