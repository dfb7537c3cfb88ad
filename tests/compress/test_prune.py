"""Pruning: what goes together goes together, what is cut is exact, what is kept is what counts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from stylepress.artifact import Artifact
from stylepress.compress.pruning.channels import channel_groups
from stylepress.compress.pruning.importance import channel_importance
from stylepress.compress.pruning.prune import made_channels, prune
from stylepress.compress.pruning.surgery import (
    PLAN,
    Plan,
    cut,
    followed,
    plan_of,
    plan_text,
    read_plan,
)
from stylepress.compress.pruning.widths import Wishes, chosen_channels, multiply_accumulates
from stylepress.errors import CheckpointError, RecipeError
from stylepress.ports import Port
from stylepress.recipe import load_recipe
from stylepress.steps import LoadStep, PruneStep
from stylepress.train.stage import load
from stylepress.train.student import FoldedStudent, Student, StudentSize
from stylepress.train.transformer import TransformerNet
from stylepress.train.weights.checkpoint import load_network
from stylepress.work import Work

PICTURE = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
SIZE = StudentSize(width=16, blocks=2, half=8, deep_width=24, deep_blocks=2)


class Transposed(nn.Module):
    """A translator with transposed convolutions, a group norm and a grouped convolution."""

    def __init__(self) -> None:
        super().__init__()
        self.down = nn.Sequential(nn.Conv2d(3, 12, 3, 2, 1), nn.InstanceNorm2d(12, affine=True))
        self.mid = nn.Conv2d(12, 16, 3, padding=1)
        self.norm = nn.GroupNorm(4, 16)
        self.up = nn.ConvTranspose2d(16, 12, 4, 2, 1)
        self.by_channel = nn.Conv2d(12, 12, 3, padding=1, groups=12)
        self.last = nn.Conv2d(12, 3, 3, padding=1)

    def forward(self, image: Tensor) -> Tensor:
        y = torch.relu(self.norm(self.mid(torch.relu(self.down(image)))))
        result: Tensor = self.last(torch.relu(self.by_channel(self.up(y))))
        return result


def net_of(kind: str) -> nn.Module:
    torch.manual_seed(1)
    makers: dict[str, Callable[[], nn.Module]] = {
        "transformer": lambda: TransformerNet(8, 2),
        "student": lambda: Student(SIZE, plain=True),
        "transposed": Transposed,
    }
    return makers[kind]().eval()


@pytest.mark.parametrize("kind", ["transformer", "student", "transposed"])
def test_silent_channels_are_cut_and_the_picture_stays(kind: str) -> None:
    """Whatever reads a channel reads zeros from it: then without it the picture is the same."""
    net = net_of(kind)
    groups = channel_groups(net, PICTURE).free
    kept = {group.name: np.arange(0, group.channels, 2) for group in groups}
    layers = dict(net.named_modules())
    with torch.no_grad():
        for group in groups:
            for member in group.readers:
                weight = layers[member.layer].get_parameter("weight")
                axis = 0 if isinstance(layers[member.layer], nn.ConvTranspose2d) else 1
                for channel in set(range(group.channels)) - set(kept[group.name].tolist()):
                    for place in member.places[channel]:
                        weight.select(axis, place).zero_()
        before = net(PICTURE)
        after = cut(net, plan_of(groups, kept))(PICTURE)
    assert torch.allclose(after, before, atol=1e-4 * float(before.abs().max()))
    for layer in net.modules():
        if isinstance(layer, nn.Conv2d) and layer.groups == 1:
            assert tuple(layer.weight.shape[:2]) == (layer.out_channels, layer.in_channels)


def test_layers_that_must_stay_are_named_with_the_reason() -> None:
    groups = channel_groups(net_of("transposed"), PICTURE)
    assert [group.name for group in groups.free] == ["down.0"]
    assert "GroupNorm" in groups.kept["mid"]
    assert groups.kept["last"] == "its channels are the picture"
    assert "by_channel" in groups.kept


def test_the_trunk_of_residual_blocks_is_one_group() -> None:
    groups = {group.name: group for group in channel_groups(net_of("transformer"), PICTURE).free}
    trunk = {member.layer for member in groups["conv3.conv2d"].members if member.axis == "out"}
    assert {"conv3.conv2d", "in3", "res1.conv2.conv2d", "res2.in2"} <= trunk
    assert set(groups) == {
        "conv1.conv2d", "conv2.conv2d", "conv3.conv2d", "res1.conv1.conv2d", "res2.conv1.conv2d",
        "deconv1.conv2d", "deconv2.conv2d",
    }  # fmt: skip


def test_a_loud_channel_in_front_of_a_norm_is_not_what_counts() -> None:
    """A kernel 100 times as large changes nothing behind an instance norm; a gain of 0 does."""
    net = net_of("transformer")
    groups = channel_groups(net, PICTURE).free
    with torch.no_grad():
        conv1, in1 = net.get_submodule("conv1.conv2d"), net.get_submodule("in1")
        conv1.get_parameter("weight")[2] *= 100
        in1.get_parameter("weight")[2] = 1e-3
        in1.get_parameter("bias")[2] = 0
    importance = channel_importance(net, groups, [PICTURE], 0)["conv1.conv2d"]
    assert int(importance.argmin()) == 2


def test_importance_is_the_change_of_the_picture() -> None:
    """For a linear network the expected squared probe is the squared length itself."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 6, 3, padding=1), nn.Conv2d(6, 3, 1))
    groups = channel_groups(net, PICTURE).free
    found = channel_importance(net, groups, [PICTURE] * 40, 0)["0"] / 80
    with torch.no_grad():
        inner, reader = net[0](PICTURE), net[1].get_parameter("weight")
        wanted = [(reader[:, c : c + 1] * inner[:, c : c + 1]).square().sum() for c in range(6)]
    assert torch.allclose(found.float(), torch.stack(wanted), rtol=0.6)
    assert found.argmax() == torch.stack(wanted).argmax()


def test_widths_are_multiples_and_the_share_is_kept() -> None:
    net = TransformerNet(32, 1)
    groups = channel_groups(net, PICTURE).free
    importance = {group.name: torch.rand(group.channels).double() for group in groups}
    cost = multiply_accumulates(net, PICTURE)
    kept = chosen_channels(groups, importance, cost, Wishes(0.6, 16, {"conv2.conv2d": 0.75}))
    assert len(kept["conv2.conv2d"]) == 48
    assert all(len(channels) % 16 == 0 for channels in kept.values())
    narrow = cut(net, plan_of(groups, kept))
    assert narrow(PICTURE).shape == PICTURE.shape


def test_two_cuts_are_one_plan_that_can_be_read_again(tmp_path: Path) -> None:
    once, twice = net_of("transformer"), net_of("transformer")
    plan: Plan = {}
    for odd in (0, 1):
        groups = channel_groups(twice, PICTURE).free
        kept = {group.name: np.arange(odd, group.channels, 2) for group in groups}
        fresh = plan_of(groups, kept)
        cut(twice, fresh)
        plan = followed(plan, fresh)
    (tmp_path / PLAN).write_text(plan_text(plan, "transformer"))
    cut(once, read_plan(tmp_path / PLAN, "transformer"))
    assert torch.equal(once(PICTURE), twice(PICTURE))
    with pytest.raises(CheckpointError, match="prunes a transformer network"):
        read_plan(tmp_path / PLAN, "student")


def test_a_plan_of_another_network_is_refused() -> None:
    net = net_of("transformer")
    groups = channel_groups(net, PICTURE).free
    plan = plan_of(groups, {group.name: np.arange(group.channels - 1) for group in groups})
    with pytest.raises(CheckpointError, match="Take the plan of a network of the same family"):
        cut(TransformerNet(4, 2), plan)


@pytest.fixture(scope="module")
def teachers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("prune")
    rng = np.random.default_rng(0)
    (root / "photos").mkdir()
    for index in range(3):
        coarse = Image.fromarray(rng.integers(0, 256, (6, 6, 3), dtype=np.uint8))
        coarse.resize((96, 96), Image.Resampling.BICUBIC).save(root / "photos" / f"{index}.png")
    torch.manual_seed(0)
    torch.save(TransformerNet(8, 1).state_dict(), root / "transformer.pth")
    torch.save(FoldedStudent(SIZE).state_dict(), root / "student.pth")
    return root


def work_in(folder: Path) -> Work:
    return Work(name="net", folder=folder / "state", board=folder / "board", home=folder)


@pytest.mark.parametrize("family", ["transformer", "student"])
def test_a_pruned_checkpoint_is_rebuilt_from_plain_files(
    teachers: Path, tmp_path: Path, family: str
) -> None:
    work = work_in(tmp_path)
    source = load(None, LoadStep(checkpoint=teachers / f"{family}.pth"), tmp_path / "teacher", work)
    step = PruneStep(
        keep=0.7, multiple_of=4, rounds=2, steps=3, crop_px=64, batch=1, pictures=1,
        loss="swd", photos=teachers / "photos", seed=1, max_drift=10,
    )  # fmt: skip
    pruned = prune(source, step, tmp_path / "pruned", work)
    before, after = load_network(tmp_path / "teacher"), load_network(tmp_path / "pruned")
    narrow, wide = made_channels(after.module), made_channels(before.module)
    assert pruned.made_by["accepted"]
    assert pruned.numbers["params_kept"] < 0.8
    assert 0 < pruned.numbers["macs_kept"] < 0.85
    assert sum(narrow.values()) < 0.85 * sum(wide.values())
    assert list(narrow.values())[-1] == list(wide.values())[-1]
    again = Artifact.load(tmp_path / "pruned")
    assert sorted(again.files) == ["network.json", PLAN, "weights.safetensors"]
    # The same cut, done to the network it came from.
    replay = step.model_copy(update={"plan": tmp_path / "pruned" / PLAN, "steps": 1})
    prune(source, replay, tmp_path / "again", work)
    assert made_channels(load_network(tmp_path / "again").module) == narrow


def test_time_that_was_measured_decides_where_to_cut(teachers: Path, tmp_path: Path) -> None:
    """Where one layer takes all the time, what it makes and what it reads is cut, nothing else."""
    work = work_in(tmp_path)
    source = load(None, LoadStep(checkpoint=teachers / "transformer.pth"), tmp_path / "t", work)
    step = PruneStep(
        keep=0.95, multiple_of=1, rounds=1, steps=1, crop_px=64, batch=1, pictures=1,
        loss="swd", photos=teachers / "photos", max_drift=10, weights="fresh",
    )  # fmt: skip
    slow = "res1.conv1.conv2d"

    def clock(network: nn.Module, image: Port) -> dict[str, float]:
        return {name: 1e6 * (name == slow) for name in made_channels(network)}

    prune(source, step, tmp_path / "pruned", work, clock=clock)
    before, after = (made_channels(load_network(tmp_path / at).module) for at in ("t", "pruned"))
    changed = {name for name in before if before[name] != after[name]}
    assert changed
    assert changed <= {slow, "conv3.conv2d", "res1.conv2.conv2d"}


def test_a_cut_that_drifts_too_far_is_taken_back(teachers: Path, tmp_path: Path) -> None:
    work = work_in(tmp_path)
    source = load(None, LoadStep(checkpoint=teachers / "student.pth"), tmp_path / "teacher", work)
    step = PruneStep(
        keep=0.3, multiple_of=1, rounds=1, steps=1, crop_px=64, batch=1, pictures=1,
        loss="swd", photos=teachers / "photos", max_drift=1e-9,
    )  # fmt: skip
    kept = prune(source, step, tmp_path / "kept", work)
    assert not kept.made_by["accepted"]
    assert "the network is as it was" in kept.made_by["verdict"]
    image = PICTURE * 255 - 128
    before, after = load_network(tmp_path / "teacher"), load_network(tmp_path / "kept")
    assert torch.equal(before.module(image), after.module(image))


def test_pruning_after_int8_is_refused_when_the_recipe_is_read(tmp_path: Path) -> None:
    names = ("train", "export", "quantize", "prune")
    steps = "".join(f"  - step: {name}\n" for name in names)
    (tmp_path / "wrong.yaml").write_text(
        f"name: wrong\nphotos: .\nstyle: {{pattern: glass}}\nsteps:\n{steps}"
    )
    with pytest.raises(RecipeError, match="`prune` follows `quantize`"):
        load_recipe(tmp_path / "wrong.yaml")


def test_a_layer_that_is_no_group_names_the_groups(teachers: Path, tmp_path: Path) -> None:
    work = work_in(tmp_path)
    source = load(None, LoadStep(checkpoint=teachers / "transformer.pth"), tmp_path / "t", work)
    step = PruneStep(layers={"res9": 0.5}, photos=teachers / "photos", loss="swd")
    with pytest.raises(RecipeError, match=r"conv1\.conv2d"):
        prune(source, step, tmp_path / "never", work)


@pytest.mark.parametrize(
    "widths",
    [{"conv1.conv2d": [9, 3]}, {"conv1.conv2d": [0, 3]}, {"nothing": [1, 1]}, [1], {"in1": [1, 1]}],
)
def test_widths_that_no_pruning_writes_are_refused(teachers: Path, widths: object) -> None:
    from stylepress.train.weights.families import FAMILIES

    family = FAMILIES["transformer"]
    with pytest.raises(CheckpointError, match="widths"):
        family.network({"width": 8, "blocks": 1, "widths": widths}, {}, "a file")
