# -PLUS in clear is not offered for want of TLS, whatever the policy says
server clear=CRAM-MD5,SCRAM-SHA-256-PLUS,SCRAM-SHA-1-PLUS tls=CRAM-MD5
S: 220 mx.example.org ESMTP
C: EHLO client.example
S~ 250 mx.example.org
C: AUTH SCRAM-SHA-256-PLUS
S: 504 5.5.4 SCRAM-SHA-256-PLUS is not offered without TLS: send STARTTLS first
C: AUTH SCRAM-SHA-1-PLUS
S: 504 5.5.4 SCRAM-SHA-1-PLUS is not offered without TLS: send STARTTLS first
