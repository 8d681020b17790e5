# replies come one octet at a time: they are read
server check=C11 slow=2
= split-replies-unmanaged: !delivered
