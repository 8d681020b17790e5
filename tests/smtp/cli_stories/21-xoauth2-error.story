# A refused XOAUTH2 token: the JSON in a challenge, an empty answer, then 535
options tls=required token=alice:tok
use starttls
tls verified
C EHLO client.example
S 250-mail.example
S 250 AUTH XOAUTH2
auth XOAUTH2 first
token
C AUTH XOAUTH2 dXNlcj1hbGljZQFhdXRoPUJlYXJlciB0b2sBAQ==
S 334 eyJzdGF0dXMiOiI0MDAifQ==
C 
S 535 5.7.8 no
failed peer AUTH 535 auth-rejected | check user name and token
C QUIT
close
