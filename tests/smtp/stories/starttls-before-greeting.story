# STARTTLS edges: before a greeting 503 5.5.1 (PROTOCOL 1)
server
S: 220 mx.example.org ESMTP
C: STARTTLS
S: 503 5.5.1 Send EHLO first
= never starttls
