"""OpenVINO IR: the graph of a bundle as .xml and .bin, with a proof of what runs in INT8."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import openvino  # type: ignore[import-untyped]

from stylepress.errors import ExportError, VerificationError
from stylepress.export.frame_graph import FRAME, FRAME_OUT, STRENGTH
from stylepress.export.verify import Difference, OnnxFrames
from stylepress.picture import Pixels

XML = "model.xml"
CODES = frozenset({"i8", "u8"})


@dataclass(frozen=True, slots=True)
class IrProof:
    """How many convolutions OpenVINO compiled, how many in 8 bit, and how near its pictures are."""

    version: str
    convolutions: int
    int8_convolutions: int
    worst_levels: int


def write_ir(model: bytes, folder: Path, frames: list[Pixels], *, levels: int) -> IrProof:
    """Write the IR of a frame graph into ``folder`` and hold it against ONNX Runtime.

    ``frames`` are (1, H, W, 3) uint8; ``levels`` of 255 may differ on them. Weights stay as they
    are: FP32 is not made FP16.

    Raises:
        ExportError: OpenVINO cannot read or compile the graph.
        VerificationError: its pictures differ by more, or a quantized convolution runs in float.
    """
    core = openvino.Core()
    try:
        openvino.save_model(core.read_model(model=model), folder / XML, compress_to_fp16=False)
        compiled = core.compile_model(
            core.read_model(folder / XML), "CPU", {"INFERENCE_PRECISION_HINT": "f32"}
        )
    except RuntimeError as error:
        lines = str(error).strip().splitlines() or ["no reason given"]
        raise ExportError(
            f"OpenVINO {openvino.get_version()} refuses the graph: {lines[-1][:300]}.",
            "Update openvino, or export with an older opset.",
        ) from error
    reference, difference = OnnxFrames(model), Difference()
    for frame in frames:
        feeds = {FRAME: frame, STRENGTH: np.ones(len(frame), np.float32)}
        difference.add(reference(frame), compiled(feeds)[FRAME_OUT])
    kinds = [_precision(node) for node in compiled.get_runtime_model().get_ops()]
    convolutions = [kind for kind in kinds if kind]
    proof = IrProof(
        version=openvino.get_version(),
        convolutions=len(convolutions),
        int8_convolutions=sum(kind in CODES for kind in convolutions),
        worst_levels=difference.worst,
    )
    wanted = quantized_convolutions(model)
    if proof.worst_levels > levels or proof.int8_convolutions < wanted:
        raise VerificationError(
            f"OpenVINO's IR differs by {proof.worst_levels} levels of 255, where {levels} may, and "
            f"runs {proof.int8_convolutions} convolutions in INT8 of {wanted} that are quantized.",
            "Use the bundle itself, which is checked on this processor.",
        )
    return proof


def quantized_convolutions(model: bytes) -> int:
    """Count the convolutions whose input and weight are dequantized."""
    graph = onnx.load_model_from_string(model).graph
    back = {n.output[0] for n in graph.node if n.op_type == "DequantizeLinear"}
    return sum(n.op_type == "Conv" and set(n.input[:2]) <= back for n in graph.node)


def _precision(node: object) -> str:
    """Return the precision a convolution runs in; nothing for another layer."""
    facts = node.get_rt_info()  # type: ignore[attr-defined]
    if "layerType" not in facts or facts["layerType"].astype(str) != "Convolution":
        return ""
    return str(facts["runtimePrecision"].astype(str))
