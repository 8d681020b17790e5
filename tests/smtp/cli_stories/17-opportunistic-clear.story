# Opportunistic without STARTTLS: mail in clear, never a credential, not even CRAM-MD5
options tls=opportunistic password=alice:secret allow-clear-secret
S 220 mail.example
C EHLO client.example
S 250-mail.example
S 250 AUTH CRAM-MD5 PLAIN
ready none
use deliver
ready none
