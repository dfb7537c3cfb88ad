"""What the lowering tests share: the stand-in student, quantized as bundles are."""

from __future__ import annotations

import onnx
import pytest

from stylepress.export.int8.quantize import quantize_int8
from stylepress.progress import Silent
from stylepress.steps import QuantizeStep
from tests.export.lowering.graphs import Array


@pytest.fixture(scope="session")
def int8(model: onnx.ModelProto, photos: list[Array]) -> onnx.ModelProto:
    """The stand-in with Q/DQ on inputs and weights of all convolutions."""
    options = QuantizeStep(keep_float="none")
    return quantize_int8(model, photos, options=options, progress=Silent()).model
