# Nor to a server whose certificate is not verified
options tls=opportunistic token=alice:tok login-required
use starttls
tls unverified self-signed
C EHLO client.example
S 250-mail.example
S 250 AUTH OAUTHBEARER XOAUTH2
failed peer AUTH 0 need-login | never sent to a server whose certificate is not verified
C QUIT
close
