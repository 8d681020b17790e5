# STARTTLS is gone and CRAM-MD5 is refused: the client does not go down to PLAIN
server check=C04 needs=starttls
C: (clear) EHLO
S: 250-mail.check.test
S: 250 AUTH CRAM-MD5 SCRAM-SHA-256 PLAIN LOGIN
C: STARTTLS
S: 502 5.5.1 Command not implemented
C: (clear) AUTH SCRAM-SHA-256
S: 504 5.5.4 Not today
C: (clear 1) AUTH CRAM-MD5
S: 504 5.5.4 Not today
C: (clear) AUTH
! auth
C: (clear) MAIL
S: 250 2.1.0 Sender ok
= clear-refused: !secret-clear !challenge-clear !mail-clear !delivered
