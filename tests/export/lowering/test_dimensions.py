"""Fixed sizes: the same pixels on frames of that size, and nothing left that computes them."""

from __future__ import annotations

import numpy as np
import onnx

from stylepress.export.lowering.dimensions import fixed
from stylepress.export.onnx_file import serialized
from stylepress.export.verify import OnnxFrames
from tests.export.lowering.graphs import Array


def test_a_fixed_graph_draws_the_same_and_computes_no_shapes(
    model: onnx.ModelProto, photos: list[Array]
) -> None:
    height, width = photos[1].shape[1:3]
    still = fixed(model, {"batch": 1, "height": height, "width": width})
    onnx.checker.check_model(still, full_check=True)
    assert {node.op_type for node in still.graph.node}.isdisjoint({"Shape", "Squeeze", "Div"})
    before, after = OnnxFrames(serialized(model)), OnnxFrames(serialized(still))
    assert np.array_equal(before(photos[1]), after(photos[1]))


def test_the_batch_alone_may_be_fixed(model: onnx.ModelProto, photos: list[Array]) -> None:
    single = fixed(model, {"batch": 1})
    dims = single.graph.input[0].type.tensor_type.shape.dim
    assert (dims[0].dim_value, dims[1].dim_param) == (1, "height")
    before, after = OnnxFrames(serialized(model)), OnnxFrames(serialized(single))
    assert all(np.array_equal(before(photo), after(photo)) for photo in photos)
