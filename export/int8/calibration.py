"""How large the values inside an ONNX graph get on real photos, one tile of one at a time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnx
import onnxruntime  # type: ignore[import-untyped]

from stylepress.errors import CheckpointError, FrameError
from stylepress.export.int8.histogram import Activations, Values
from stylepress.picture import Pixels
from stylepress.progress import Progress

TILE_PX = 640
"""A larger photo is taken in tiles: this bounds the memory, whatever the photos."""
FEW_PHOTOS = 4


@dataclass(frozen=True, slots=True)
class Observed:
    """What the tensors of a graph held, by name, on how many photos and tiles of them."""

    tensors: Mapping[str, Activations]
    photos: int
    tiles: int


def observe(
    model: onnx.ModelProto, tensors: Sequence[str], frames: Iterable[Pixels], *, progress: Progress
) -> Observed:
    """Run a frame graph on each (1, H, W, 3) frame and count what ``tensors`` hold.

    Only one tile's tensors are in memory at a time, so the peak depends neither on how many
    photos there are nor on how large. A network that looks at the whole picture (instance norms)
    sees the tile as its picture.

    Raises:
        FrameError: no frames, or one that is not (1, H, W, 3) uint8.
        CheckpointError: a tensor holds NaN or infinity; the layer that made it is named.
    """
    session = watching(model, tensors)
    held: dict[str, Activations] = {}
    photos, count, plain = 0, 0, 0
    for frame in frames:
        _check_frame(frame)
        plain += bool((frame == frame[:, :1, :1]).all())
        for tile in tiles(frame):
            feed = {"frame": tile, "strength": np.ones(1, np.float32)}
            for name, values in zip(tensors, session.run(list(tensors), feed), strict=True):
                _check_finite(model, name, values, photos)
                held.setdefault(name, Activations(values.shape[1])).add(values)
            count += 1
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
    return Observed(held, photos, count)


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
    # An arena keeps what it grew to for every shape of tile; without it the peak is one tile's.
    options.enable_cpu_mem_arena = False
    return onnxruntime.InferenceSession(
        watched.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )


def tiles(frame: Pixels) -> Iterator[Pixels]:
    """Yield the tiles of (1, H, W, 3), none larger than 640 a side, that together cover it.

    All have one size. Where they do not fit evenly they overlap.

    >>> [tile.shape[1:3] for tile in tiles(np.zeros((1, 540, 1920, 3), np.uint8))]
    [(540, 640), (540, 640), (540, 640)]
    """
    height, width = frame.shape[1:3]
    for top in _starts(height):
        for left in _starts(width):
            yield frame[:, top : top + TILE_PX, left : left + TILE_PX]


def _starts(side: int) -> list[int]:
    room = max(0, side - TILE_PX)
    return [int(start) for start in np.linspace(0, room, -(-side // TILE_PX))]


def _check_frame(frame: Pixels) -> None:
    if frame.ndim != 4 or frame.shape[0] != 1 or frame.shape[3] != 3 or frame.dtype != np.uint8:
        raise FrameError(
            f"A calibration frame is {frame.dtype} {frame.shape}, not uint8 (1, H, W, 3).",
            "Give photos as RGB, 8 bits a channel, one at a time.",
        )


def _check_finite(model: onnx.ModelProto, name: str, values: Values, photo: int) -> None:
    if np.isfinite(values).all():
        return
    maker = next((node.name for node in model.graph.node if name in node.output), name)
    bad = int(values.size - np.isfinite(values).sum())
    raise CheckpointError(
        f"Layer {maker!r} gives {bad} NaN or infinite values on photo {photo + 1}.",
        "Take an earlier checkpoint, or train again with a lower learning rate.",
    )
