# -PLUS is taken when listed and a binding is there
options tls=required password=alice:secret
use starttls
tls verified binding
C EHLO client.example
S 250-mail.example
S 250 AUTH PLAIN SCRAM-SHA-256 SCRAM-SHA-256-PLUS
auth SCRAM-SHA-256-PLUS first
token p=tls-exporter,,n=alice,r=abc
C AUTH SCRAM-SHA-256-PLUS cD10bHMtZXhwb3J0ZXIsLG49YWxpY2Uscj1hYmM=
S 334 cj1hYmNkZWYscz1zYWx0LGk9NDA5Ng==
auth SCRAM-SHA-256-PLUS r=abcdef,s=salt,i=4096
shown S 334 [hidden]
token c=biws,r=abcdef,p=proof
C Yz1iaXdzLHI9YWJjZGVmLHA9cHJvb2Y=
S 334 dj1zaWduYXR1cmU=
auth SCRAM-SHA-256-PLUS v=signature
token
C 
S 235 2.7.0 ok
ready password
