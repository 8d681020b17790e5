# EHLO is answered 502 before TLS: no HELO session without TLS
server check=C04 needs=starttls
C: (clear) EHLO
S: 502 5.5.1 Command not implemented
C: STARTTLS
S: 502 5.5.1 Command not implemented
C: (clear) AUTH
! auth
C: (clear) MAIL
S: 250 2.1.0 Sender ok
= clear-refused: !secret-clear !challenge-clear !mail-clear !delivered
