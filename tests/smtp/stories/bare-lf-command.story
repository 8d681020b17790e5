# A bare LF in a command: 500 5.5.2, close (PROTOCOL 3)
server
S: 220 mx.example.org ESMTP
C- NOOP\nEHLO c\r\n
S: 500 5.5.2 Bare CR, bare LF or NUL in a command: end lines with CRLF
closed
= never ehlo
