"""Teachers from public files and from artifacts, and how checkpoints are kept."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save as safetensors_bytes
from torch import Tensor, nn

from stylepress.artifact import Artifact, file_digest
from stylepress.errors import ArtifactError, CheckpointError
from stylepress.ports import Graph
from stylepress.train.student import FoldedStudent, StudentSize
from stylepress.train.transformer import TransformerNet
from stylepress.train.weights.checkpoint import load_network, read_checkpoint, save_checkpoint
from stylepress.train.weights.families import FAMILIES, STUDENT
from stylepress.train.weights.family import some


def net(width: int = 2, blocks: int = 1) -> TransformerNet:
    torch.manual_seed(width)
    return TransformerNet(width, blocks).eval()


def saved(folder: Path, state: Mapping[str, Tensor], name: str = "candy.pth") -> Path:
    torch.save(dict(state), folder / name)
    return folder / name


def same(one: Mapping[str, Tensor], two: Mapping[str, Tensor]) -> bool:
    return one.keys() == two.keys() and all(torch.equal(one[key], two[key]) for key in one)


@pytest.mark.parametrize(("width", "blocks"), [(2, 1), (16, 5), (3, 0)])
def test_width_and_blocks_are_read_from_the_shapes(tmp_path: Path, width: int, blocks: int) -> None:
    teacher = load_network(saved(tmp_path, net(width, blocks).state_dict()))
    assert (teacher.family, teacher.config) == ("transformer", {"width": width, "blocks": blocks})


def test_a_loaded_teacher_paints_as_the_network_that_was_saved(tmp_path: Path) -> None:
    source = net(4, 2)
    path = saved(tmp_path, source.state_dict(), "mosaic.pth")
    teacher = load_network(path)
    image = torch.rand(1, 3, 20, 24) * 255
    assert torch.equal(teacher.module(image), source(image))
    assert not teacher.module.training
    assert not any(weight.requires_grad for weight in teacher.module.parameters())
    assert (teacher.image.low, teacher.image.high, teacher.image.least) == (0, 255, 16)
    assert (teacher.name, teacher.digest) == ("mosaic", file_digest(path))


def test_loading_leaves_the_random_numbers_of_a_run_alone(tmp_path: Path) -> None:
    path = saved(tmp_path, net().state_dict())
    before = torch.get_rng_state()
    load_network(path)
    assert torch.equal(torch.get_rng_state(), before)


def test_a_network_kept_beside_others_is_found_under_its_prefix(tmp_path: Path) -> None:
    joint = {f"net.{key}": value for key, value in net().state_dict().items()}
    joint["vgg.features.0.weight"] = torch.ones(4, 3, 3, 3)
    teacher = load_network(saved(tmp_path, joint))
    assert teacher.config == {"width": 2, "blocks": 1}


def test_an_unknown_family_is_answered_with_the_keys_and_the_nearest_family(
    tmp_path: Path,
) -> None:
    unknown = {f"res{n}.conv1.conv2d.weight": torch.ones(1) for n in range(1, 7)}
    path = saved(tmp_path, unknown)
    with pytest.raises(CheckpointError) as caught:
        load_network(path)
    message = str(caught.value)
    assert "res1.conv1.conv2d.weight" in message
    assert "(6 in all)" in message
    assert "known are transformer" in message
    assert "nearest, transformer, has conv1.conv2d.weight" in message
    assert "Convert the weights" in message


def test_a_wrong_shape_is_named_with_what_was_seen_and_expected(tmp_path: Path) -> None:
    state = {**net().state_dict(), "res1.conv2.conv2d.weight": torch.ones(8, 8, 5, 5)}
    path = saved(tmp_path, state)
    with pytest.raises(
        CheckpointError,
        match=r"res1\.conv2\.conv2d\.weight has shape \(8, 8, 5, 5\) where \(8, 8, 3, 3\)",
    ):
        load_network(path)


@pytest.mark.parametrize("shape", [(), (0, 3, 9, 9), (5,), (2, 3, 9)])
def test_a_first_layer_of_any_shape_is_a_checkpoint_error(
    tmp_path: Path, shape: tuple[int, ...]
) -> None:
    state = {**net().state_dict(), "conv1.conv2d.weight": torch.ones(shape)}
    with pytest.raises(CheckpointError, match=r"width '0'|conv1\.conv2d\.weight has shape"):
        load_network(saved(tmp_path, state))


def test_layers_too_many_and_too_few_are_named(tmp_path: Path) -> None:
    state = net().state_dict()
    state["attention.weight"] = state.pop("in5.bias")
    path = saved(tmp_path, state)
    with pytest.raises(CheckpointError, match=r"lacks in5\.bias and has attention\.weight beyond"):
        load_network(path)


def test_integers_in_place_of_weights_are_refused(tmp_path: Path) -> None:
    state = {**net().state_dict(), "in1.weight": torch.ones(2, dtype=torch.int8)}
    with pytest.raises(CheckpointError, match=r"torch\.int8 numbers in layer in1\.weight"):
        load_network(saved(tmp_path, state))


def test_two_networks_in_one_file_are_not_chosen_between(tmp_path: Path) -> None:
    both = {f"{side}.{key}": v for side in ("a", "b") for key, v in net().state_dict().items()}
    with pytest.raises(CheckpointError, match=r"2 networks .* under a\., b\."):
        load_network(saved(tmp_path, both))


def test_names_from_a_file_cannot_write_to_the_terminal() -> None:
    assert "\x1b" not in some(["\x1b[2J", "a\nb"])
    assert len(some(["a" * 10_000])) < 100


# --- checkpoint artifacts ----------------------------------------------------------------------

IMAGE = FAMILIES["transformer"].image


def kept(folder: Path, module: nn.Module, **change: Any) -> Artifact:
    options: dict[str, Any] = {
        "family": "transformer",
        "config": {"width": 2, "blocks": 1},
        "spec": IMAGE,
        "made_by": {"step": "train"},
        "name": "candy",
        **change,
    }
    return save_checkpoint(module, folder, **options)


def test_a_checkpoint_comes_back_bit_for_bit(tmp_path: Path) -> None:
    source = net()
    made = kept(tmp_path / "a", source, parent="0" * 64, numbers={"loss": 0.5})
    family, config, state = read_checkpoint(Artifact.load(tmp_path / "a"))
    assert (family, config) == ("transformer", {"width": 2, "blocks": 1})
    assert same(state, source.state_dict())
    graph = made.graphs["network"]
    assert (graph.inputs[0], graph.outputs[0].name, made.parent) == (IMAGE, "image_out", "0" * 64)


def test_the_same_weights_have_the_same_digest_and_others_another(tmp_path: Path) -> None:
    one, two = kept(tmp_path / "a", net()), kept(tmp_path / "b", net())
    changed = net()
    with torch.no_grad():
        changed.conv1.conv2d.weight[0, 0, 0, 0] += 1
    assert one.digest == two.digest != kept(tmp_path / "c", changed).digest
    assert kept(tmp_path / "d", net(), name="mosaic").digest != one.digest


def test_a_teacher_is_loaded_from_its_folder_with_its_own_range(tmp_path: Path) -> None:
    unit = IMAGE.model_copy(update={"low": 0.0, "high": 1.0, "order": "bgr"})
    source = net()
    made = kept(tmp_path / "a", source, spec=unit)
    teacher = load_network(tmp_path / "a")
    image = torch.rand(1, 3, 16, 16)
    assert torch.equal(teacher.module(image), source(image))
    assert (teacher.image, teacher.digest, teacher.name) == (unit, made.digest, "candy")


def test_tied_and_half_weights_are_kept_as_plain_float32(tmp_path: Path) -> None:
    module = net().half()
    module.in2.weight = module.in4.weight
    _, _, state = read_checkpoint(kept(tmp_path / "a", module))
    assert same(state, {key: value.float() for key, value in module.state_dict().items()})


def test_weights_that_are_not_finite_do_not_replace_the_last_good_ones(tmp_path: Path) -> None:
    good = kept(tmp_path / "a", net())
    bad = net()
    nn.init.constant_(bad.in1.weight, float("nan"))
    with pytest.raises(CheckpointError, match=r"layer in1\.weight"):
        kept(tmp_path / "a", bad)
    assert Artifact.load(tmp_path / "a").digest == good.digest


@pytest.mark.parametrize(
    "config",
    [
        {},
        {"width": 2},
        {"width": 2, "blocks": 1, "depth": 3},
        {"width": 0, "blocks": 1},
        {"width": 2.0, "blocks": 1},
        {"width": True, "blocks": 1},
        {"width": "2", "blocks": 1},
        {"width": 2, "blocks": 10**9},
    ],
)
def test_a_config_its_family_does_not_have_is_neither_written_nor_read(
    tmp_path: Path, config: dict[str, Any]
) -> None:
    with pytest.raises(CheckpointError, match="transformer network"):
        kept(tmp_path / "a", net(), config=config)
    assert not (tmp_path / "a").exists()
    forged = forge(tmp_path / "b", json.dumps({**config, "family": "transformer"}))
    with pytest.raises(CheckpointError, match="transformer network"):
        read_checkpoint(forged)


def forge(folder: Path, network: str) -> Artifact:
    """Seal an artifact whose network.json is ``network``."""

    def fill(beside: Path) -> None:
        (beside / "network.json").write_text(network)
        (beside / "weights.safetensors").write_bytes(safetensors_bytes(net().state_dict()))

    after = IMAGE.model_copy(update={"name": "image_out"})
    graph = Graph(kind="network", file="weights.safetensors", inputs=(IMAGE,), outputs=(after,))
    return Artifact.create(
        folder,
        fill,
        kind="checkpoint",
        name="x",
        graphs={"network": graph},
        made_by={"step": "forge"},
    )


@pytest.mark.parametrize(
    "network",
    ["", "[]", "{}", "7", '{"family": 3}', '{"family": "x", "a": NaN}', "[" * 100_000, "\\ud800"],
)
def test_a_description_that_is_none_is_a_checkpoint_error(tmp_path: Path, network: str) -> None:
    with pytest.raises(CheckpointError, match=r"network\.json does not describe a network"):
        read_checkpoint(forge(tmp_path / "a", network))


def test_weights_that_belong_to_another_config_are_refused(tmp_path: Path) -> None:
    forge(tmp_path / "a", '{"family": "transformer", "width": 4, "blocks": 1}')
    with pytest.raises(CheckpointError, match=r"conv1\.conv2d\.weight has shape \(2, 3, 9, 9\)"):
        load_network(tmp_path / "a")


def test_a_family_that_is_not_known_is_answered_with_those_that_are(tmp_path: Path) -> None:
    made = forge(tmp_path / "a", '{"family": "cyclegan"}')
    for read in (read_checkpoint, lambda artifact: load_network(artifact.folder)):
        with pytest.raises(CheckpointError, match="'cyclegan' network, and known are transformer"):
            read(made)


def test_a_student_is_a_family_like_any_other(tmp_path: Path) -> None:
    size = StudentSize(width=4, blocks=1, half=3, deep_width=5, deep_blocks=2)
    student = FoldedStudent(size).eval()
    made = kept(tmp_path / "a", student, family="student", config=asdict(size), spec=STUDENT.image)
    image = torch.rand(1, 3, 9, 11)
    loose = saved(tmp_path, student.state_dict(), "student.pth")
    for source in (made.folder, loose):
        loaded = load_network(source)
        assert (loaded.family, loaded.config) == ("student", asdict(size))
        assert torch.equal(loaded.module(image), student(image))
        assert loaded.image == STUDENT.image


def test_a_bundle_is_no_checkpoint(tmp_path: Path) -> None:
    def fill(beside: Path) -> None:
        (beside / "model.onnx").write_bytes(b"x")

    bundle = Artifact.create(tmp_path / "a", fill, kind="bundle", name="x", made_by={})
    with pytest.raises(CheckpointError, match="is a bundle"):
        read_checkpoint(bundle)


def test_a_folder_that_is_no_artifact_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="no stylepress artifact"):
        load_network(tmp_path)


def test_weights_kept_as_float16_take_half_the_bytes_and_come_back_as_float32(
    tmp_path: Path,
) -> None:
    source = net()
    with torch.no_grad():
        for weight in source.parameters():
            weight.copy_(weight.half())
    whole, half = kept(tmp_path / "a", source), kept(tmp_path / "b", source, half=True)
    sizes = [one.path("weights.safetensors").stat().st_size for one in (whole, half)]
    assert sizes[1] < 0.7 * sizes[0]
    loaded = load_network(half.folder).module.state_dict()
    assert all(torch.equal(loaded[key], one) for key, one in source.state_dict().items())
