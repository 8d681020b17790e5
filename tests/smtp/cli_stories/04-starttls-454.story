# 454 to STARTTLS: later, and nothing in clear
options tls=required password=alice:secret
S 220 mail.example ESMTP
C EHLO client.example
S 250-mail.example
S 250-AUTH PLAIN
S 250 STARTTLS
C STARTTLS
S 454 4.3.0 Try again later
failed temporary STARTTLS 454 | nothing is sent in clear
C QUIT
close
