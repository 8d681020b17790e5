# ... with a foreign one: "refused our certificate", not "connection lost"
options cert=alice@example.org
use starttls
tls verified cert
C EHLO client.example
gone tlsv1 alert unknown ca
failed peer handshake 0 | the server refused our client certificate: tlsv1 alert unknown ca
close
