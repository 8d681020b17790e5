# Recipients: syntax 501 5.1.3, unqualified 554 5.1.2, not permitted 550 5.7.1, postmaster alone is fine (PROTOCOL 3)
server no-login
S: 220 mx.example.org ESMTP
C: EHLO client.example
S~ 250 mx.example.org
C: MAIL FROM:<alice@example.org>
S: 250 2.1.0 Sender ok
C: RCPT TO:bob@example.net
S: 501 5.1.3 Bad forward-path: send RCPT TO:<user@example.org>
C: RCPT TO:<>
S: 501 5.1.3 Bad forward-path: send RCPT TO:<user@example.org>
C: RCPT TO:<bob>
S: 554 5.1.2 The forward-path has no domain: send user@domain
! rcpt 550 5.7.1 relaying denied
C: RCPT TO:<bob@example.net>
S: 550 5.7.1 relaying denied
C: DATA
S: 554 5.5.1 No valid recipients: send RCPT first
C: RCPT TO:<Postmaster>
S: 250 2.1.5 Recipient ok
C: RCPT TO: <@relay.example,@b.example:bob@example.net>
= rcpt <bob@example.net>
S: 250 2.1.5 Recipient ok
