# -PLUS listed and then refused as unknown is not offered: the next SCRAM says "y" (RFC 5802 6)
options tls=required password=alice:secret
use starttls
tls verified binding
C EHLO client.example
S 250-mail.example
S 250 AUTH SCRAM-SHA-256 SCRAM-SHA-256-PLUS
auth SCRAM-SHA-256-PLUS first
token p=x
C AUTH SCRAM-SHA-256-PLUS cD14
S 504 5.5.4 unknown
auth SCRAM-SHA-256 first y
