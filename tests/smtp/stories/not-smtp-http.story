# Not a mail client: an HTTP method is 421 4.7.0, close (PROTOCOL 1, cross-protocol attacks)
server
S: 220 mx.example.org ESMTP
C: POST /x HTTP/1.1
C: Host: mx.example.org:587
C:
C: EHLO c
S: 421 4.7.0 This is a mail server and that was not SMTP
closed
= note not-smtp
= never ehlo
