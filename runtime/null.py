"""The backend that copies the frame: what the harness around an engine costs by itself."""

from __future__ import annotations

from collections.abc import Mapping

from stylepress import __version__
from stylepress.runtime.backends import EngineOptions, check_frame, closed
from stylepress.runtime.bundle import Bundle, Pixels


def open_engine(bundle: Bundle, options: EngineOptions) -> NullEngine:
    """Return an engine that reads nothing of the bundle but its least side."""
    return NullEngine(bundle.least, options)


class NullEngine:
    """Give every frame back as it came, in a new array."""

    def __init__(self, least: int, options: EngineOptions) -> None:
        self.least, self.lanes = least, options.lanes
        self._open = True

    def run(self, frame: Pixels, strength: float = 1.0) -> Pixels:
        """Copy (N, H, W, 3) uint8."""
        check_frame(frame, strength, self.least)
        if not self._open:
            raise closed("null")
        return frame.copy()

    def describe(self) -> Mapping[str, str | int]:
        """Tell that one thread of the caller does it all."""
        return {
            "backend": "null",
            "version": __version__,
            "precision": "uint8",
            "threads": 1,
            "lanes": self.lanes,
        }

    def close(self) -> None:
        """Refuse frames from now on."""
        self._open = False
