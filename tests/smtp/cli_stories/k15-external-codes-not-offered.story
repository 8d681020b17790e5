# 504 (503, 500, 502, 534) to AUTH EXTERNAL: not offered, on to the password
options cert=alice@example.org password=alice:secret only=PLAIN only=EXTERNAL
use ehlo-cert
S 250 AUTH PLAIN EXTERNAL
C AUTH EXTERNAL =
S 504 5.5.4 EXTERNAL not available: certificate expired 2026-01-02
use plain-ok
