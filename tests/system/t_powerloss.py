#!/usr/bin/python3
# sets: crash
# timeout: 7200
"""The power goes away after each sync, and a thousand times at random moments with some of
what was not yet synced on the disk; see powerloss/losses.py.  The promise is about the
release build: --binary."""
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent / "powerloss"))
from losses import *

run_losses(int(os.environ.get("SALLYPORT_SEED", "1")), None, 1000, 40)
