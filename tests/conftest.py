"""Settings of the whole suite: seeds are fixed, and no window opens."""

import os
import signal

from hypothesis import settings

os.environ.setdefault("MPLBACKEND", "Agg")
# Fixed seeds: the same examples in every run. Compilation makes the first example slow, so there is no deadline.
settings.register_profile("fixed", derandomize=True, deadline=None)
settings.load_profile("fixed")

# Shells start background jobs with interrupts ignored, which every process of the tests would inherit.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
