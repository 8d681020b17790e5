# a refusal hidden in a reply that ends with 250 is a refusal
options tls=none
use in-plain
mail a@a.example b@b.example
C MAIL FROM:<a@a.example>
S 550-5.1.0 bad
S 250 ok
sent refused MAIL 550: 550-
ready none
