options password=alice:secret
use ehlo-nocert
S 250 AUTH PLAIN
auth PLAIN first
token
C AUTH PLAIN AGFsaWNlAHNlY3JldA==
S 421 4.7.0 too many
failed temporary AUTH 421
close
