# A whole submission: every event with its facts, the body octet for octet (RFC 5321 D)
server
S: 220 mx.example.org ESMTP
C: EHLO client.example
S~ 250 mx.example.org
C: STARTTLS
S: 220 2.0.0 Ready to start TLS
C: EHLO client.example
S~ 250 mx.example.org
! auth ok alice
C: AUTH PLAIN AGFsaWNlAHNlY3JldA==
S: 235 2.7.0 Authenticated as alice
C: MAIL FROM:<alice@example.org>
S: 250 2.1.0 Sender ok
C: RCPT TO:<bob@example.net>
S: 250 2.1.5 Recipient ok
C: DATA
S: 354 Send the message, end it with a line that holds a dot alone
! end 250 2.0.0 Ok: queued as 1234
C: Subject: hi
C:
C: ..dot
C: .x
C: line
C: .
= end size=30 header=15
= message Subject: hi\r\n\r\n.dot\r\nx\r\nline\r\n
S: 250 2.0.0 Ok: queued as 1234
= never abort
C: QUIT
S: 221 2.0.0 Bye
closed
