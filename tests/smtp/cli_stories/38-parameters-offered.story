options tls=none
S 220 mx.example
C EHLO client.example
S 250-mx.example
S 250-8BITMIME
S 250-SMTPUTF8
S 250-DSN
S 250-AUTH FOO
S 250-DELIVERBY 60
S 250-FUTURERELEASE 1000 2030-01-01T00:00:00Z
S 250-MT-PRIORITY
S 250-REQUIRETLS
S 250 SIZE 1000
ready none
mail a@a.example b@b.example size=1001 | the server takes at most 1000
mail a@a.example b@b.example utf8 ret=hdrs envid=x+20y auth=a+b@a.example priority=-3 by=120;N body=8bit requiretls until=1735689599 notify orcpt=rfc822;b@b.example size=5
C MAIL FROM:<a@a.example> SIZE=5 BODY=8BITMIME SMTPUTF8 RET=HDRS ENVID=x+20y AUTH=a+2Bb@a.example BY=120;N HOLDUNTIL=2024-12-31T23:59:59Z MT-PRIORITY=-3 REQUIRETLS
S 250 ok
C RCPT TO:<b@b.example> NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;b@b.example
