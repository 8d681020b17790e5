# The owner has no SCRAM: nothing was said yet, so the next one
options tls=required password=alice:secret
use starttls
tls verified
C EHLO client.example
S 250-mail.example
S 250 AUTH SCRAM-SHA-256 PLAIN
auth SCRAM-SHA-256 first
cancel not built in
auth PLAIN first
