# An empty challenge and the error are two; a third one is cancelled
options tls=required token=alice:tok
use starttls
tls verified
C EHLO client.example
S 250-mail.example
S 250 AUTH OAUTHBEARER
auth OAUTHBEARER first
token
C AUTH OAUTHBEARER bixhPWFsaWNlLAFob3N0PW1haWwuZXhhbXBsZQFwb3J0PTU4NwFhdXRoPUJlYXJlciB0b2sBAQ==
S 334 e30=
C AQ==
S 334 e30=
C AQ==
S 334 e30=
C *
S 501 5.7.0 cancelled
failed peer AUTH 0 | asks for more than the mechanism has
close
