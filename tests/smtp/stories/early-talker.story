# Octets before our first 220: 554 5.5.0, close (PROTOCOL 1)
server
C: EHLO c
S: 554 5.5.0 You spoke before it was your turn: wait for the greeting
closed
= note injection
= never ehlo
