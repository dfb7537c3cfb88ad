"""The whole path through `build` and the command line: every order of steps, ranges and colours."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from stylepress.__main__ import main
from stylepress.build import BuildOptions, resolved
from stylepress.cache import Cache
from stylepress.ports import Port
from stylepress.runtime.bundle import read_bundle
from stylepress.train.weights.checkpoint import load_network
from stylepress.train.weights.families import FAMILIES
from stylepress.train.weights.family import Family
from tests.core.homes import built, noise, painted, public_net, steps_of
from tests.frames import Heard

Capture = pytest.CaptureFixture[str]


# Every order of steps


def test_a_checkpoint_as_it_is_paints_what_its_network_paints(
    home: Path, cache: Cache, tmp_path: Path
) -> None:
    heard = Heard()
    result = built(home / "candy.pth", tmp_path / "out", heard, as_is=True, cache=cache)
    assert steps_of(result) == ["load", "export"]
    assert heard.warned == []
    picture = noise(37, 50)
    with torch.no_grad():
        wanted = public_net()(torch.from_numpy(picture).permute(2, 0, 1)[None].float())
    wanted = wanted.clamp(0, 255).round()[0, :, :37, :50].permute(1, 2, 0)
    gap = painted(tmp_path / "out" / "bundle", picture).astype(int) - wanted.numpy()
    assert np.abs(gap).max() <= 1
    assert result.bundle.parent == result.teacher.digest
    assert result.teacher.parent == load_network(home / "candy.pth").digest


def test_export_is_the_same_thing_under_another_name(
    at_home: Path, cache: Cache, tmp_path: Path, capsys: Capture
) -> None:
    known = built(at_home / "candy.pth", tmp_path / "a", as_is=True, cache=cache)
    arguments = ["candy.pth", "--target", "small.yaml", "--json", "-q"]
    assert main(["export", *arguments, "--out", str(tmp_path / "b")]) == 0
    record = json.loads(capsys.readouterr().out)
    assert record["artifacts"]["bundle"]["digest"] == known.bundle.digest
    assert all(artifact["reused"] for artifact in record["artifacts"].values())
    assert record["backend"] == "onnxruntime"


def test_a_checkpoint_as_it_is_in_int8(home: Path, cache: Cache, tmp_path: Path) -> None:
    photos = home / "photos"
    result = built(
        home / "candy.pth", tmp_path, as_is=True, photos=photos, precision="int8", cache=cache
    )
    assert steps_of(result) == ["load", "export", "quantize", "lower"]
    assert list(result.artifacts) == ["teacher", "float", "int8", "bundle"]
    assert result.bundle.made_by["precision"] == "int8"
    assert result.float_bundle.made_by["precision"] == "fp32"
    assert result.artifacts["int8"].parent == result.float_bundle.digest
    assert result.bundle.parent == result.artifacts["int8"].digest
    assert "Q/DQ for ONNX Runtime" in result.notes[0]
    picture = noise(64, 64)
    gap = painted(tmp_path / "bundle", picture).astype(int) - painted(tmp_path / "float", picture)
    assert np.abs(gap).max() <= result.bundle.numbers["golden_tolerance"]


def test_the_whole_path_and_both_forms_of_its_recipe(
    home: Path, cache: Cache, tmp_path: Path
) -> None:
    long = built(home / "long.yaml", tmp_path / "long", cache=cache)
    assert steps_of(long) == ["train", "distil", "export", "quantize", "lower"]
    assert list(long.artifacts) == ["teacher", "student", "float", "int8", "bundle"]
    chain = list(long.artifacts.values())
    assert [later.parent for later in chain[1:]] == [earlier.digest for earlier in chain[:-1]]
    short = built(home / "short.yaml", tmp_path / "short", cache=cache)
    assert short.reused == set(short.artifacts)
    assert [a.digest for a in short.artifacts.values()] == [a.digest for a in chain]
    assert "Nothing to do" in short.summary()
    for folder in ("float", "bundle"):
        assert read_bundle(tmp_path / "short" / folder).artifact == short.artifacts[folder]


def test_a_precision_on_the_command_line_leaves_the_quantizing_out(
    at_home: Path, cache: Cache, tmp_path: Path
) -> None:
    whole = built(at_home / "long.yaml", tmp_path / "whole", cache=cache)
    out = ["--out", str(tmp_path / "plain"), "-q"]
    assert main(["build", "long.yaml", "--precision", "fp32", *out]) == 0
    plain = read_bundle(tmp_path / "plain" / "bundle").artifact
    assert plain.digest == whole.float_bundle.digest
    assert sorted(path.name for path in (tmp_path / "plain").iterdir() if path.is_dir()) == [
        "bundle",
        "student",
        "teacher",
    ]


def test_a_student_of_somebody_s_checkpoint_in_float(
    home: Path, cache: Cache, tmp_path: Path
) -> None:
    result = built(home / "loaded.yaml", tmp_path, cache=cache)
    assert steps_of(result) == ["load", "distil", "export"]
    assert painted(tmp_path / "bundle", noise(31, 33)).shape == (31, 33, 3)


def test_commands_of_one_stage_stop_where_they_say(
    at_home: Path, cache: Cache, tmp_path: Path
) -> None:
    built(at_home / "long.yaml", tmp_path / "whole", cache=cache)
    for command, folders in (("train", {"teacher"}), ("compress", {"teacher", "student"})):
        out = tmp_path / command
        assert main([command, "long.yaml", "--out", str(out), "-q"]) == 0
        assert {path.parent.name for path in out.glob("*/manifest.json")} == folders


@pytest.mark.parametrize(
    ("options", "steps"),
    [
        ({"as_is": True}, ["load", "export"]),
        ({"photos": Path("p")}, ["load", "distil", "export", "quantize"]),
        ({"photos": Path("p"), "precision": "fp32"}, ["load", "distil", "export"]),
        ({"photos": Path("p"), "as_is": True}, ["load", "export", "quantize"]),
        ({"photos": Path("p"), "as_is": True, "precision": "fp32"}, ["load", "export"]),
    ],
)
def test_what_a_checkpoint_alone_amounts_to(
    home: Path, options: Mapping[str, Any], steps: list[str]
) -> None:
    recipe = resolved(home / "candy.pth", BuildOptions(**options))
    assert [step.step for step in recipe.steps] == steps
    assert recipe.name == "candy"


@pytest.mark.parametrize(
    ("name", "options", "steps"),
    [
        ("loaded", {"as_is": True}, ["load", "export"]),
        ("loaded", {"precision": "int8"}, ["load", "distil", "export", "quantize"]),
        ("long", {"as_is": True}, ["train", "export", "quantize"]),
        ("short", {"precision": "fp32"}, ["train", "distil", "export"]),
    ],
)
def test_options_change_the_steps_of_a_recipe(
    home: Path, name: str, options: Mapping[str, Any], steps: list[str]
) -> None:
    recipe = resolved(home / f"{name}.yaml", BuildOptions(**options))
    assert [step.step for step in recipe.steps] == steps


@pytest.mark.parametrize(
    ("arguments", "mend"),
    [
        (["build", "candy.pth"], "Add `--photos DIR`"),
        (["build", "candy.pth"], "with `--as-is`"),
        (["export", "candy.pth", "--precision", "int8"], "it is without `--precision int8`."),
        (["export", "nothing.pth"], "Name a recipe (.yaml), a checkpoint"),
        (["build", "wrong.yaml"], "Change the order of the steps"),
        (["export", "candy.pth", "--range", "1,0"], "Give `low` (black) and the larger `high`"),
        (["export", "candy.pth", "--target", "toaster"], "Choose one of a100-40gb, a100-80gb,"),
    ],
)
def test_what_cannot_be_built_is_refused_before_anything_is(
    at_home: Path, tmp_path: Path, capsys: Capture, arguments: list[str], mend: str
) -> None:
    steps = "steps: [{step: load, checkpoint: candy.pth}, {step: quantize}, {step: export}]"
    (at_home / "wrong.yaml").write_text(f"name: a\nphotos: photos\n{steps}\n", encoding="utf-8")
    assert main([*arguments, "--out", str(tmp_path / "out")]) == 2
    assert mend in " ".join(capsys.readouterr().err.split())
    assert not (tmp_path / "out").exists()


# Ranges and colours


class Painter(nn.Module):
    """Give every picture back without its first colour."""

    def __init__(self) -> None:
        super().__init__()
        self.mix = nn.Conv2d(3, 3, 1, bias=False)
        nn.init.dirac_(self.mix.weight)
        self.mix.weight.data[0] = 0

    def forward(self, image: Tensor) -> Tensor:
        result: Tensor = self.mix(image)
        return result


@pytest.fixture
def painter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Make a family of painters known, and return what writes weights of one."""

    def known(**image: Any) -> Path:
        usual = {"shape": ("batch", 3, "height", "width"), "dtype": "float32"}
        port = Port(**{"name": "image", "low": 0.0, "high": 255.0, **usual, **image})
        family = Family(
            name="painter",
            title="painters",
            marks=("mix.weight",),
            measure=lambda state: {},
            allowed={},
            usual={},
            build=Painter,
            image=port,
        )
        monkeypatch.setitem(FAMILIES, "painter", family)
        torch.save(Painter().state_dict(), tmp_path / "painter.pth")
        return tmp_path / "painter.pth"

    return known


@pytest.mark.parametrize(
    ("family", "options", "lost_level"),
    [
        ({"order": "bgr", "low": -1.0, "high": 1.0}, [], 128),
        ({}, ["--range", "0,1", "--bgr"], 0),
    ],
)
def test_range_and_colour_order_of_a_family_reach_the_graph(
    painter: Callable[..., Path],
    family: Mapping[str, Any],
    options: list[str],
    lost_level: int,
    at_home: Path,
    tmp_path: Path,
) -> None:
    weights = painter(**family)
    place = ["--target", "small.yaml", "--out", str(tmp_path / "out"), "-q", "--no-cache"]
    assert main(["export", str(weights), *options, *place]) == 0
    picture = noise(5, 7)
    wanted = picture.copy()
    # What is 0 to the network: black where that is its lowest value, grey between -1 and 1.
    wanted[..., 2] = lost_level
    gap = painted(tmp_path / "out" / "bundle", picture).astype(int) - wanted
    assert np.abs(gap).max() <= 1


@pytest.mark.parametrize(
    ("scale", "shift", "mend"),
    [
        (1 / 255, 0.0, "its own range is another, say so with `--range 0,1`"),
        (0.0, 0.0, "--range"),
        (0.0, 300.0, "are all white"),
        (1.0, -600.0, "are all black"),
        (1.0, 0.0, ""),
    ],
)
def test_a_network_whose_pictures_are_far_from_its_range_is_warned_of(
    home: Path, tmp_path: Path, scale: float, shift: float, mend: str
) -> None:
    net, heard = public_net(), Heard()
    with torch.no_grad():
        net.deconv3.conv2d.weight *= scale
        bias = net.deconv3.conv2d.bias
        assert bias is not None
        bias.mul_(scale).add_(shift)
    torch.save(net.state_dict(), tmp_path / "other.pth")
    target = str(home / "small.yaml")
    built(tmp_path / "other.pth", tmp_path / "o", heard, as_is=True, until="train", target=target)
    assert len(heard.warned) == bool(mend)
    assert mend in "".join(heard.warned)
