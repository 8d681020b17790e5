# ... and 421 4.7.1 without one says that it wants one, not "try later"
options password=alice:secret
use starttls
tls verified asked
C EHLO client.example
S 421 4.7.1 mail.example Error: No client certificate presented
failed peer handshake 421 need-login | takes nobody without a client certificate
close
