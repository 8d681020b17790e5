# parameters only when offered; refused where leaving them out changes the mail
options tls=none
use in-plain
mail a@a.example b@b.example utf8 | SMTPUTF8
mail a@a.example b@b.example body=8bit | encode it as quoted-printable
mail a@a.example b@b.example body=binary | BINARYMIME
mail a@a.example b@b.example requiretls | REQUIRETLS
mail a@a.example b@b.example by=120;R | DELIVERBY
mail a@a.example b@b.example hold=60 | FUTURERELEASE
mail a@a.example b\xc3\xa9@b.example | needs SMTPUTF8
mail a@a.example b@b.example>\x20X | cannot have
mail a@a.example\r\nRCPT b@b.example | cannot have
mail a@a.example "b@b.example | quotation mark
mail a@a.example b@b.example ret=full envid=x auth=a@a.example priority=3 by=120;N body=7bit notify orcpt=rfc822;b@b.example size=5
C MAIL FROM:<a@a.example>
S 250 ok
C RCPT TO:<b@b.example>
