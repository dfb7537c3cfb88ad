"""Golden pairs: what a graph was fed and gave, by port, for the self-test of a device."""

from __future__ import annotations

import io
import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from safetensors.numpy import save as safetensors_bytes

from stylepress.artifact import GOLDEN
from stylepress.errors import FrameError
from stylepress.export.frame_graph import FRAME, FRAME_OUT, STRENGTH
from stylepress.export.verify import OnnxFrames, Size, fitted
from stylepress.picture import Pixels
from stylepress.ports import Graph

GOLDEN_SIZES: tuple[tuple[Size, float], ...] = (
    ((128, 128), 1.0),
    ((97, 131), 1.0),
    ((64, 160), 0.5),
)
"""(height, width) and strength of each pair: one size is odd, one strength is not the default."""
PICTURE_MODES = {1: "L", 3: "RGB"}


def golden_crops(photos: Sequence[Pixels], size: Size | None = None) -> list[tuple[Pixels, float]]:
    """Return the (1, H, W, 3) uint8 crops of photos that are kept, with their strengths.

    All are of ``size``, where a graph takes no other.

    Raises:
        FrameError: no photos.
    """
    if not photos:
        raise FrameError("There are no photos to test the bundle by.", "Name a folder of photos.")
    pairs = zip(itertools.cycle(photos), GOLDEN_SIZES, strict=False)
    return [(fitted(photo, size or usual), strength) for photo, (usual, strength) in pairs]


def golden_files(
    model: bytes,
    photos: Sequence[Pixels],
    graph: Graph,
    name: str,
    size: Size | None = None,
) -> dict[str, bytes]:
    """Return what this very file gives in ONNX Runtime, by file name inside the bundle."""
    engine = OnnxFrames(model)
    files: dict[str, bytes] = {}
    for number, (crop, strength) in enumerate(golden_crops(photos, size)):
        values: dict[str, NDArray[Any]] = {FRAME: crop, FRAME_OUT: engine(crop, strength)}
        if strength != graph.input(STRENGTH).default:
            values[STRENGTH] = np.full(len(crop), strength, np.float32)
        files.update(pair_files(f"{GOLDEN}/{name}/{number}", values))
    return files


def pair_files(place: str, values: Mapping[str, NDArray[Any]]) -> dict[str, bytes]:
    """Return the files of one pair: PNG for a picture, safetensors for any other array."""
    files = {}
    for port, array in values.items():
        picture = array.dtype == np.uint8 and array.ndim == 4 and len(array) == 1
        if picture and array.shape[3] in PICTURE_MODES:
            files[f"{place}.{port}.png"] = _png(array)
        else:
            files[f"{place}.{port}.safetensors"] = safetensors_bytes({port: array})
    return files


def _png(picture: NDArray[Any]) -> bytes:
    file = io.BytesIO()
    Image.fromarray(picture[0].squeeze(-1) if picture.shape[3] == 1 else picture[0]).save(
        file, "PNG", optimize=True
    )
    return file.getvalue()
