# An unverified certificate: QUIT, no EHLO, no credential
options tls=required password=alice:secret
use starttls
tls unverified name mismatch: mail.evil.example
failed insecure handshake 0 | mail.evil.example
C QUIT
close
