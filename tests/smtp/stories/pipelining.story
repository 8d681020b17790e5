# Pipelining: replies in order, a bad command in the middle changes nothing else (RFC 2920)
server no-login
S: 220 mx.example.org ESMTP
C: EHLO client.example
S~ 250 mx.example.org
C: MAIL FROM:<alice@example.org>
C: RCPT TO:<a@example.net>
C: RCPT TO:bad
C: RCPT TO:<b@example.net>
C: FOO
C: RCPT TO:<c@example.net>
C: DATA
S: 250 2.1.0 Sender ok
S: 250 2.1.5 Recipient ok
S~ 501 5.1.3
S: 250 2.1.5 Recipient ok
S~ 500 5.5.2
S: 250 2.1.5 Recipient ok
S~ 354
C: Subject: x
C:
C: .
C: MAIL FROM:<>
C: RSET
C: QUIT
S: 250 2.0.0 Accepted
S: 250 2.1.0 Sender ok
S: 250 2.0.0 Ok
S: 221 2.0.0 Bye
closed
