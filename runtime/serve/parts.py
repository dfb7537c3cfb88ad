"""What the handlers of the web server work on: the streams that run and what belongs to them."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from stylepress.runtime.serve.config import Configuration

if TYPE_CHECKING:
    from stylepress.runtime.serve.engines import Engines
    from stylepress.runtime.serve.inference import Inference
    from stylepress.runtime.serve.outputs.jpeg import JpegOutput
    from stylepress.runtime.serve.stream import Stream


@dataclass(slots=True)
class Parts:
    """Everything that runs, by name; handlers read it, the daemon changes it."""

    configuration: Configuration
    engines: Engines
    streams: dict[str, Stream]
    pictures: dict[str, JpegOutput]
    inference: Inference
    stopping: bool = False
    warm: bool = False
    begun_s: float = field(default_factory=time.monotonic)
    reload_error: str = ""
    on_settings: Callable[[], None] = lambda: None
