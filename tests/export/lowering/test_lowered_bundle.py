"""Lowered bundles: a graph for each engine, golden pairs of its own, and what was changed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnx
import pytest

from stylepress.artifact import Artifact
from stylepress.errors import ExportError, RecipeError, VerificationError
from stylepress.export.bundle import GRAPH, sealed
from stylepress.export.frame_graph import MODEL, FrameGraph
from stylepress.export.golden import golden_files
from stylepress.export.lowering.bundle import FOR_ONNXRUNTIME, lower_bundle
from stylepress.export.onnx_file import serialized
from stylepress.progress import Silent
from stylepress.runtime.backends import EngineOptions, open_engine
from stylepress.runtime.bundle import read_bundle
from stylepress.runtime.choice import self_test
from stylepress.steps import LowerStep
from stylepress.targets.target import load_target
from tests.export.lowering.graphs import Array

ORIN = "jetson-orin-nano-8gb@5.1"


def bundle_of(
    place: Path, model: onnx.ModelProto, graph: FrameGraph, photos: list[Array], precision: str
) -> Artifact:
    data = serialized(model)
    return sealed(
        place,
        {MODEL: data, **golden_files(data, photos, graph.ports, GRAPH)},
        name="toy",
        graphs={GRAPH: graph.ports},
        made_by={"step": "test", "precision": precision, "opset": 18},
        parent="0" * 64,
        numbers={"psnr_db": 40.0, "golden_tolerance": 12.0, "golden_rms": 2.0},
    )


@pytest.fixture
def bundles(
    tmp_path: Path,
    graph: FrameGraph,
    model: onnx.ModelProto,
    int8: onnx.ModelProto,
    photos: list[Array],
) -> Mapping[str, Artifact]:
    """The stand-in in float and in INT8."""
    return {
        "fp32": bundle_of(tmp_path / "fp32", model, graph, photos, "fp32"),
        "int8": bundle_of(tmp_path / "int8", int8, graph, photos, "int8"),
    }


def lower(bundle: Artifact, target: str, **options: object) -> Artifact:
    step = LowerStep.model_validate(
        {"target": target, "min_psnr_db": 25.0, **options}, strict=False
    )
    return lower_bundle(
        bundle,
        load_target(target),
        bundle.folder.with_name("lowered"),
        photos=[],
        options=step,
        progress=Silent(),
    )


def test_an_engine_that_comes_second_gets_a_graph_of_its_own(
    bundles: Mapping[str, Artifact],
) -> None:
    made = lower(bundles["int8"], "x86-cpu")
    assert made.path(MODEL).read_bytes() == bundles["int8"].path(MODEL).read_bytes()
    bundle = read_bundle(made.folder)
    assert bundle.main == GRAPH
    assert bundle.placed_for("openvino") == GRAPH
    assert bundle.placed_for("onnxruntime") == FOR_ONNXRUNTIME
    engine = open_engine(bundle, "onnxruntime", options=EngineOptions(threads=1))
    assert engine.graph.file == f"{FOR_ONNXRUNTIME}.onnx"
    self_test(bundle, engine, FOR_ONNXRUNTIME)


def test_a_second_form_that_loses_too_much_is_left_out_and_costs_no_build(
    bundles: Mapping[str, Artifact],
) -> None:
    assert list(lower(bundles["int8"], "x86-cpu", min_psnr_db=99.0).graphs) == [GRAPH]


def test_where_it_comes_first_there_is_one_graph(bundles: Mapping[str, Artifact]) -> None:
    made = lower(bundles["int8"], "arm64-cpu")
    assert list(made.graphs) == [GRAPH]
    assert made.made_by["passes"] == {GRAPH: ["Q/DQ for ONNX Runtime"]}
    assert made.numbers["lowered_psnr_db"] > 25
    assert made.parent == bundles["int8"].digest


def test_an_old_jetpack_gets_its_opset_and_an_estimate(bundles: Mapping[str, Artifact]) -> None:
    made = lower(bundles["int8"], ORIN)
    assert made.made_by["opset"] == 17
    assert made.made_by["target"] == f"{ORIN}:MAXN_SUPER"
    assert made.numbers["estimated_floor_ms"] > 0
    assert read_bundle(made.folder).facts[GRAPH].opsets[""] == 17


def test_fixed_sizes_stand_in_the_ports_and_in_the_golden_pairs(
    bundles: Mapping[str, Artifact],
) -> None:
    made = lower(bundles["int8"], "jetson-agx-orin-64gb", size=(64, 96), batch=1)
    assert made.graphs[GRAPH].inputs[0].shape == (1, 64, 96, 3)
    assert {pair.feeds["frame"].shape for pair in read_bundle(made.folder).golden()} == {
        (1, 64, 96, 3)
    }


def test_fp16_is_made_of_float_and_only_where_it_runs(bundles: Mapping[str, Artifact]) -> None:
    made = lower(bundles["fp32"], "a100-80gb", fp16=True)
    assert made.made_by["precision"] == "fp16"
    assert made.size_bytes < 0.6 * bundles["fp32"].size_bytes
    with pytest.raises(RecipeError, match=r"x86-cpu runs int8, fp32, not FP16"):
        lower(bundles["fp32"], "x86-cpu", fp16=True)
    with pytest.raises(RecipeError, match=r"FP16 is made of a float bundle"):
        lower(bundles["int8"], "a100-80gb", fp16=True)


def test_int8_is_refused_for_a_device_that_has_none(bundles: Mapping[str, Artifact]) -> None:
    with pytest.raises(RecipeError, match=r"is INT8, and jetson-nano-4gb runs fp16, fp32"):
        lower(bundles["int8"], "jetson-nano-4gb")


def test_a_pass_that_costs_too_much_is_refused_with_the_mend(
    bundles: Mapping[str, Artifact],
) -> None:
    with pytest.raises(VerificationError, match=r"after `Q/DQ for .*min_psnr_db"):
        lower(bundles["int8"], "arm64-cpu", min_psnr_db=90.0)


def test_the_teacher_everybody_has_goes_to_fp16_and_opset_13(
    tmp_path: Path,
    small_teacher: FrameGraph,
    small_teacher_model: onnx.ModelProto,
    photos: list[Array],
) -> None:
    big = [np.ascontiguousarray(photo[:, :128, :128]) for photo in photos]
    bundle = bundle_of(tmp_path / "teacher", small_teacher_model, small_teacher, big, "fp32")
    made = lower(bundle, "jetson-nano-4gb", fp16=True)
    assert made.made_by["opset"] == 13
    assert made.made_by["passes"][GRAPH] == ["opset 18 to 13", "typed FP16"]


def test_what_the_target_cannot_take_is_fatal(
    tmp_path: Path, graph: FrameGraph, int8: onnx.ModelProto, photos: list[Array]
) -> None:
    wrong = onnx.ModelProto()
    wrong.CopyFrom(int8)
    for tensor in wrong.graph.initializer:
        if tensor.name == "int8_zero":
            tensor.CopyFrom(onnx.numpy_helper.from_array(np.array(1, np.int8), tensor.name))
    bundle = bundle_of(tmp_path / "wrong", wrong, graph, photos, "int8")
    with pytest.raises(ExportError, match=r"jetson-orin-nano-8gb@6.2.*zero point is not 0"):
        lower(bundle, "jetson-orin-nano-8gb@6.2")
