"""Settings for every test."""

import os
import signal

from hypothesis import settings

# The matrices of tests are small, and several workers share the cores: threads of the linear algebra would wait for one
# another, up to a hundred times longer than one thread works. It reads this when NumPy is first imported.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

# How long an example takes says nothing on a busy machine; what is too slow is measured in benchmarks.
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")

# A shell without job control starts what it runs in the background with Ctrl-C ignored, and children inherit that: the
# tests that interrupt one would wait for it in vain.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
