# STARTTLS is answered 454: neither password nor mail leaves
server check=C04 needs=starttls
C: (clear) EHLO
S: 250-mail.check.test
S: 250-8BITMIME
S: 250-AUTH PLAIN LOGIN
S: 250 STARTTLS
C: STARTTLS
S: 454 4.7.0 TLS not available due to temporary reason
C: (clear) AUTH
! auth
C: (clear) MAIL
S: 250 2.1.0 Sender ok
= clear-refused: !secret-clear !challenge-clear !mail-clear !delivered
