"""Formats of other programs: each opened again and held against what it was made from."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from stylepress.artifact import Artifact
from stylepress.errors import ArtifactError, OutputError, VerificationError
from stylepress.export.formats.convert import convert
from stylepress.export.formats.torch_archive import Archive, write_archive
from stylepress.export.formats.triton import config_text
from stylepress.export.frame_graph import FrameGraph, ImageRange
from stylepress.export.int8.quantize import quantize_int8
from stylepress.export.lowering.sevenbit import seven_bit
from stylepress.export.onnx_file import serialized
from stylepress.progress import Silent
from stylepress.steps import QuantizeStep
from stylepress.targets.target import load_target
from tests.export.lowering.graphs import Array


@pytest.fixture(scope="module")
def int8(model: onnx.ModelProto, photos: list[Array]) -> bytes:
    """The stand-in in INT8, with weights of 7 bits: exact on processors with AVX2 alone too."""
    options = QuantizeStep(keep_float="none")
    quantized = quantize_int8(model, photos, options=options, progress=Silent()).model
    return serialized(seven_bit(quantized))


def test_openvino_ir_runs_every_quantized_convolution_in_int8(
    int8: bytes, photos: list[Array], tmp_path: Path
) -> None:
    pytest.importorskip("openvino")
    from stylepress.export.formats.openvino_ir import quantized_convolutions, write_ir

    proof = write_ir(int8, tmp_path, photos, levels=60)
    assert (tmp_path / "model.xml").is_file()
    assert (tmp_path / "model.bin").is_file()
    assert proof.int8_convolutions == proof.convolutions == quantized_convolutions(int8)


def test_an_ir_that_is_too_far_is_refused(int8: bytes, photos: list[Array], tmp_path: Path) -> None:
    pytest.importorskip("openvino")
    from stylepress.export.formats.openvino_ir import write_ir

    with pytest.raises(VerificationError, match=r"where -1 may"):
        write_ir(int8, tmp_path, photos, levels=-1)


@pytest.mark.parametrize("archive", ["torchscript", "torch-export"])
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_an_archive_of_pytorch_draws_frames_of_any_size(
    archive: Archive, graph: FrameGraph, tmp_path: Path
) -> None:
    place = write_archive(graph, tmp_path, archive)
    again = (
        torch.jit.load(str(place))  # type: ignore[no-untyped-call]
        if archive == "torchscript"
        else torch.export.load(place).module(check_guards=False)
    )
    frame = torch.randint(0, 256, (1, 50, 70, 3)).to(torch.uint8)
    with torch.no_grad():
        gap = (again(frame, torch.ones(1)).int() - graph(frame, torch.ones(1)).int()).abs()
    assert int(gap.max()) <= 1


@pytest.mark.parametrize("target", ["a100-80gb", "x86-cpu"])
def test_triton_s_own_schema_takes_the_configuration(target: str, graph: FrameGraph) -> None:
    schema = pytest.importorskip("tritonclient.grpc.model_config_pb2")
    from google.protobuf import text_format  # type: ignore[import-untyped]

    text = config_text(graph.ports, name="toy", target=load_target(target), precision="int8")
    config = text_format.Parse(text, schema.ModelConfig())
    assert (config.name, config.platform, config.max_batch_size) == ("toy", "onnxruntime_onnx", 8)
    frame, strength = config.input
    assert (frame.name, list(frame.dims), frame.data_type) == (
        "frame", [-1, -1, 3], schema.TYPE_UINT8,
    )  # fmt: skip
    assert (list(strength.dims), list(strength.reshape.shape)) == ([1], [])
    assert list(config.dynamic_batching.preferred_batch_size) == [2, 4, 8]
    accelerators = config.optimization.execution_accelerators.gpu_execution_accelerator
    assert [one.name for one in accelerators] == (["tensorrt"] if target != "x86-cpu" else [])


def test_a_fixed_batch_is_not_gathered(graph: FrameGraph) -> None:
    ports = graph.ports.model_copy(
        update={
            side: tuple(p.model_copy(update={"shape": (1, *p.shape[1:])}) for p in ports)
            for side, ports in (("inputs", graph.ports.inputs), ("outputs", graph.ports.outputs))
        }
    )
    text = config_text(ports, name="toy", target=load_target("x86-cpu"))
    assert "max_batch_size: 0" in text
    assert "dynamic_batching" not in text


def test_the_other_kind_of_artifact_is_refused(tmp_path: Path) -> None:
    def fill(folder: Path) -> None:
        (folder / "a").write_bytes(b"")

    made = Artifact.create(
        tmp_path / "c", fill, kind="checkpoint", name="toy", made_by={"step": "test"}
    )
    cpu = load_target("cpu")
    with pytest.raises(ArtifactError, match=r"is a checkpoint, and triton is made of a bundle"):
        convert(made, "triton", tmp_path / "out", target=cpu)
    with pytest.raises(OutputError, match="exists already"):
        convert(made, "torchscript", tmp_path / "c", target=cpu)
    assert ImageRange(0, 1).scale < np.inf
