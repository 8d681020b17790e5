# BDAT whose size nobody understands: 501 and close, or its octets would be commands
server no-login
S: 220 mx.example.org ESMTP
C: EHLO client.example
S~ 250 mx.example.org
C: BDAT 1x LAST
C: NOOP
S: 501 5.5.4 Syntax: BDAT octets [LAST]
closed
