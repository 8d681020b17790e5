# every reply has several lines: they are read
server check=C11
C: <connect>
S: 220-mail.check.test ESMTP
S: 220-Greetings to all who come here
S: 220 and goodbye
C: (clear) STARTTLS
S: 220-2.0.0 Ready
S: 220 2.0.0 to start TLS
C: <login-good>
S: 235-2.7.0 Welcome
S: 235 2.7.0 and well met
C: (tls) MAIL
S: 250-2.1.0 Sender
S: 250-2.1.0 is
S: 250 2.1.0 ok
C: (tls) RCPT
S: 250-2.1.5 Recipient
S: 250 2.1.5 ok
C: (tls) DATA
S: 354-Go on
S: 354 and end with a dot
C: (tls) <dot>
S: 250-2.0.0 Taken
S: 250 2.0.0 indeed
= multiline-replies-unmanaged: !delivered
