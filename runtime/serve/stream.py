"""One stream: its newest frame, its settings, its state, and who gets what comes out."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from stylepress.picture import Pixels
from stylepress.runtime.serve.config import Settings, StreamEntry
from stylepress.runtime.serve.ledger import Ledger

State = Literal["starting", "live", "lost", "ended", "off"]
Weights = Mapping[str, float]
LONGEST_PERIOD_S, PERIOD_SHARE = 1.0, 0.1


class Frame:
    """A captured picture in somebody's memory, given back when the last holder lets go."""

    __slots__ = ("_done", "_holders", "_lock", "captured_ns", "number", "pixels")

    def __init__(
        self, number: int, captured_ns: int, pixels: Pixels, done: Callable[[], None] | None = None
    ) -> None:
        """Take (H, W, 3) uint8 RGB; ``done`` is called when nobody holds it any more."""
        self.number, self.captured_ns, self.pixels = number, captured_ns, pixels
        self._done, self._holders, self._lock = done, 1, threading.Lock()

    @property
    def age_s(self) -> float:
        """Seconds since it was captured."""
        return (time.monotonic_ns() - self.captured_ns) / 1e9

    def hold(self) -> Frame:
        """Count one more holder."""
        with self._lock:
            self._holders += 1
        return self

    def release(self) -> None:
        """Let go of it once."""
        with self._lock:
            self._holders -= 1
            last = self._holders == 0
        if last and self._done is not None:
            self._done()


@dataclass(frozen=True, slots=True, eq=False)
class Shown:
    """A stylized frame on its way to the outputs; ``before`` is None on a slate."""

    number: int
    captured_ns: int
    pixels: Pixels
    before: Frame | None = None
    style: str = ""


class Output(Protocol):
    """Somebody who gets every frame and never makes anybody wait."""

    name: str

    def offer(self, shown: Shown) -> None:
        """Take a frame, or count it as dropped."""

    def facts(self) -> dict[str, Any]:
        """Return what was offered, delivered and dropped, by reason."""

    def close(self) -> None:
        """Finish what was begun, in a bounded time."""


@dataclass(slots=True)
class Fade:
    """From one mix of styles to another, over some seconds."""

    before: Weights
    after: Weights
    begin_s: float = 0.0
    seconds: float = 0.0

    def weights(self, now_s: float) -> dict[str, float]:
        """Return the shares at a moment; they sum to 1, and styles of no share are left out."""
        share = 1.0
        if self.seconds > 0:
            share = min(1.0, max(0.0, (now_s - self.begin_s) / self.seconds))
        mixed: dict[str, float] = {}
        for weights, part in ((self.before, 1 - share), (self.after, share)):
            for name, weight in weights.items():
                mixed[name] = mixed.get(name, 0.0) + weight * part
        return {name: weight for name, weight in mixed.items() if weight > 1e-3}


def normalized(style: str | Weights) -> dict[str, float]:
    """Return the shares of a style or a mix of styles, summing to 1.

    >>> normalized("glass"), normalized({"glass": 1, "woodcut": 3})
    ({'glass': 1.0}, {'glass': 0.25, 'woodcut': 0.75})
    """
    if isinstance(style, str):
        return {style: 1.0}
    total = sum(style.values())
    return {name: weight / total for name, weight in style.items() if weight > 0}


@dataclass(slots=True)
class Memory:
    """What is kept of a stream from frame to frame; thrown away with its source or style."""

    key: tuple[Any, ...] = ()
    graph: dict[str, NDArray[Any]] = field(default_factory=dict)
    smoothed: NDArray[np.float32] | None = None
    before: NDArray[np.float32] | None = None


class Stream:
    """A stream that runs: sources put frames in, the inference thread takes the newest out."""

    def __init__(
        self,
        name: str,
        entry: StreamEntry,
        style: str,
        wake: Callable[[], None],
        *,
        owner: str = "",
    ) -> None:
        """Take what the file says, the style where it names none, and what wakes the thread.

        ``owner`` is the viewer whose own camera it is.
        """
        self.name, self.entry, self.owner = name, entry, owner
        self.settings: Settings = Settings(
            style=entry.style or style,
            strength=entry.strength,
            smoothing=entry.smoothing,
            enabled=entry.enabled,
            controls=entry.controls,
        )
        weights = normalized(entry.style or style)
        self.fade = Fade(weights, weights)
        self.mask: Pixels | None = None
        self.ledger = Ledger()
        self.state: State = "starting"
        self.reason = ""
        self.codec = ""
        self.size: tuple[int, int] | None = None
        self.epoch = 0
        self.memory = Memory()
        self.served_s = self.period_s = 0.0
        self._captured_ns = 0
        self.since_s = self.heartbeat_s = time.monotonic()
        self.last: Shown | None = None
        self._outputs: tuple[Output, ...] = ()
        self._pending: Frame | None = None
        self._lock = threading.Lock()
        self._wake = wake
        self._closed = False

    def put(self, frame: Frame) -> None:
        """Take a captured frame; the one that waits gives way to it."""
        self.ledger.capture()
        with self._lock:
            old, self._pending = self._pending, frame
            closed = self._closed
            if closed:
                old, self._pending = frame, None
        if old is not None:
            old.release()
            self.ledger.drop("shutdown" if closed else "superseded")
        self.size = (frame.pixels.shape[0], frame.pixels.shape[1])
        gap_s = (frame.captured_ns - self._captured_ns) / 1e9
        self._captured_ns = frame.captured_ns
        if gap_s < LONGEST_PERIOD_S:
            self.period_s += PERIOD_SHARE * (gap_s - self.period_s)
        self._wake()

    def take(self) -> Frame | None:
        """Hand out the newest frame; one that is too old is dropped instead."""
        with self._lock:
            frame, self._pending = self._pending, None
        if frame is not None and frame.age_s * 1e3 > self.entry.stale_ms:
            self.drop(frame, "stale")
            return None
        return frame

    @property
    def waiting_s(self) -> float:
        """How old the frame is that waits; 0 when there is none."""
        frame = self._pending
        return 0.0 if frame is None else frame.age_s

    @property
    def waits(self) -> bool:
        """Whether a frame is there."""
        return self._pending is not None

    def drop(self, frame: Frame, reason: str) -> None:
        """Let a frame go that was taken, and count it."""
        self.ledger.drop(reason)
        frame.release()

    def publish(self, frame: Frame, pixels: Pixels, style: str) -> None:
        """Give a stylized frame to every output, and let the captured one go."""
        shown = Shown(frame.number, frame.captured_ns, pixels, frame, style)
        self.last = Shown(frame.number, frame.captured_ns, pixels, None, style)
        for output in self._outputs:
            output.offer(shown)
        self.ledger.publish(frame.age_s)
        frame.release()

    def publish_slate(self, pixels: Pixels) -> None:
        """Give the outputs a picture that says why there is none."""
        self.ledger.slates += 1
        shown = Shown(0, time.monotonic_ns(), pixels)
        for output in self._outputs:
            output.offer(shown)

    def attach(self, output: Output) -> None:
        """Let an output take part from the next frame on."""
        with self._lock:
            self._outputs = (*self._outputs, output)

    def detach(self, output: Output) -> None:
        """Let an output take part no more."""
        with self._lock:
            self._outputs = tuple(other for other in self._outputs if other is not output)

    @property
    def outputs(self) -> tuple[Output, ...]:
        """Who gets the frames."""
        return self._outputs

    def become(self, state: State, reason: str = "") -> None:
        """Change the state, with the reason that users are shown."""
        if state != self.state:
            self.since_s = time.monotonic()
        self.state, self.reason = state, reason

    def source_changed(self) -> None:
        """Forget what was kept from frame to frame: what comes now is another picture."""
        self.epoch += 1

    def change(self, settings: Settings, fade_s: float = 0.0) -> None:
        """Take other settings from the next frame on; styles are cross-faded over ``fade_s``."""
        now = time.monotonic()
        if settings.style is not None and settings.style != self.settings.style:
            before = self.fade.weights(now)
            self.fade = Fade(before, normalized(settings.style), now, fade_s)
        self.settings = settings

    def close(self) -> None:
        """Take no more frames, drop the one that waits, and close the outputs."""
        with self._lock:
            self._closed = True
            frame, self._pending = self._pending, None
        if frame is not None:
            self.drop(frame, "shutdown")
        for output in self._outputs:
            output.close()

    def facts(self) -> dict[str, Any]:
        """Return what the page and the API show of it."""
        return {
            "name": self.name,
            "state": self.state,
            "reason": self.reason,
            "since_s": round(time.monotonic() - self.since_s, 1),
            "size": list(self.size) if self.size else None,
            "codec": self.codec,
            "settings": self.settings.model_dump(mode="json"),
            "mix": self.fade.weights(time.monotonic()),
            "mask": self.mask is not None,
            "own_camera": bool(self.owner),
            "frames": self.ledger.facts(),
            "outputs": [output.facts() | {"name": output.name} for output in self._outputs],
        }
