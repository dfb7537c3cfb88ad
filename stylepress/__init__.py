"""stylepress: take a PyTorch image model to a small, fast engine, and measure what it cost.

Read in this order: artifact.py (what passes between stages), then one folder per stage:
train/, compress/, export/, runtime/, and benchmarks/ over them all.
"""

from __future__ import annotations

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from stylepress.artifact import Artifact
    from stylepress.errors import StylepressError
    from stylepress.ports import Graph, Port

__all__ = ["Artifact", "Graph", "Port", "StylepressError", "__version__"]
__version__ = "0.2.0"

# ONNX Runtime reads it when it is imported, which happens in several rooms: without it, it keeps a
# device id and a database of events in the home and sends them. Who sets it has decided otherwise.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

_HOMES = {"Artifact": "artifact", "Graph": "ports", "Port": "ports", "StylepressError": "errors"}


def __getattr__(name: str) -> Any:
    # Imported when asked for: `stylepress --version` needs none of them, nor what they need.
    if name not in _HOMES:
        raise AttributeError(f"module 'stylepress' has no attribute {name!r}")
    return getattr(import_module(f"stylepress.{_HOMES[name]}"), name)
