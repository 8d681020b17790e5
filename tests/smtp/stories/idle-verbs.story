# What counts as no progress: refused and unimplemented commands too (PROTOCOL 1)
server idle-max=4 no-login
S: 220 mx.example.org ESMTP
C: EHLO client.example
S~ 250 mx.example.org
C: EXPN x
S~ 502
C: VRFY bob
S~ 252
C: HELP
S~ 214
C: ETRN x
S: 421 4.7.0 Too many commands without a message, closing
closed
