"""What the INT8 tests share: a small frame graph with everything that matters, and frames."""

from __future__ import annotations

import numpy as np
import onnx
import onnx.parser
import pytest
from numpy.typing import NDArray
from onnx import numpy_helper

Frames = list[NDArray[np.uint8]]

GRAPH = """
    <ir_version: 8, opset_import: ["": 18]>
    frame_graph (uint8[batch,height,width,3] frame, float[batch] strength)
        => (uint8[batch,height,width,3] frame_out)
    <float level = {128.0}, float low = {0.0}, float high = {255.0},
     float[8,3,3,3] w0, float[8] b0, float[16,8,3,3] w1, float[16] b1,
     float[16,16,3,3] w2, float[12,4,3,3] w3, float[12] b3>
    {
        x = Cast <to=1> (frame)
        x1 = Transpose <perm=[0,3,1,2]> (x)
        x2 = Sub(x1, level)
        [first] y0 = Conv <strides=[2,2], pads=[1,1,1,1]> (x2, w0, b0)
        z0 = Relu(y0)
        [down] y1 = Conv <pads=[1,1,1,1]> (z0, w1, b1)
        z1 = Relu(y1)
        [inner] y2 = Conv <pads=[1,1,1,1]> (z1, w2)
        r2 = Add(y2, z1)
        z2 = Relu(r2)
        s2 = DepthToSpace <blocksize=2, mode="CRD"> (z2)
        [last] y3 = Conv <pads=[1,1,1,1], strides=[2,2]> (s2, w3, b3)
        s3 = DepthToSpace <blocksize=2, mode="CRD"> (y3)
        t3 = Add(s3, level)
        c3 = Clip(t3, low, high)
        q3 = Round(c3)
        n3 = Transpose <perm=[0,2,3,1]> (q3)
        frame_out = Cast <to=2> (n3)
    }
"""


@pytest.fixture(scope="module")
def model() -> onnx.ModelProto:
    """A student-like frame graph with a residual, a shuffle and a convolution without bias."""
    draw = np.random.default_rng(0)
    made = onnx.parser.parse_model(GRAPH)
    for port in made.graph.value_info:
        dims = [dim.dim_value for dim in port.type.tensor_type.shape.dim]
        spread = (2 / np.prod(dims[1:])) ** 0.5 if len(dims) == 4 else 3
        value = draw.normal(0, spread, dims).astype(np.float32)
        made.graph.initializer.append(numpy_helper.from_array(value, port.name))
    del made.graph.value_info[:]
    onnx.checker.check_model(made, full_check=True)
    return made


@pytest.fixture(scope="module")
def frames() -> Frames:
    """Four pictures of smooth colours with some noise, of two sizes."""
    draw = np.random.default_rng(1)
    made = []
    for number in range(4):
        rows, columns = np.mgrid[0:64, 0 : 64 + 32 * (number % 2)] / 16
        waves = np.stack([np.sin(rows + number), np.cos(columns), np.sin(rows + columns)], -1)
        level = 128 + 90 * waves + draw.normal(0, 12, waves.shape)
        made.append(level.clip(0, 255).astype(np.uint8)[None])
    return made
