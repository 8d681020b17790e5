# An owner's reply of several lines: code and enhanced code on each (RFC 2034 4)
server no-login
S: 220 mx.example.org ESMTP
C: EHLO client.example
S~ 250 mx.example.org
! mail 550 5.7.1 one\ntwo
C: MAIL FROM:<a@example.org>
S: 550-5.7.1 one
S: 550 5.7.1 two
