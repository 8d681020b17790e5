# ... nor with nothing at all
use ehlo-nocert
S 250 AUTH EXTERNAL
ready none
