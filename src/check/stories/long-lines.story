# lines of 998 and more octets: they arrive, encoded or not, or are refused
server check=C18 message=long
