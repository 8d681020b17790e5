# Postfix permit_tls_clientcerts: nothing shows in EHLO, MAIL at once works
options cert=alice@example.org
use ehlo-cert
S 250 AUTH PLAIN LOGIN CRAM-MD5 SCRAM-SHA-256
ready implicit
use bare-deliver
