# 530 to MAIL in clear while STARTTLS is offered
options tls=none
S 220 mail.example
C EHLO client.example
S 250-mail.example
S 250 STARTTLS
ready none
mail alice@example.org bob@example.net
C MAIL FROM:<alice@example.org>
S 530 5.5.1 Must issue something first
sent refused AUTH 0: 0-
failed peer MAIL 530 need-login | wants TLS before anything else
C QUIT
close
