# A challenge that is no base64: "*", then anything may come, then the end
options tls=required password=alice:secret
use starttls
tls verified
C EHLO client.example
S 250-mail.example
S 250 AUTH SCRAM-SHA-256
auth SCRAM-SHA-256 first
token n,,n=alice,r=x
C AUTH SCRAM-SHA-256 biwsbj1hbGljZSxyPXg=
S 334 ***
C *
S 501 5.7.0 cancelled
failed peer AUTH 0 | not valid base64
close
