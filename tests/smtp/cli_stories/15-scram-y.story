# A binding is there and -PLUS is not listed: the owner is told to say "y"
options tls=required password=alice:secret
use starttls
tls verified binding
C EHLO client.example
S 250-mail.example
S 250 AUTH PLAIN SCRAM-SHA-256
auth SCRAM-SHA-256 first y
