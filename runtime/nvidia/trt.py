"""The TensorRT backend: plans of TensorRT 8.5 to 11.x on the GPU that is there."""

from __future__ import annotations

from functools import partial

from stylepress.runtime.nvidia import engine

PACKAGE = "tensorrt"

check_device = engine.check_device
keep = partial(engine.keep, PACKAGE)
open_engine = partial(engine.open_engine, PACKAGE)
