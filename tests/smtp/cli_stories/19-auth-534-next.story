# 534, 504: this mechanism is not to be had; the next one is
options tls=required password=alice:secret
use starttls
tls verified
C EHLO client.example
S 250-mail.example
S 250 AUTH SCRAM-SHA-256 CRAM-MD5 PLAIN LOGIN
auth SCRAM-SHA-256 first
token n,,n=alice,r=x
C AUTH SCRAM-SHA-256 biwsbj1hbGljZSxyPXg=
S 534 5.7.9 too weak for you
C AUTH CRAM-MD5
S 504 5.5.4 no
auth PLAIN first
token
C AUTH PLAIN AGFsaWNlAHNlY3JldA==
S 503 5.5.1 no
failed peer AUTH 503 auth-rejected
C QUIT
close
