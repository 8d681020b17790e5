#!/usr/bin/python3
# sets: default
# timeout: 300
"""A minute of what t_soak.py does for an hour."""
import soak
from harness import *
from wire import without_server

without_server()


@test("a minute of everything at once: nothing grows, every message is accounted for")
def _():
    soak.whole(1)


run()
