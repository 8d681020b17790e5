# ... without a certificate it ends TLS behind the handshake: TLS 1.3 tells at the first read
options password=alice:secret
use starttls
tls verified asked
C EHLO client.example
alerted server wants a certificate and got none
failed peer handshake 0 need-login | takes nobody without a client certificate: server wants
close
