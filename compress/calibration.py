"""How large the values inside an ONNX graph get on real photos, seen one photo at a time."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

import numpy as np
import onnx
import onnxruntime  # type: ignore[import-untyped]
from numpy.typing import NDArray

from stylepress.errors import CheckpointError, FrameError
from stylepress.progress import Progress

Method: TypeAlias = Literal["minmax", "percentile", "mse"]
Pixels: TypeAlias = NDArray[np.uint8]
Values: TypeAlias = NDArray[np.float32]

BINS = 4096
CODES = 127
SIDE_LIMIT_PX = 640
"""A larger photo is cropped to its middle: this bounds the memory, whatever the photos."""
FEW_PHOTOS = 4


class Histogram:
    """Counts of |x| in equal bins over [0, ``top``], where ``top`` doubles when it is too small.

    ``top`` is a power of two, so that doubling it merges bins in pairs and loses nothing: what is
    counted does not depend on the order of the photos, and one pass is enough.
    """

    def __init__(self) -> None:
        self.top = 2.0**-64
        self.most = 0.0
        self.counts = np.zeros(BINS, np.int64)

    def add(self, values: Values) -> None:
        """Count finite ``values`` of any shape."""
        sizes = np.abs(values).ravel()
        self.most = max(self.most, float(sizes.max(initial=0)))
        while self.most > self.top:
            pairs = self.counts.reshape(-1, 2).sum(axis=1)
            self.counts = np.concatenate([pairs, np.zeros(BINS - len(pairs), np.int64)])
            self.top *= 2
        places = np.minimum((sizes * (BINS / self.top)).astype(np.int64), BINS - 1)
        self.counts += np.bincount(places, minlength=BINS)

    def limit(self, method: Method, *, percentile: float = 99.99) -> float:
        """Return the size beyond which values are clipped: at most the largest one seen."""
        if method == "minmax":
            return self.most
        if method == "percentile":
            wanted = self.counts.sum() * (percentile / 100)
            bins = int(np.searchsorted(np.cumsum(self.counts), wanted)) + 1
            return min(self.most, bins * self.top / BINS)
        return min(self.most, self._least_error())

    def _least_error(self) -> float:
        """Return the limit whose 127 steps give the least squared error over all that was seen."""
        if not self.most:
            return 0.0
        filled = np.flatnonzero(self.counts)
        sizes = (filled + 0.5) * (self.top / BINS)
        limits = self.most * np.linspace(0.2, 1, 161)
        steps = limits[:, None] / CODES
        kept = np.minimum(np.rint(sizes / steps), CODES) * steps
        errors = ((kept - sizes) ** 2) @ self.counts[filled]
        return float(limits[int(np.argmin(errors))])


@dataclass
class Seen:
    """What one tensor (N, C, H, W) held: sizes of all values, and the mean of each channel.

    ``whole`` says that every value was an integer from -128 to 127: what a frame is in a network
    whose range is -128..127. Such a tensor is int8 already, and a step of 1 loses nothing.
    """

    histogram: Histogram = field(default_factory=Histogram)
    whole: bool = True
    sums: NDArray[np.float64] | None = None
    pixels: int = 0

    def add(self, values: Values) -> None:
        """Count one more (1, C, H, W)."""
        self.histogram.add(values)
        self.whole = self.whole and bool(
            values.min() >= -CODES - 1
            and values.max() <= CODES
            and (values == np.rint(values)).all()
        )
        sums = values.sum(axis=(0, 2, 3), dtype=np.float64)
        self.sums = sums if self.sums is None else self.sums + sums
        self.pixels += values.size // values.shape[1]

    def step(self, method: Method, *, percentile: float) -> float:
        """Return the size of one int8 step; 0 when nothing but 0 was seen."""
        if self.whole and self.histogram.most:
            return 1.0
        return float(np.float32(self.histogram.limit(method, percentile=percentile) / CODES))

    @property
    def means(self) -> NDArray[np.float64]:
        """(C,) mean of each channel over everything seen."""
        return np.zeros(0) if self.sums is None else self.sums / self.pixels


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
    session = _watching(model, tensors)
    seen = {name: Seen() for name in tensors}
    photos, plain = 0, 0
    for frame in frames:
        frame = _fitting(frame)
        plain += bool((frame == frame[:, :1, :1]).all())
        feed = {"frame": frame, "strength": np.ones(1, np.float32)}
        for name, values in zip(tensors, session.run(list(tensors), feed), strict=True):
            _check_finite(model, name, values, photos)
            seen[name].add(values)
        photos += 1
        progress.advance(note=f"photo {photos}")
    if not photos:
        raise FrameError(
            "There are no photos to calibrate INT8 on. "
            "Name a folder with a dozen photos like those the model will see."
        )
    if plain == photos:
        progress.warn(
            f"Each of the {photos} calibration photos has one colour only, so the ranges fit no "
            f"real picture. Use photos like those the model will see."
        )
    elif photos < FEW_PHOTOS:
        progress.warn(f"INT8 ranges come from {photos} photos only; a dozen varied ones are safer.")
    return seen, photos


def _watching(model: onnx.ModelProto, tensors: Sequence[str]) -> onnxruntime.InferenceSession:
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
            f"A calibration frame is {frame.dtype} {frame.shape}, not uint8 (1, H, W, 3). "
            f"Give photos as RGB, 8 bits a channel, one at a time."
        )
    top, left = (max(0, side - SIDE_LIMIT_PX) // 2 for side in frame.shape[1:3])
    return frame[:, top : top + SIDE_LIMIT_PX, left : left + SIDE_LIMIT_PX]


def _check_finite(model: onnx.ModelProto, name: str, values: Values, photo: int) -> None:
    if np.isfinite(values).all():
        return
    maker = next((node.name for node in model.graph.node if name in node.output), name)
    bad = int(values.size - np.isfinite(values).sum())
    raise CheckpointError(
        f"Layer {maker!r} gives {bad} NaN or infinite values on photo {photo + 1}. "
        f"Take an earlier checkpoint, or train again with a lower learning rate."
    )
