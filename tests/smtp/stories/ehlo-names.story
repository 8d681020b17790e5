# EHLO: what real programs send is taken, what could harm a trace field is not (RFC 5321 4.1.1.1)
server
S: 220 mx.example.org ESMTP
C: EHLO [192.0.2.1]
S~ 250 mx
C: EHLO [IPv6:2001:db8::1]
S~ 250 mx
C: EHLO my_pc
S~ 250 mx
C: EHLO
S: 501 5.5.4 Syntax: EHLO your.host.name
C: EHLO a b
S: 501 5.5.4 Syntax: EHLO your.host.name
C: EHLO (x)
S: 501 5.5.4 Syntax: EHLO your.host.name
C: EHLO b\xc3\xbccher
S: 501 5.5.4 Syntax: EHLO your.host.name
C: EHLO \*256x
S: 501 5.5.4 Syntax: EHLO your.host.name
