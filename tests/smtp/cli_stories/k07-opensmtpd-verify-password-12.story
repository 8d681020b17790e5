# ... in TLS 1.2 the handshake itself fails
options password=alice:secret
use starttls
tls failed asked peer handshake failure
failed peer handshake 0 need-login | takes nobody without a client certificate: handshake failure
close
