# Implicit TLS: a failed handshake says nothing in clear
server implicit-tls
! tls fail
= handshake
closed
