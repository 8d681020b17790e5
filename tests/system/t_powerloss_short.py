#!/usr/bin/python3
# sets: default
# timeout: 300
"""A sample of t_powerloss.py."""
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent / "powerloss"))
from losses import *

run_losses(int(os.environ.get("SALLYPORT_SEED", "1")), 6, 10, 12)
