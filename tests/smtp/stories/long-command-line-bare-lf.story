# The end of an over-long line is CRLF too: a bare LF there closes
server
S: 220 mx.example.org ESMTP
C- NOOP \*5000x\nNOOP\r\n
S~ 500 5.5.2 Bare CR
closed
