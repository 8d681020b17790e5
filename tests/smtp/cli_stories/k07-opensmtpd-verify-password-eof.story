# ... a connection that just ends may be an accident: to be tried again
options password=alice:secret
use starttls
tls verified asked
C EHLO client.example
gone connection closed
failed temporary EHLO inside TLS 0 | connection closed
close
