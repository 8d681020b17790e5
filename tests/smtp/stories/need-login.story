# 530 inside TLS: MAIL, RCPT, DATA, BDAT, VRFY want a login (RFC 4954 6)
server
S: 220 mx.example.org ESMTP
C: EHLO client.example
S~ 250 mx.example.org
C: STARTTLS
S: 220 2.0.0 Ready to start TLS
C: EHLO client.example
S~ 250 mx.example.org
C: MAIL FROM:<alice@example.org>
S: 530 5.7.0 Authentication required
C: RCPT TO:<bob@example.net>
S: 530 5.7.0 Authentication required
C: DATA
S: 530 5.7.0 Authentication required
C: BDAT 2
C- ab
S: 530 5.7.0 Authentication required
C: VRFY bob
S: 530 5.7.0 Authentication required
C: EXPN list
S: 502 5.5.1 EXPN is not implemented here
