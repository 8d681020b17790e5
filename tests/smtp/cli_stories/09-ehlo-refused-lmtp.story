# LHLO has no older form
options tls=none lmtp
S 220 mail.example
C LHLO client.example
S 500 not LMTP
failed peer EHLO 500
C QUIT
close
