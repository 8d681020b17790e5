# A server that talks in clear on the TLS port is never believed
options tls=implicit password=alice:secret
S 220 mail.example
failed insecure STARTTLS 0 | unexpected data before TLS
close
