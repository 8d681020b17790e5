# lenient-ehlo: MAIL right after TLS counts as HELO; only SIZE and BODY; AUTH still needs EHLO (PROTOCOL 1)
server no-login lenient-ehlo
S: 220 mx.example.org ESMTP
C: EHLO client.example
S~ 250 mx.example.org
C: STARTTLS
S: 220 2.0.0 Ready to start TLS
C: MAIL FROM:<alice@example.org> SMTPUTF8
S: 555 5.5.4 Parameters need EHLO, you said HELO: SMTPUTF8
C: AUTH PLAIN AGFsaWNlAHNlY3JldA==
S~ 503 5.5.1 TLS began a new session
C: RCPT TO:<bob@example.net>
S~ 503 5.5.1 TLS began a new session
C: MAIL FROM:<alice@example.org> SIZE=100 BODY=8BITMIME
S: 250 2.1.0 Sender ok
C: RCPT TO:<bob@example.net>
S: 250 2.1.5 Recipient ok
C: DATA
S: 354 Send the message, end it with a line that holds a dot alone
C: Subject: x
C:
C: .
S: 250 2.0.0 Accepted
C: AUTH PLAIN AGFsaWNlAHNlY3JldA==
S: 503 5.5.1 AUTH needs EHLO, you said HELO: send EHLO
