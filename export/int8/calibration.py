"""How large the values inside an ONNX graph get on real photos, seen one photo at a time."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
import onnx
import onnxruntime  # type: ignore[import-untyped]
from numpy.typing import NDArray

from stylepress.errors import CheckpointError, FrameError
from stylepress.picture import Pixels
from stylepress.progress import Progress

Method: TypeAlias = Literal["minmax", "percentile", "mse"]
Values: TypeAlias = NDArray[np.float32]

BINS, POOLED_BINS = 2048, 4096
CODES = 127
SIDE_LIMIT_PX = 640
"""A larger photo is cropped to its middle: this bounds the memory, whatever the photos."""
FEW_PHOTOS = 4

SILENT = 1e-30
"""Ranges below this are nothing: their steps would be no float32 numbers."""


@dataclass(frozen=True, slots=True)
class Histogram:
    """Counts of |x| in equal bins over [0, ``most``], where ``most`` is the largest one seen."""

    counts: NDArray[np.float64]
    most: float

    def limit(self, method: Method, *, percentile: float = 99.99) -> float:
        """Return the size beyond which values are clipped: at most the largest one seen."""
        if method == "minmax" or not self.most:
            return self.most
        if method == "percentile":
            wanted = self.counts.sum() * (percentile / 100)
            bins = int(np.searchsorted(np.cumsum(self.counts), wanted)) + 1
            return min(1.0, bins / len(self.counts)) * self.most
        return self._least_error()

    def _least_error(self) -> float:
        """Return the limit whose 127 steps give the least squared error over all that was seen."""
        filled = np.flatnonzero(self.counts)
        sizes = (filled + 0.5) * (self.most / len(self.counts))
        limits = self.most * np.linspace(0.2, 1, 161)
        steps = limits[:, None] / CODES
        kept = np.minimum(np.rint(sizes / steps), CODES) * steps
        errors = ((kept - sizes) ** 2) @ self.counts[filled]
        return float(limits[int(np.argmin(errors))])


class Seen:
    """What one tensor (N, C, H, W) held: the sizes |x| of each channel, and its mean.

    Sizes are counted over [0, top] of their channel, where top is a power of two that doubles
    when it is too small. Doubling merges bins in pairs and loses nothing, so one pass is enough
    and the order of the photos does not matter. ``whole`` says that every value was an integer
    from -128 to 127: what a frame is in a network whose range is -128..127. Such a tensor is int8
    already, and a step of 1 loses nothing.
    """

    def __init__(self, channels: int) -> None:
        self.whole = True
        self.most = np.zeros(channels)
        self.top = np.full(channels, 2.0**-64)
        self.counts = np.zeros((channels, BINS), np.int64)
        self.sums = np.zeros(channels)

    def add(self, values: Values) -> None:
        """Count the finite values of one more (1, C, H, W)."""
        channels = len(self.most)
        if self.whole:
            inside = values.min() >= -CODES - 1 and values.max() <= CODES
            self.whole = bool(inside and (values == np.rint(values)).all())
        self.sums += values.sum(axis=(0, 2, 3), dtype=np.float64)
        sizes = np.abs(values[0]).reshape(channels, -1)
        self.most = np.maximum(self.most, sizes.max(axis=1))
        self._make_room()
        density = (BINS / self.top)[:, None].astype(np.float32)
        # A bin holds its upper end and not its lower, so that top itself lies in the last one.
        places = np.maximum(np.ceil(sizes * density).astype(np.int64) - 1, 0)
        places += np.arange(channels)[:, None] * BINS
        self.counts += np.bincount(places.ravel(), minlength=self.counts.size).reshape(-1, BINS)

    def _make_room(self) -> None:
        while (small := self.most > self.top).any():
            pairs = self.counts[small].reshape(-1, BINS // 2, 2).sum(axis=2)
            self.counts[small] = np.pad(pairs, ((0, 0), (0, BINS // 2)))
            self.top[small] *= 2

    @property
    def means(self) -> NDArray[np.float64]:
        """(C,) mean of each channel over everything seen."""
        return self.sums / max(1, int(self.counts[0].sum()))

    def channel(self, index: int) -> Histogram:
        """Return the sizes of one channel."""
        return self.pooled(np.eye(len(self.most))[index])

    def pooled(self, scale: NDArray[np.float64]) -> Histogram:
        """Return the sizes of the whole tensor once channel c is multiplied by ``scale[c]``."""
        most = float((self.most * scale).max())
        if most < SILENT:
            return Histogram(np.array([float(self.counts.sum())]), 0.0)
        middles = (np.arange(BINS) + 0.5) * (self.top * scale)[:, None] / BINS
        places = np.minimum((middles * (POOLED_BINS / most)).astype(np.int64), POOLED_BINS - 1)
        counts = np.bincount(places.ravel(), self.counts.ravel(), minlength=POOLED_BINS)
        return Histogram(counts.astype(np.float64), most)


def observe(
    model: onnx.ModelProto, tensors: Sequence[str], frames: Iterable[Pixels], *, progress: Progress
) -> tuple[Mapping[str, Seen], int]:
    """Run a frame graph on each (1, H, W, 3) frame and count what ``tensors`` hold.

    Only one photo's tensors are in memory at a time. Returns what was seen, and of how many
    photos.

    Raises:
        FrameError: no frames, or one that is not (1, H, W, 3) uint8.
        CheckpointError: a tensor holds NaN or infinity; the layer that made it is named.
    """
    session = watching(model, tensors)
    seen: dict[str, Seen] = {}
    photos, plain = 0, 0
    for frame in frames:
        frame = _fitting(frame)
        plain += bool((frame == frame[:, :1, :1]).all())
        feed = {"frame": frame, "strength": np.ones(1, np.float32)}
        for name, values in zip(tensors, session.run(list(tensors), feed), strict=True):
            _check_finite(model, name, values, photos)
            seen.setdefault(name, Seen(values.shape[1])).add(values)
        photos += 1
        progress.advance(note=f"photo {photos}")
    if not photos:
        raise FrameError(
            "There are no photos to calibrate INT8 on.",
            "Name a folder with a dozen photos like those the model will see.",
        )
    if plain == photos:
        progress.warn(
            f"Each of the {photos} calibration photos has one colour only, so the ranges fit no "
            f"real picture. Use photos like those the model will see."
        )
    elif photos < FEW_PHOTOS:
        progress.warn(f"INT8 ranges come from {photos} photos only; a dozen varied ones are safer.")
    return seen, photos


def watching(model: onnx.ModelProto, tensors: Sequence[str]) -> onnxruntime.InferenceSession:
    """Open a graph on ONNX Runtime's processor, with float ``tensors`` of it as further outputs."""
    watched = onnx.ModelProto()
    watched.CopyFrom(model)
    known = {output.name for output in watched.graph.output}
    watched.graph.output.extend(
        onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None)
        for name in tensors
        if name not in known
    )
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(
        watched.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )


def _fitting(frame: Pixels) -> Pixels:
    if frame.ndim != 4 or frame.shape[0] != 1 or frame.shape[3] != 3 or frame.dtype != np.uint8:
        raise FrameError(
            f"A calibration frame is {frame.dtype} {frame.shape}, not uint8 (1, H, W, 3).",
            "Give photos as RGB, 8 bits a channel, one at a time.",
        )
    top, left = (max(0, side - SIDE_LIMIT_PX) // 2 for side in frame.shape[1:3])
    return frame[:, top : top + SIDE_LIMIT_PX, left : left + SIDE_LIMIT_PX]


def _check_finite(model: onnx.ModelProto, name: str, values: Values, photo: int) -> None:
    if np.isfinite(values).all():
        return
    maker = next((node.name for node in model.graph.node if name in node.output), name)
    bad = int(values.size - np.isfinite(values).sum())
    raise CheckpointError(
        f"Layer {maker!r} gives {bad} NaN or infinite values on photo {photo + 1}.",
        "Take an earlier checkpoint, or train again with a lower learning rate.",
    )
