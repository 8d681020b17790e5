# CRAM-MD5: the server speaks first; its 235 carries no data (RFC 2195 2, RFC 4954 4)
server implicit-tls tls=CRAM-MD5
S: 220 mx.example.org ESMTP
C: EHLO c
S~ 250 mx.example.org
! auth challenge <1@x>
! auth ok tim
C: AUTH CRAM-MD5
= auth CRAM-MD5 first
S: 334 PDFAeD4=
C: dGltIGI5MTNh
= auth CRAM-MD5 authzid= authcid= secret= token=tim b913a
S: 235 2.7.0 Authenticated as tim
= user tim
