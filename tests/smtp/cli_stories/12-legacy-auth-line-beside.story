# ... and beside the present form; case does not matter; duplicates and unknown names pass
options tls=required password=alice:secret
use starttls
tls verified
C EHLO client.example
S 250-mail.example
S 250-auth=login
S 250-Auth external EXTERNAL x-foo scram-sha-256 SCRAM-SHA-256 plain
S 250-AUTH
S 250 XFOO bar
auth SCRAM-SHA-256 first
