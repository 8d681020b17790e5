# Implicit TLS: a clear first line gets one 554 5.7.0, close (PROTOCOL 1)
server implicit-tls
! tls clear
S: 554 5.7.0 this port speaks TLS first
closed
= never connect
