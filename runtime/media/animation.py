"""Moving pictures (WebP, AVIF, GIF, APNG) as a video is read: Pillow's frames with their times."""

from __future__ import annotations

import threading
from collections.abc import Generator
from fractions import Fraction

import numpy as np
from av.video.frame import VideoFrame

from stylepress.errors import FrameError
from stylepress.picture import Animation
from stylepress.runtime.media.colour import PEAK_CD_M2
from stylepress.runtime.media.decoder import Shot
from stylepress.runtime.media.lanes import Stages

MS = Fraction(1, 1000)


class AnimationReader:
    """Read a moving picture once, as ``Reader`` reads a video; it has no sound and no tags."""

    peak, sideways, aspect = PEAK_CD_M2, False, None
    rate, time_base = Fraction(10), MS

    def __init__(self, moving: Animation, *, stop: threading.Event, stages: Stages) -> None:
        """Take an opened picture; ``stop`` ends the reading before the next frame."""
        self.path, self.expected = moving.path, moving.count
        self.stop, self.stages = stop, stages
        self.complete = False
        self.frames = 0
        self.trouble = ""
        self._moving = moving

    def __iter__(self) -> Generator[Shot, None, None]:
        """Yield the frames; times are in ms, and browsers' where the file names none."""
        now = 0
        frames = self._moving.frames()
        while not self.stop.is_set():
            try:
                with self.stages.inside("decode"):
                    frame = next(frames, None)
            except FrameError as error:
                self.trouble, frame = str(error), None
            if frame is None:
                self.complete = True
                return
            picture, lasts_ms = frame
            self.frames += 1
            if picture.alpha is None:
                shown = VideoFrame.from_ndarray(picture.pixels, format="rgb24")
            else:
                both = np.dstack([picture.pixels, picture.alpha])
                shown = VideoFrame.from_ndarray(both, format="rgba")
            yield Shot(shown, now, lasts_ms)
            now += lasts_ms

    def findings(self) -> list[str]:
        """Tell what was wrong with it, after it was read."""
        if not self.trouble:
            return []
        return [f"it ends early, after {self.frames} of {self.expected} frames ({self.trouble})"]
