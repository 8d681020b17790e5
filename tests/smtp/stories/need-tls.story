# 530 in clear: everything but EHLO, HELO, NOOP, RSET, HELP, STARTTLS, QUIT (RFC 3207 4)
server
S: 220 mx.example.org ESMTP
C: MAIL FROM:<alice@example.org>
S: 530 5.7.0 Must issue a STARTTLS command first
C: EHLO c
S~ 250 mx
C: MAIL FROM:<alice@example.org>
S: 530 5.7.0 Must issue a STARTTLS command first
C: RCPT TO:<bob@example.net>
S: 530 5.7.0 Must issue a STARTTLS command first
C: DATA
S: 530 5.7.0 Must issue a STARTTLS command first
C: BDAT 4 LAST
C- abcd
S: 530 5.7.0 Must issue a STARTTLS command first
C: VRFY bob
S: 530 5.7.0 Must issue a STARTTLS command first
C: EXPN list
S: 530 5.7.0 Must issue a STARTTLS command first
C: AUTH PLAIN AGFsaWNlAHNlY3JldA==
S: 530 5.7.0 Must issue a STARTTLS command first
C: NOOP
S: 250 2.0.0 Ok
C: RSET
S: 250 2.0.0 Ok
C: HELP
S: 214 2.0.0 Commands: EHLO HELO STARTTLS AUTH MAIL RCPT DATA BDAT RSET NOOP VRFY HELP QUIT
C: HELO c
S: 250 mx.example.org
C: QUIT
S: 221 2.0.0 Bye
closed
