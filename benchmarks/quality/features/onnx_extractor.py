"""A feature network that the user brings as one closed ONNX file."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnxruntime  # type: ignore[import-untyped]
from numpy.typing import NDArray

from stylepress.benchmarks.quality.features.extractor import ExtractorFact, Pixels, Seen
from stylepress.benchmarks.quality.features.preprocessing import Preprocessing, prepared
from stylepress.errors import ArtifactError, BackendError
from stylepress.runtime.onnx_scan import scan

ERRORS_ONLY = 3
BATCH = 16


class OnnxExtractor:
    """An ONNX network, (N, 3, H, W) float32 in, (N, d) or (N, d, h, w) out, the latter averaged.

    Its bytes are read once, hashed, scanned for other files that it would read, and loaded. When
    height and width are free it takes pictures at their own size, which must agree in a batch.
    """

    def __init__(
        self, path: Path, *, preprocessing: Preprocessing = "clean-unit", output: str | None = None
    ) -> None:
        """Load it; ``output`` names the layer, the first one when None.

        Raises:
            ArtifactError: no such file, not a closed ONNX file, or other inputs and outputs.
            BackendError: onnxruntime cannot run it.
        """
        data = _closed(path)
        settings = onnxruntime.SessionOptions()
        settings.log_severity_level = ERRORS_ONLY
        try:
            self._session = onnxruntime.InferenceSession(
                data, settings, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # its own errors share no base
            raise BackendError(
                f"onnxruntime {onnxruntime.__version__} cannot load {path}: "
                f"{str(error).splitlines()[0][:200]}.",
                "Export it with an older opset.",
            ) from error
        inputs, outputs = self._session.get_inputs(), self._session.get_outputs()
        names = [one.name for one in outputs]
        layer = names[0] if output is None else output
        shape = inputs[0].shape
        takes = len(inputs) == 1 and inputs[0].type == "tensor(float)" and len(shape) == 4
        if not takes or shape[1] != 3 or layer not in names:
            raise ArtifactError(
                f"{path} takes {[(one.name, one.shape) for one in inputs]} and gives {names}; an "
                f"extractor takes one (N, 3, H, W) float32 and gives {output or 'features'}.",
                "Export it so.",
            )
        self._input, self._layer = inputs[0].name, layer
        fixed = isinstance(shape[2], int) and isinstance(shape[3], int)
        self._size: tuple[int, int] | None = (shape[2], shape[3]) if fixed else None
        self._alone = shape[0] == 1
        probe = np.zeros((*(self._size or (64, 64)), 3), np.uint8)
        self._preprocessing: Preprocessing = preprocessing
        self.fact = ExtractorFact(
            name=path.stem,
            kind="onnx",
            sha256=hashlib.sha256(data).hexdigest(),
            layer=layer,
            dimension=self._run([probe]).shape[1],
            preprocessing=preprocessing,
        )

    def see(self, pictures: Sequence[Pixels]) -> Seen:
        """Describe (H, W, 3) uint8 RGB pictures."""
        step = 1 if self._alone else BATCH
        parts = [
            self._run(pictures[start : start + step]) for start in range(0, len(pictures), step)
        ]
        return Seen(np.concatenate(parts))

    def _run(self, pictures: Sequence[Pixels]) -> NDArray[np.float64]:
        batch = np.stack(
            [
                prepared(picture, self._preprocessing, self._size or picture.shape[:2])
                for picture in pictures
            ]
        )
        try:
            made = self._session.run([self._layer], {self._input: batch})[0]
        except Exception as error:  # its own errors share no base
            raise BackendError(
                f"The extractor failed on pictures of shape {batch.shape}: "
                f"{str(error).splitlines()[0][:200]}.",
                "Check its input size.",
            ) from error
        rows = np.asarray(made, np.float64)
        if rows.ndim < 2 or len(rows) != len(batch):
            raise ArtifactError(
                f"The extractor made features of shape {rows.shape} of {len(batch)} pictures.",
                "Name an output with one vector or one stack of planes a picture.",
            )
        flat: NDArray[np.float64] = rows.reshape(*rows.shape[:2], -1).mean(-1)
        return flat


def _closed(path: Path) -> bytes:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ArtifactError(
            f"{path} cannot be read ({error.strerror}).", "Name an ONNX file."
        ) from error
    outside = scan(data).outside
    if outside:
        raise ArtifactError(
            f"{path} reads data from outside itself ({', '.join(outside[:3])}).",
            "Export it as one file with its weights inside.",
        )
    return data
