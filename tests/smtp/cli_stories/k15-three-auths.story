# At most three AUTH commands on a connection: RFC-minded servers close at the third failure
options cert=alice@example.org password=alice:secret
use ehlo-cert
S 250 AUTH EXTERNAL SCRAM-SHA-256 CRAM-MD5 PLAIN
C AUTH EXTERNAL =
S 535 no
C AUTH EXTERNAL YWxpY2VAZXhhbXBsZS5vcmc=
S 535 no
auth SCRAM-SHA-256 first
token n,,n=alice,r=x
C AUTH SCRAM-SHA-256 biwsbj1hbGljZSxyPXg=
S 504 no
ready implicit
mail alice@example.org bob@example.net
C MAIL FROM:<alice@example.org>
S 530 no
reconnect
C QUIT
close
