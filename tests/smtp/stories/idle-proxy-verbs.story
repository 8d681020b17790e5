# XCLIENT and XFORWARD bring no progress; DATA that is refused neither
server no-login ext=XCLIENT,XFORWARD idle-max=4
S: 220 mx.example.org ESMTP
C: EHLO client.example
S~ 250 mx.example.org
C: XFORWARD A=b
S: 250 2.0.0 Ok
C: DATA
S: 503 5.5.1 No mail transaction is open: send MAIL first
C: XCLIENT A=b
S: 220 mx.example.org ESMTP
C: EHLO c
S: 421 4.7.0 Too many commands without a message, closing
closed
