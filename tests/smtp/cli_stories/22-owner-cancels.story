# The owner does not like what it sees (a million iterations, a wrong nonce)
options tls=required password=alice:secret
use starttls
tls verified
C EHLO client.example
S 250-mail.example
S 250 AUTH SCRAM-SHA-256 PLAIN
auth SCRAM-SHA-256 first
token n,,n=alice,r=x
C AUTH SCRAM-SHA-256 biwsbj1hbGljZSxyPXg=
S 334 cj15LHM9cyxpPTk5OTk5OTk5OQ==
auth SCRAM-SHA-256 r=y,s=s,i=999999999
cancel the server wants 999999999 iterations
C *
gone EOF
failed insecure AUTH 0 | 999999999 iterations
close
