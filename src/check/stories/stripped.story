# STARTTLS is not offered: neither password nor mail leaves
server check=C04 needs=starttls
C: EHLO
S: 250-mail.check.test
S: 250-PIPELINING
S: 250-SIZE 10485760
S: 250-8BITMIME
S: 250 AUTH PLAIN LOGIN
C: STARTTLS
S: 502 5.5.1 Command not implemented
C: (clear) AUTH
! auth
C: (clear) MAIL
S: 250 2.1.0 Sender ok
= clear-refused: !secret-clear !challenge-clear !mail-clear !delivered
