# 5xx to STARTTLS is the same as none: insecure
options tls=required password=alice:secret
S 220 mail.example ESMTP
C EHLO client.example
S 250-mail.example
S 250-AUTH PLAIN
S 250 STARTTLS
C STARTTLS
S 502 5.5.1 no
failed insecure STARTTLS 502
C QUIT
close
