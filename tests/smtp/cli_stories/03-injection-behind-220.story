# CVE-2021-38371 and kin: octets behind the 220 of STARTTLS are never believed
options tls=required password=alice:secret
S 220 mail.example ESMTP
C EHLO client.example
S 250-mail.example
S 250 STARTTLS
C STARTTLS
S 220 2.0.0 go ahead
S 250-injected.evil.example
S 250 AUTH PLAIN LOGIN
failed insecure STARTTLS 0 | unexpected data
close
