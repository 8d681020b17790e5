# LMTP: LHLO brings no progress either
server kind=lmtp idle-max=2
S: 220 mx.example.org LMTP
C: LHLO c
S~ 250 mx
C: LHLO c
S~ 250 mx
C: LHLO c
S: 421 4.7.0 Too many commands without a message, closing
closed
