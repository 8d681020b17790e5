# ... and when the server insists, the words say why there is none
options tls=opportunistic password=alice:secret
S 220 mail.example
C EHLO client.example
S 250-mail.example
S 250 AUTH CRAM-MD5 PLAIN
ready none
mail alice@example.org bob@example.net
C MAIL FROM:<alice@example.org>
S 530 5.7.0 Authentication required
sent refused AUTH 0: 0-
failed peer MAIL 530 need-login | never sent without TLS
C QUIT
close
