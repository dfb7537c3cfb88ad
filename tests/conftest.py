"""What every test of the project shares: property tests have no clock, CI machines are slow.

Processes that share the cores (pytest-xdist) take one thread each; what they start does the same.
"""

import os

from hypothesis import settings

if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")

settings.register_profile("stylepress", deadline=None)
settings.load_profile("stylepress")
