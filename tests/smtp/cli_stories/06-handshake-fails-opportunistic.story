# ... also where TLS was not demanded (RFC 3207 4.1)
options tls=opportunistic
use starttls
tls failed peer EOF
failed insecure handshake 0
close
