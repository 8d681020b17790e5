options cert=alice@example.org password=alice:secret
use ehlo-cert
S 250-AUTH PLAIN LOGIN CRAM-MD5 EXTERNAL
S 250 XSECURITY=NONE,STARTTLS
C AUTH EXTERNAL =
S 334 
C 
S 235 Ok
ready external explicit
