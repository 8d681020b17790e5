# Shutting down: 421 4.3.2 at once when nothing is in flight
server
S: 220 mx.example.org ESMTP
C: EHLO client.example
S~ 250 mx.example.org
! drain
S: 421 4.3.2 The service is shutting down, connect again
closed
