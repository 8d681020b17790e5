# What STARTTLS erases: a login made in clear (RFC 3207 4.2)
server clear=CRAM-MD5
S: 220 mx.example.org ESMTP
C: EHLO client.example
S~ 250 mx.example.org
! auth challenge <1@mx>
! auth ok alice
C: AUTH CRAM-MD5
S: 334 PDFAbXg+
C: YWxpY2UgMDEyMw==
S: 235 2.7.0 Authenticated as alice
= user alice
C: STARTTLS
S: 220 2.0.0 Ready to start TLS
= nobody
C: EHLO client.example
S~ 250 mx.example.org
C: MAIL FROM:<alice@example.org>
S: 530 5.7.0 Authentication required
