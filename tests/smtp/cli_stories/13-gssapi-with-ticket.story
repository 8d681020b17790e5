# GSSAPI is taken only with a ticket
options tls=required password=alice:secret ticket
use starttls
tls verified
C EHLO client.example
S 250-mail.example
S 250 AUTH PLAIN GSSAPI
auth GSSAPI first
