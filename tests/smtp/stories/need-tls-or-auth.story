# 530 in clear where AUTH would do too (PROTOCOL 1)
server clear=CRAM-MD5
S: 220 mx.example.org ESMTP
C: EHLO client.example
S~ 250 mx.example.org
C: MAIL FROM:<alice@example.org>
S: 530 5.7.0 Must issue a STARTTLS or AUTH command first
! auth challenge x
! auth ok alice
C: AUTH CRAM-MD5
S: 334 eA==
C: YQ==
S: 235 2.7.0 Authenticated as alice
C: MAIL FROM:<alice@example.org>
S: 250 2.1.0 Sender ok
