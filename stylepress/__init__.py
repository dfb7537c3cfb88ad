"""stylepress: take a PyTorch image model to a small, fast engine, and measure what it cost.

Read in this order: artifact.py (what passes between stages), then one folder per stage:
train/, compress/, export/, runtime/, and benchmarks/ over them all.
"""

from stylepress.artifact import Artifact, TensorSpec
from stylepress.errors import StylepressError

__all__ = ["Artifact", "StylepressError", "TensorSpec", "__version__"]
__version__ = "0.1.0"
