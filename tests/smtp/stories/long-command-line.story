# A command line over 4096 octets is swallowed to CRLF with one reply; 4096 with CRLF is fine
server
S: 220 mx.example.org ESMTP
C: NOOP \*4090x
S: 500 5.5.2 Line too long; the most is 4096 octets
C: NOOP \*4089x
S: 250 2.0.0 Ok
C: NOOP \*9000x
C: NOOP
S: 500 5.5.2 Line too long; the most is 4096 octets
S: 250 2.0.0 Ok
