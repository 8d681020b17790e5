# ... without a certificate it closes behind the handshake: TLS 1.3 tells at the first read
options password=alice:secret
use starttls
tls verified asked
C EHLO client.example
gone tlsv13 alert certificate required
failed temporary EHLO inside TLS 0 | certificate required
close
