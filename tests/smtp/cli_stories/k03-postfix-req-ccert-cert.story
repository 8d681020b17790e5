# Postfix req_ccert: 421 4.7.1 at EHLO is about the certificate
options cert=alice@example.org
use starttls
tls verified cert
C EHLO client.example
S 421 4.7.1 mail.example Error: Client certificate not trusted
failed peer handshake 421 | the server refused our client certificate
close
