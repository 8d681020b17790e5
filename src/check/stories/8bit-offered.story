# 8BITMIME is offered: an 8-bit message arrives as it is
server check=C19 message=8bit
