"""stylepress: take a PyTorch image model to a small, fast engine, and measure what it cost.

Read in this order: artifact.py (what passes between stages), then one folder per stage:
train/, compress/, export/, runtime/, and benchmarks/ over them all.
"""

from stylepress.artifact import Artifact
from stylepress.errors import StylepressError
from stylepress.ports import Graph, Port

__all__ = ["Artifact", "Graph", "Port", "StylepressError", "__version__"]
__version__ = "0.2.0"
