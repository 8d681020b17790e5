# Opportunistic and STARTTLS refused: on in clear
options tls=opportunistic
S 220 mail.example
C EHLO client.example
S 250-mail.example
S 250 STARTTLS
C STARTTLS
S 454 4.7.0 no key
ready none
use deliver
ready none
