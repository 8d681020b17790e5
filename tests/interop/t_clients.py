#!/usr/bin/python3
# sets: peers
# timeout: 7200
"""Real mail programs submit to our server in its default configuration, by each login that
they know; see matrix.py, and doc/interoperability.md for what came of it."""
import clients_desktop, clients_libraries, clients_programs, clients_relays
from matrix import *

m = Matrix("clients")
clients_programs.declare(m)
m.run()
