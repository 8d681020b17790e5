# RFC 7628 3.2.3: an error comes as a challenge, is answered, then 535 follows
options tls=required token=alice:tok
use starttls
tls verified
C EHLO client.example
S 250-mail.example
S 250 AUTH OAUTHBEARER XOAUTH2
auth OAUTHBEARER first
token
C AUTH OAUTHBEARER bixhPWFsaWNlLAFob3N0PW1haWwuZXhhbXBsZQFwb3J0PTU4NwFhdXRoPUJlYXJlciB0b2sBAQ==
S 334 eyJzdGF0dXMiOiJpbnZhbGlkX3Rva2VuIn0=
C AQ==
S 535 5.7.8 no
failed peer AUTH 535 auth-rejected | check user name and token
C QUIT
close
