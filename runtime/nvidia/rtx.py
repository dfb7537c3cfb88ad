"""The TensorRT for RTX backend: plans on a desktop RTX card."""

from __future__ import annotations

from functools import partial

from stylepress.runtime.nvidia import engine

PACKAGE = "tensorrt_rtx"

check_device = engine.check_device
keep = partial(engine.keep, PACKAGE)
open_engine = partial(engine.open_engine, PACKAGE)
