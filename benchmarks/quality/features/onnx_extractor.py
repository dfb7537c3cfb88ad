"""A feature network that the user brings as one closed ONNX file."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnxruntime  # type: ignore[import-untyped]

from stylepress.benchmarks.quality.features.extractor import ExtractorFact, Pixels, Rows, prepared
from stylepress.errors import ArtifactError, BackendError
from stylepress.runtime.onnx_scan import scan

ERRORS_ONLY, BATCH = 3, 16


class OnnxExtractor:
    """An ONNX network, (N, 3, H, W) float32 in, (N, d) or (N, d, h, w) out, the latter averaged.

    Its bytes are read once, hashed, scanned for other files that it would read, and loaded. When
    height and width are free it takes pictures at their own size, which must agree in a batch.
    """

    def __init__(self, path: Path) -> None:
        """Load it; features are its first output.

        Raises:
            ArtifactError: no such file, not a closed ONNX file, or other inputs and outputs.
            BackendError: onnxruntime cannot run it.
        """
        data = path.read_bytes()
        if outside := scan(data).outside:
            raise ArtifactError(
                f"{path} reads data from outside itself ({', '.join(outside[:3])}).",
                "Export it as one file with its weights inside.",
            )
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
        inputs, self._layer = self._session.get_inputs(), self._session.get_outputs()[0].name
        shape = inputs[0].shape
        if (
            len(inputs) != 1
            or inputs[0].type != "tensor(float)"
            or len(shape) != 4
            or shape[1] != 3
        ):
            raise ArtifactError(
                f"{path} takes {[(one.name, one.shape) for one in inputs]}; an extractor takes one "
                f"(N, 3, H, W) float32.",
                "Export it so.",
            )
        self._input, self._alone = inputs[0].name, shape[0] == 1
        fixed = isinstance(shape[2], int) and isinstance(shape[3], int)
        self._size: tuple[int, int] | None = (shape[2], shape[3]) if fixed else None
        self.fact = ExtractorFact(
            name=path.stem,
            kind="onnx",
            sha256=hashlib.sha256(data).hexdigest(),
            layer=self._layer,
            dimension=self._run([np.zeros((*(self._size or (64, 64)), 3), np.uint8)]).shape[1],
            preprocessing="clean-unit",
        )

    def describe(self, pictures: Sequence[Pixels]) -> Rows:
        """Describe (H, W, 3) uint8 RGB pictures."""
        step = 1 if self._alone else BATCH
        starts = range(0, len(pictures), step)
        return np.concatenate([self._run(pictures[start : start + step]) for start in starts])

    def _run(self, pictures: Sequence[Pixels]) -> Rows:
        batch = np.stack(
            [prepared(one, "clean-unit", self._size or one.shape[:2]) for one in pictures]
        )
        try:
            features = self._session.run([self._layer], {self._input: batch})[0]
        except Exception as error:  # its own errors share no base
            raise BackendError(
                f"The extractor failed on pictures of shape {batch.shape}: "
                f"{str(error).splitlines()[0][:200]}.",
                "Check its input size.",
            ) from error
        rows = np.asarray(features, np.float64)
        if rows.ndim < 2 or len(rows) != len(batch):
            raise ArtifactError(
                f"The extractor made features of shape {rows.shape} of {len(batch)} pictures.",
                "Let its first output be one vector or one stack of planes a picture.",
            )
        flat: Rows = rows.reshape(*rows.shape[:2], -1).mean(-1)
        return flat
