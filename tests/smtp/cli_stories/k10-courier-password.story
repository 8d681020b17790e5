options password=alice:secret only=PLAIN
use ehlo-nocert
S 250-AUTH PLAIN LOGIN CRAM-MD5
S 250 XSECURITY=NONE,STARTTLS
use plain-ok
