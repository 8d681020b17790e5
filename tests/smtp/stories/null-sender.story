# The null reverse-path, blanks behind the colon, lower case, trailing blanks (RFC 5321 4.1.1)
server no-login
S: 220 mx.example.org ESMTP
C: EHLO client.example
S~ 250 mx.example.org
C: mail from: <> size=10\s
S: 250 2.1.0 Sender ok
= mail <> size=10
C: Rcpt To:<"quoted @ local"@[192.0.2.1]>
S: 250 2.1.5 Recipient ok
= rcpt <"quoted @ local"@[192.0.2.1]>
C: rset
S: 250 2.0.0 Ok
C: MAIL FROM:<alice>
S: 554 5.1.7 The reverse-path has no domain: send user@domain
