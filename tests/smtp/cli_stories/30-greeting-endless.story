# endless replies are bounded
options tls=none lines-max=50
fill 51 220-and so on\r\n
failed peer greeting 0 | does not end
close
