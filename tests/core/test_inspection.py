"""`inspect` and `doctor`: what they say of things known, unknown, damaged and missing."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import pytest

from stylepress.artifact import Artifact
from stylepress.doctor import BASE, EXTRAS, examine, extra_for
from stylepress.errors import ArtifactError, CheckpointError, InputError
from stylepress.inspection import inspect, size
from tests.frames import frame_ports

ROOT = Path(__file__).parents[2]


def test_any_artifact_is_told_with_what_it_takes_and_how_it_came_to_be(tmp_path: Path) -> None:
    Artifact.create(
        tmp_path / "e",
        lambda folder: (folder / "plan").touch(),
        kind="engine",
        name="glass",
        graphs={"frame": frame_ports(least=16, file="plan")},
        made_by={"step": "test"},
        parent="f" * 64,
        numbers={"ms": 2.5},
    )
    told = inspect(tmp_path / "e")
    assert told["what"] == "engine 'glass', whole"
    assert told["graph frame"]["inputs"] == [
        "frame: uint8 [batch, height, width, 3], 0 to 255, sides from 16",
        "strength: float32 [batch], 0 to 1, default 1",
    ]
    assert (told["made from"], told["numbers"]) == ("f" * 64, {"ms": 2.5})
    assert inspect(tmp_path / "e" / "manifest.json") == told
    (tmp_path / "e" / "plan").write_text("changed")
    with pytest.raises(ArtifactError, match="manifest expects"):
        inspect(tmp_path / "e")


def test_a_public_checkpoint_is_recognised(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    from stylepress.train.transformer import TransformerNet

    net = TransformerNet(width=8, blocks=1)
    torch.save(net.state_dict(), tmp_path / "candy.pth")
    told = inspect(tmp_path / "candy.pth")
    assert told["network"] == {"width": 8, "blocks": 1}
    assert told["parameters"] == sum(p.numel() for p in net.parameters())
    assert told["can be built"] == f"stylepress export {tmp_path / 'candy.pth'}"


def test_weights_of_an_unknown_family_are_still_described(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    torch.save({"a.weight": torch.zeros(2, 3)}, tmp_path / "a.pth")
    told = inspect(tmp_path / "a.pth")
    assert (told["parameters"], told["keys"]) == (6, "a.weight")
    assert told["family"] == "none that can be built"
    assert "no known family" in told["note"]
    assert "can be built" not in told


def test_weights_that_look_like_a_family_but_do_not_fit_cannot_be_built(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    from stylepress.train.transformer import TransformerNet

    state = TransformerNet(width=4, blocks=1).state_dict()
    state["conv2.conv2d.weight"] = torch.zeros(8, 4, 5, 5)
    torch.save(state, tmp_path / "odd.pth")
    facts = inspect(tmp_path / "odd.pth")
    assert "can be built" not in facts
    assert "layer conv2.conv2d.weight has shape (8, 4, 5, 5)" in facts["note"]


def test_weights_that_are_not_finite_are_refused(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    torch.save({"a.weight": torch.full((2,), float("nan"))}, tmp_path / "a.pth")
    with pytest.raises(CheckpointError, match="NaN"):
        inspect(tmp_path / "a.pth")


def test_an_onnx_file_tells_its_opset_and_its_ports(tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx")
    port = onnx.helper.make_tensor_value_info
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node("Relu", ["x"], ["y"])],
        "g",
        [port("x", 1, ["batch", 3])],
        [port("y", 1, ["batch", 3])],
    )
    opset = [onnx.helper.make_opsetid("", 18)]
    onnx.save(onnx.helper.make_model(graph, opset_imports=opset), tmp_path / "m.onnx")
    told = inspect(tmp_path / "m.onnx")
    assert told["opset"] == {"": 18}
    assert (told["inputs"], told["outputs"]) == (
        ["x: float32 [batch, 3]"],
        ["y: float32 [batch, 3]"],
    )


@pytest.mark.parametrize(
    "data", [b"", b"GIF89a", b"name: glass\n", b"\x89PNG\r\n\x1a\n" + b"\0" * 40]
)
def test_anything_else_is_refused_with_what_it_begins_with(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "x").write_bytes(data)
    with pytest.raises(InputError, match="neither an artifact, nor weights, nor ONNX"):
        inspect(tmp_path / "x")


def test_a_missing_file_and_a_plain_folder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        inspect(tmp_path / "x")
    with pytest.raises(ArtifactError, match="no stylepress artifact"):
        inspect(tmp_path)


@pytest.mark.parametrize(("count", "text"), [(0, "0 bytes"), (1000, "1 kB"), (2 * 10**9, "2 GB")])
def test_sizes_at_the_edges(count: int, text: str) -> None:
    assert size(count) == text


def test_the_doctor_knows_the_extras_of_the_package() -> None:
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    section = text.partition("[project.optional-dependencies]")[2].partition("\n[")[0]
    extras = set(re.findall(r"^(\w+) = ", section, re.MULTILINE))
    assert set(EXTRAS) == extras - {"all"}
    assert len(BASE) == text.partition("\ndependencies = [")[2].partition("]")[0].count('"') // 2


def test_the_doctor_says_what_runs_here_in_a_form_that_programs_read() -> None:
    health = examine(env={}, home=Path.home())
    assert health.able
    assert health.backends["onnxruntime"] == ""
    assert json.loads(json.dumps(health.record()))["backends"]["null"]["runs"] is True


def test_what_is_not_installed_is_told_with_the_command_that_brings_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("stylepress.doctor.find_spec", lambda module: None)
    parts = {part.name: part for part in examine(env={}, home=Path.home()).parts}
    assert parts["video"].lacks == ("av",)
    assert parts["video"].mend == "pip install 'stylepress[video]'"


@pytest.mark.parametrize(("module", "extra"), [("torch", "train"), ("av.video", "video")])
def test_a_module_belongs_to_the_smallest_extra_that_brings_it(module: str, extra: str) -> None:
    assert extra_for(module) == extra


def test_the_doctor_loads_no_training_stack(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    assert examine(env={}, home=Path.home()).able


@pytest.mark.parametrize(
    ("variant", "why"),
    [
        ("batchnorm", "BatchNorm"),
        ("affine-free", "lacks in1.weight"),
        ("transposed", "layer deconv1.conv2d.weight has shape"),
    ],
)
def test_inspect_says_of_a_sibling_network_what_a_build_says(
    tmp_path: Path, variant: str, why: str
) -> None:
    torch = pytest.importorskip("torch")
    from stylepress.train.transformer import TransformerNet
    from stylepress.train.weights.checkpoint import load_network

    state = TransformerNet(4, 1).state_dict()
    if variant == "batchnorm":
        state["in1.num_batches_tracked"] = torch.tensor(7)
    elif variant == "affine-free":
        del state["in1.weight"]
    else:
        state["deconv1.conv2d.weight"] = state["deconv1.conv2d.weight"].swapaxes(0, 1)
    torch.save(state, tmp_path / "sibling.pth")
    with pytest.raises(CheckpointError, match=why):
        load_network(tmp_path / "sibling.pth")
    facts = inspect(tmp_path / "sibling.pth")
    assert facts["family"] == "none that can be built"
    assert why in facts["note"]
    assert "can be built" not in facts
