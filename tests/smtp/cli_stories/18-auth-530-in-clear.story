# 530 to AUTH in clear while STARTTLS is offered means TLS, whatever its words
options tls=none password=alice:secret
S 220 mail.example
C EHLO client.example
S 250-mail.example
S 250-STARTTLS
S 250 AUTH CRAM-MD5
C AUTH CRAM-MD5
S 530 5.7.0 Authentication required
failed peer AUTH 530 need-login | only inside TLS
C QUIT
close
