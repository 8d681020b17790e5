# Courier's 400 is no reason to try for days
options tls=none password=alice:secret
S 220 mail.example
C EHLO client.example
S 250-mail.example
S 250-STARTTLS
S 250 AUTH CRAM-MD5
C AUTH CRAM-MD5
S 400 STARTTLS is required first.
failed peer AUTH 400 need-login | only inside TLS
C QUIT
close
