# A bare AUTH offers nothing (Dovecot after a login): go on, the server will say
options tls=required password=alice:secret
use starttls
tls verified
C EHLO client.example
S 250-mail.example
S 250 AUTH
ready none
mail alice@example.org bob@example.net
C MAIL FROM:<alice@example.org>
S 530 5.7.0 Authentication required
sent refused AUTH 0: 0-
failed peer MAIL 530 need-login | offers no AUTH inside TLS
C QUIT
close
