# Dovecot on stray octets: 220, then EOF
options tls=required
use starttls
gone EOF
failed insecure handshake 0
close
