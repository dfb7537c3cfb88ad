"""Does the file do what the network does: torch, ONNX Runtime, and INT8 against float."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
import onnxruntime  # type: ignore[import-untyped]
import torch
from PIL import Image, ImageOps

from stylepress.errors import ExportError, FrameError, VerificationError
from stylepress.export.frame_graph import FrameGraph
from stylepress.picture import Pixels
from stylepress.step_fields import VERIFY_SIZES

Size: TypeAlias = tuple[int, int]

PSNR_LIMIT_DB = 100.0
"""What equal pictures get, so that the number can be written as JSON."""


@dataclass(frozen=True, slots=True)
class Agreement:
    """How far two makers of the same frames are apart, over every pixel of every frame."""

    worst_levels: int
    psnr_db: float
    frames: int

    @property
    def rms_levels(self) -> float:
        """The root mean square of the differences, in levels of 255."""
        return 255 * 10 ** (-self.psnr_db / 20)


class OnnxFrames:
    """An ONNX frame graph on ONNX Runtime's CPU: the measure of every other engine."""

    def __init__(self, source: Path | bytes) -> None:
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        try:
            self._session = onnxruntime.InferenceSession(
                source, options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # ONNX Runtime's own classes share no public base
            raise ExportError(
                f"ONNX Runtime cannot load the exported model ({str(error)[:200]}).",
                "Export it again with another opset, or update onnxruntime.",
            ) from error

    def __call__(self, frame: Pixels, strength: float = 1.0) -> Pixels:
        """Map (N, H, W, 3) uint8 to the same shape."""
        feed = {"frame": frame, "strength": np.full(len(frame), strength, np.float32)}
        result: Pixels = self._session.run(["frame_out"], feed)[0]
        return result


class Difference:
    """Sums over pairs of pictures, from which an Agreement is read at the end."""

    def __init__(self) -> None:
        self.worst, self.squares, self.values, self.frames = 0, 0, 0, 0

    def add(self, one: Pixels, two: Pixels) -> None:
        """Count one more pair of equal shape."""
        gap = np.abs(one.astype(np.int32) - two.astype(np.int32))
        self.worst = max(self.worst, int(gap.max()))
        self.squares += int((gap.astype(np.int64) ** 2).sum())
        self.values += gap.size
        self.frames += 1

    def agreement(self) -> Agreement:
        """Return the largest difference in levels of 255, and the PSNR over everything."""
        if not self.squares:
            return Agreement(self.worst, PSNR_LIMIT_DB, self.frames)
        psnr_db = 10 * math.log10(255**2 * self.values / self.squares)
        return Agreement(self.worst, min(PSNR_LIMIT_DB, psnr_db), self.frames)


def verify(
    model: Path | bytes,
    graph: FrameGraph,
    frames: Sequence[Pixels],
    *,
    sizes: Sequence[Size] = VERIFY_SIZES,
    tolerance_levels: int = 1,
) -> Agreement:
    """Compare the file in ONNX Runtime with the network in PyTorch, on photos at some sizes.

    ``frames`` are (1, H, W, 3) uint8; each is scaled and cropped to each size. One level may
    differ, because two sums in another order may fall on two sides of a half.

    Raises:
        VerificationError: they differ by more, or strength 0 does not give the frame back.
        FrameError: no frames.
    """
    if not frames:
        raise FrameError("There are no photos to verify the model on.", "Name a folder of photos.")
    engine, difference = OnnxFrames(model), Difference()
    for height, width in sizes:
        for frame in frames:
            photo = fitted(frame, (max(height, graph.least), max(width, graph.least)))
            difference.add(engine(photo), in_torch(graph, photo))
    untouched = fitted(frames[0], sizes[0])
    if not np.array_equal(engine(untouched, 0.0), untouched):
        raise VerificationError(
            "Strength 0 does not give the frame back, so the picture is mixed in wrongly.",
            "Report this with the network; nothing was written.",
        )
    result = difference.agreement()
    if result.worst_levels > tolerance_levels:
        raise VerificationError(
            f"ONNX Runtime and PyTorch differ by {result.worst_levels} levels of 255 (PSNR "
            f"{result.psnr_db:.1f} dB, {result.frames} frames), where {tolerance_levels} may.",
            "Export with another opset; the network may hold an operation that ONNX rounds "
            "differently.",
        )
    return result


def compare(one: Path | bytes, two: Path | bytes, frames: Iterable[Pixels]) -> Agreement:
    """Compare two ONNX frame graphs in ONNX Runtime on (1, H, W, 3) uint8 frames."""
    first, second, difference = OnnxFrames(one), OnnxFrames(two), Difference()
    for frame in frames:
        difference.add(first(frame), second(frame))
    return difference.agreement()


def in_torch(graph: FrameGraph, frame: Pixels, strength: float = 1.0) -> Pixels:
    """Run the frame graph in PyTorch, in eval mode: (N, H, W, 3) uint8 to the same shape."""
    was_training = graph.training
    with torch.no_grad():
        frames = graph.eval()(torch.from_numpy(frame.copy()), torch.full((len(frame),), strength))
    graph.train(was_training)
    result: Pixels = frames.numpy()
    return result


def fitted(frame: Pixels, size: Size) -> Pixels:
    """Scale a (1, H, W, 3) frame until it covers ``size``, and crop its middle."""
    if frame.ndim != 4 or frame.shape[0] != 1 or frame.shape[3] != 3 or frame.dtype != np.uint8:
        raise FrameError(
            f"A frame is {frame.dtype} {frame.shape}, not uint8 (1, H, W, 3).",
            "Give photos as RGB, 8 bits a channel, one at a time.",
        )
    height, width = size
    picture = ImageOps.fit(Image.fromarray(frame[0]), (width, height), Image.Resampling.BICUBIC)
    return np.asarray(picture, np.uint8)[np.newaxis]
