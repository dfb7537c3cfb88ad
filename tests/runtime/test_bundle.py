"""What counts as a bundle, and the sentence that refuses everything else."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from PIL import Image

from stylepress import Artifact
from stylepress.errors import ArtifactError
from stylepress.runtime.bundle import read_bundle

Change = Callable[[onnx.ModelProto], Any]


def resealed(source: Path, folder: Path, change: Callable[[Path], Any], **values: Any) -> Path:
    """Seal the files of a bundle again, after ``change`` had its way with them."""
    old = Artifact.load(source)

    def fill(beside: Path) -> None:
        for name in old.files:
            (beside / name).parent.mkdir(parents=True, exist_ok=True)
            (beside / name).write_bytes(old.path(name).read_bytes())
        change(beside)

    usual: dict[str, Any] = {"graphs": old.graphs, "made_by": old.made_by}
    Artifact.create(folder, fill, kind="bundle", name=old.name, **(usual | values))
    return folder


def test_a_bundle_tells_its_limits_and_yields_its_golden_pairs(conv_bundle: Path) -> None:
    bundle = read_bundle(conv_bundle)
    assert (bundle.main, bundle.least, bundle.tolerance) == ("frame", 4, 1.0)
    assert bundle.onnx_path() == conv_bundle / "model.onnx"
    assert bundle.model() == bundle.onnx_path().read_bytes()
    pairs = list(bundle.golden())
    assert [pair.name for pair in pairs] == ["0", "1"]
    assert [pair.feeds["frame"].shape for pair in pairs] == [(1, 48, 64, 3), (1, 37, 51, 3)]
    assert [pair.feeds.get("strength") for pair in pairs] == [None, np.float32(0.5)]
    for pair in pairs:
        assert pair.results["frame_out"].shape == pair.feeds["frame"].shape
        assert pair.feeds["frame"].dtype == pair.results["frame_out"].dtype == np.uint8


def test_another_kind_of_artifact_is_named_with_the_command_that_makes_a_bundle(
    tmp_path: Path,
) -> None:
    def fill(folder: Path) -> None:
        (folder / "weights.safetensors").write_bytes(b"")

    Artifact.create(tmp_path / "candy", fill, kind="checkpoint", name="candy", made_by={})
    with pytest.raises(
        ArtifactError, match=r"is a checkpoint \(candy\).*`stylepress export .*candy`"
    ):
        read_bundle(tmp_path / "candy")


def test_a_folder_without_a_manifest_is_no_bundle(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="no stylepress artifact"):
        read_bundle(tmp_path)


def test_a_bundle_without_its_graph_is_refused(tmp_path: Path) -> None:
    Artifact.create(tmp_path / "empty", lambda _: None, kind="bundle", name="empty", made_by={})
    with pytest.raises(ArtifactError, match=r"holds no graph\. Build it again"):
        read_bundle(tmp_path / "empty")


def test_an_altered_graph_is_refused(toy_bundle: Path) -> None:
    with (toy_bundle / "model.onnx").open("ab") as file:
        file.write(b"\0")
    with pytest.raises(ArtifactError, match=r"model\.onnx has digest"):
        read_bundle(toy_bundle)


def test_a_graph_swapped_after_loading_never_reaches_an_engine(toy_bundle: Path) -> None:
    bundle = read_bundle(toy_bundle)
    bundle.onnx_path().write_bytes(b"other")
    with pytest.raises(ArtifactError, match="not the file that its manifest was written for"):
        bundle.model()


@pytest.mark.parametrize("kept", [0, 1, 0.5, -10])
def test_a_truncated_graph_is_refused(
    kept: float, tmp_path: Path, tint_model: onnx.ModelProto, make_bundle: Callable[..., Path]
) -> None:
    whole = tint_model.SerializeToString()
    cut = whole[: int(len(whole) * kept) if isinstance(kept, float) else kept]
    folder = make_bundle(tmp_path / "cut", cut, golden=False)
    with pytest.raises(ArtifactError, match=r"model\.onnx: This is no whole ONNX model"):
        read_bundle(folder)


def test_a_graph_that_reads_another_file_is_refused_and_the_file_named(
    tmp_path: Path, tint_model: onnx.ModelProto, make_bundle: Callable[..., Path]
) -> None:
    model = onnx.ModelProto.FromString(tint_model.SerializeToString())
    weight = model.graph.initializer[0]
    weight.ClearField("raw_data")
    weight.data_location = TensorProto.EXTERNAL
    weight.external_data.add(key="location", value="../../secret.bin")
    folder = make_bundle(tmp_path / "outside", model, golden=False)
    with pytest.raises(ArtifactError, match=r"outside itself \(\.\./\.\./secret\.bin\)"):
        read_bundle(folder)


def rename_input(model: onnx.ModelProto) -> None:
    """Give the frame another name."""
    model.graph.input[0].name = "image"


def float_frame(model: onnx.ModelProto) -> None:
    """Let the graph take floats."""
    model.graph.input[0].type.tensor_type.elem_type = TensorProto.FLOAT


def flat_result(model: onnx.ModelProto) -> None:
    """Drop a dimension of the result."""
    del model.graph.output[0].type.tensor_type.shape.dim[3]


def another_input(model: onnx.ModelProto) -> None:
    """Ask for something that no runtime feeds."""
    model.graph.input.append(helper.make_tensor_value_info("extra", TensorProto.FLOAT, [1]))


@pytest.mark.parametrize("change", [rename_input, float_frame, flat_result, another_input])
def test_a_graph_with_other_ports_than_its_manifest_says_is_refused(
    change: Change,
    tmp_path: Path,
    tint_model: onnx.ModelProto,
    make_bundle: Callable[..., Path],
) -> None:
    model = onnx.ModelProto.FromString(tint_model.SerializeToString())
    change(model)
    folder = make_bundle(tmp_path / "other", model, golden=False)
    with pytest.raises(ArtifactError, match=r"has the ports .* where its manifest says frame"):
        read_bundle(folder)


def test_a_tolerance_that_cannot_be_is_refused(
    tmp_path: Path, tint_model: onnx.ModelProto, make_bundle: Callable[..., Path]
) -> None:
    folder = make_bundle(tmp_path / "odd", tint_model, tolerance=-1.0)
    with pytest.raises(ArtifactError, match=r"a tolerance of -1\.0"):
        read_bundle(folder)


@pytest.mark.parametrize(
    ("picture", "reason"),
    [
        (Image.new("L", (64, 48)), r"0\.frame_out\.png is no golden picture.*64x48 L"),
        (Image.new("RGB", (5, 48)), "Golden pair 0 of .* lacks a frame_out of width 64"),
    ],
)
def test_golden_pictures_of_another_kind_are_refused(
    picture: Image.Image, reason: str, tmp_path: Path, toy_bundle: Path
) -> None:
    odd = resealed(
        toy_bundle,
        tmp_path / "odd",
        lambda folder: picture.save(folder / "golden/frame/0.frame_out.png"),
    )
    with pytest.raises(ArtifactError, match=reason):
        list(read_bundle(odd).golden())
