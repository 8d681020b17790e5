options quit-after=AUTH password=alice:secret
use ehlo-nocert
S 250 AUTH PLAIN
auth PLAIN first
token
C AUTH PLAIN AGFsaWNlAHNlY3JldA==
S 235 ok
C QUIT
S 221 bye
close
