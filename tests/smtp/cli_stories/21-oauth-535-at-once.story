# A server without the challenge says 535 at once
options tls=required token=alice:tok
use starttls
tls verified
C EHLO client.example
S 250-mail.example
S 250 AUTH XOAUTH2
auth XOAUTH2 first
token
C AUTH XOAUTH2 dXNlcj1hbGljZQFhdXRoPUJlYXJlciB0b2sBAQ==
S 535 5.7.8 no
failed peer AUTH 535 auth-rejected | check user name and token
C QUIT
close
