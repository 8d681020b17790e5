# Delivery to an old next hop: STARTTLS cannot be there, nothing is held
options tls=opportunistic
S 220 old.example
C EHLO client.example
S 502 no
C HELO client.example
S 250 hi
ready none
