# No binding, -PLUS listed: passed over, "n"
options tls=required password=alice:secret
use starttls
tls verified
C EHLO client.example
S 250-mail.example
S 250 AUTH SCRAM-SHA-256-PLUS SCRAM-SHA-256
auth SCRAM-SHA-256 first
