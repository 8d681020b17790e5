# neither STARTTLS nor AUTH is offered: neither password nor mail leaves
server check=C04 needs=starttls
C: (clear) EHLO
S: 250-mail.check.test
S: 250 8BITMIME
C: STARTTLS
S: 502 5.5.1 Command not implemented
C: (clear) AUTH
! auth
C: (clear) MAIL
S: 250 2.1.0 Sender ok
= clear-refused: !secret-clear !challenge-clear !mail-clear !delivered
