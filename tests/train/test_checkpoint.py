"""Weights from anybody's file, and checkpoint artifacts: what is read, what is refused, and why."""

from __future__ import annotations

import argparse
import io
import json
import os
import pickle
import struct
import zipfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import save as safetensors_bytes
from torch import Tensor, nn

from stylepress.artifact import Artifact, TensorSpec, file_digest
from stylepress.errors import ArtifactError, CheckpointError
from stylepress.train.checkpoint import load_teacher, read_checkpoint, save_checkpoint
from stylepress.train.families import FAMILIES, some
from stylepress.train.state import read_state
from stylepress.train.transformer import TransformerNet

State = dict[str, Tensor]


def net(width: int = 2, blocks: int = 1) -> TransformerNet:
    torch.manual_seed(width)
    return TransformerNet(width, blocks).eval()


def torch_bytes(thing: object, *, legacy: bool = False) -> bytes:
    buffer = io.BytesIO()
    torch.save(thing, buffer, _use_new_zipfile_serialization=not legacy)
    return buffer.getvalue()


def old_zip(state: Mapping[str, Tensor]) -> bytes:
    return torch_bytes(dict(state))


def old_legacy(state: Mapping[str, Tensor]) -> bytes:
    return torch_bytes(dict(state), legacy=True)


FORMATS: dict[str, Callable[[Mapping[str, Tensor]], bytes]] = {
    "zip": old_zip,
    "legacy": old_legacy,
    "safetensors": lambda state: safetensors_bytes(dict(state)),
}


def handed_over(folder: Path, content: bytes, name: str = "candy.pth") -> Path:
    path = folder / name
    path.write_bytes(content)
    return path


def same(one: Mapping[str, Tensor], two: Mapping[str, Tensor]) -> bool:
    return one.keys() == two.keys() and all(torch.equal(one[key], two[key]) for key in one)


def published(state: Mapping[str, Tensor]) -> State:
    """The files of pytorch/examples still carry statistics that PyTorch 0.4 removed."""
    dressed = dict(state)
    for key, tensor in state.items():
        stem, _, last = key.rpartition(".")
        if ".in" in f".{stem}" and last == "weight":
            dressed[f"{stem}.running_mean"] = torch.zeros_like(tensor)
            dressed[f"{stem}.running_var"] = torch.ones_like(tensor)
    return dressed


# --- what is read -----------------------------------------------------------------------------


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("name", ["a.pth", "a.safetensors", "a.pth.tar", "a"])
def test_the_format_is_told_by_content_not_by_name(tmp_path: Path, form: str, name: str) -> None:
    state = net().state_dict()
    assert same(read_state(handed_over(tmp_path, FORMATS[form](state), name)), state)


@pytest.mark.parametrize(
    "dress",
    [
        lambda state: state,
        published,
        lambda state: {f"module.{key}": value for key, value in state.items()},
        lambda state: {f"_orig_mod.{key}": value for key, value in state.items()},
        lambda state: {f"module._orig_mod.module.{key}": value for key, value in state.items()},
        lambda state: {key.replace("res1.", "res1._orig_mod."): v for key, v in state.items()},
        lambda state: {
            "n_averaged": torch.tensor(7),
            **{f"module.{key}": value for key, value in state.items()},
        },
        lambda state: {**state, "in1.num_batches_tracked": torch.tensor(7)},
        lambda state: {"epoch": 3, "loss": torch.tensor(0.1), "state_dict": state},
        lambda state: {"model": {"model_state_dict": published(state)}, "optimizer": {"lr": 1e-3}},
        lambda state: {"generator": state, "discriminator": {"conv.weight": torch.ones(1)}},
        lambda state: {"params": {k: v + 1 for k, v in state.items()}, "params_ema": state},
        lambda state: {"params": {"lr": 0.1}, "weights": state},
    ],
)
def test_wrappers_prefixes_and_junk_are_taken_off(
    tmp_path: Path, dress: Callable[[State], dict[str, Any]]
) -> None:
    state = net().state_dict()
    path = handed_over(tmp_path, torch_bytes(dress(dict(state))))
    assert same(read_state(path), state)


@pytest.mark.parametrize("form", FORMATS)
def test_half_precision_comes_back_as_float32_of_the_same_values(tmp_path: Path, form: str) -> None:
    halves = {key: tensor.half() for key, tensor in net().state_dict().items()}
    state = read_state(handed_over(tmp_path, FORMATS[form](halves)))
    assert {tensor.dtype for tensor in state.values()} == {torch.float32}
    assert same(state, {key: tensor.float() for key, tensor in halves.items()})


def test_what_was_read_does_not_change_with_the_file(tmp_path: Path) -> None:
    state = net().state_dict()
    path = handed_over(tmp_path, FORMATS["safetensors"](state))
    seen = read_state(path)
    with path.open("r+b") as file:
        file.seek(-64, os.SEEK_END)
        file.write(b"\xff" * 64)
    assert same(seen, state)


@pytest.mark.parametrize(("width", "blocks"), [(2, 1), (16, 5), (3, 0)])
def test_width_and_blocks_are_read_from_the_shapes(tmp_path: Path, width: int, blocks: int) -> None:
    teacher = load_teacher(
        handed_over(tmp_path, old_legacy(published(net(width, blocks).state_dict())))
    )
    assert (teacher.family, teacher.config) == ("transformer", {"width": width, "blocks": blocks})


def test_a_loaded_teacher_paints_as_the_network_that_was_saved(tmp_path: Path) -> None:
    source = net(4, 2)
    path = handed_over(tmp_path, old_zip(source.state_dict()), "mosaic.pth")
    teacher = load_teacher(path)
    image = torch.rand(1, 3, 20, 24) * 255
    assert torch.equal(teacher.module(image), source(image))
    assert not teacher.module.training
    assert not any(weight.requires_grad for weight in teacher.module.parameters())
    assert (teacher.image.low, teacher.image.high, teacher.image.least) == (0, 255, 16)
    assert (teacher.name, teacher.digest) == ("mosaic", file_digest(path))


def test_loading_leaves_the_random_numbers_of_a_run_alone(tmp_path: Path) -> None:
    path = handed_over(tmp_path, old_zip(net().state_dict()))
    before = torch.get_rng_state()
    load_teacher(path)
    assert torch.equal(torch.get_rng_state(), before)


def test_a_network_kept_beside_others_is_found_under_its_prefix(tmp_path: Path) -> None:
    joint = {f"net.{key}": value for key, value in net().state_dict().items()}
    joint["vgg.features.0.weight"] = torch.ones(4, 3, 3, 3)
    teacher = load_teacher(handed_over(tmp_path, old_zip(joint)))
    assert teacher.config == {"width": 2, "blocks": 1}


# --- what is refused ---------------------------------------------------------------------------


class Attack:
    """Pickles into a call that creates a file."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch {self.mark}",)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_bare_pickle_with_code_is_refused_and_not_run(tmp_path: Path, protocol: int) -> None:
    mark = tmp_path / "owned"
    content = pickle.dumps({"conv1.conv2d.weight": Attack(mark)}, protocol=protocol)
    with pytest.raises(CheckpointError, match=r"code or objects.*\w+\.system.*state_dict"):
        read_state(handed_over(tmp_path, content))
    assert not mark.exists()


@pytest.mark.parametrize("legacy", [False, True])
def test_a_checkpoint_with_code_is_refused_even_when_torch_is_told_to_trust(
    tmp_path: Path, legacy: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "1")
    mark = tmp_path / "owned"
    content = torch_bytes({**net().state_dict(), "x": Attack(mark)}, legacy=legacy)
    with pytest.raises(CheckpointError, match=r"\w+\.system, which was refused and not run"):
        read_state(handed_over(tmp_path, content))
    assert not mark.exists()


@pytest.mark.parametrize(
    ("thing", "name"),
    [
        (nn.Linear(2, 2), r"torch\.nn\.modules\.linear\.Linear"),
        ({"args": argparse.Namespace(lr=1), "w": torch.ones(2)}, r"argparse\.Namespace"),
    ],
)
def test_objects_beside_the_weights_are_named_with_the_mend(
    tmp_path: Path, thing: object, name: str
) -> None:
    with pytest.raises(CheckpointError, match=rf"{name}.* save `model\.state_dict\(\)`"):
        read_state(handed_over(tmp_path, torch_bytes(thing)))


def test_a_torchscript_archive_is_refused_as_code(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.pt", "w") as archive:
        archive.writestr("a/data.pkl", b"\x80\x02}.")
        archive.writestr("a/constants.pkl", b"\x80\x02).")
    with pytest.raises(CheckpointError, match="TorchScript archive"):
        read_state(tmp_path / "a.pt")


def test_a_place_without_weights_is_named_for_what_it_is(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="No such file"):
        load_teacher(tmp_path / "none.pth")
    with pytest.raises(CheckpointError, match="is not a file"):
        read_state(tmp_path)
    with pytest.raises(ArtifactError, match="no stylepress artifact"):
        load_teacher(tmp_path)
    with pytest.raises(CheckpointError, match="is empty"):
        read_state(handed_over(tmp_path, b""))
    with pytest.raises(CheckpointError, match="is not a file"):
        read_state(Path(os.devnull))


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root reads all")
def test_a_file_without_the_right_to_read_is_said_so(tmp_path: Path) -> None:
    path = handed_over(tmp_path, b"x")
    path.chmod(0)
    with pytest.raises(CheckpointError, match="Permission denied"):
        read_state(path)


@pytest.mark.parametrize(
    "content",
    [
        b"<!DOCTYPE html><html>",
        b"version https://git-lfs.github.com/spec/v1\noid sha256:0",
        b"\x08\x07\x12\x07pytorch",
        bytes(4096),
        b"x",
    ],
)
def test_what_is_no_weights_file_is_shown_by_its_first_bytes(
    tmp_path: Path, content: bytes
) -> None:
    with pytest.raises(CheckpointError, match=r"neither a torch nor a safetensors .*begins with"):
        read_state(handed_over(tmp_path, content))


@pytest.mark.parametrize("form", FORMATS)
def test_a_file_cut_anywhere_is_refused(
    form: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    whole = FORMATS[form](net().state_dict())
    path = tmp_path_factory.mktemp("cut") / "a.pth"

    @settings(max_examples=60, deadline=None, database=None)
    @given(st.integers(0, len(whole) - 1))
    def cut(length: int) -> None:
        path.write_bytes(whole[:length])
        with pytest.raises(CheckpointError):
            read_state(path)

    cut()


@pytest.mark.parametrize("form", FORMATS)
@settings(
    max_examples=60,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(data=st.data())
def test_altered_bytes_give_weights_or_a_checkpoint_error(
    form: str, tmp_path: Path, data: st.DataObject
) -> None:
    whole = bytearray(FORMATS[form](net(1, 0).state_dict()))
    for place in data.draw(st.lists(st.integers(0, len(whole) - 1), min_size=1, max_size=8)):
        whole[place] = data.draw(st.integers(0, 255))
    with suppress(CheckpointError):
        assert read_state(handed_over(tmp_path, bytes(whole)))


@pytest.mark.parametrize("claimed", [2**64 - 1, 2**63, 100_000_000, 4096])
def test_a_safetensors_header_longer_than_its_file_is_refused_unread(
    tmp_path: Path, claimed: int
) -> None:
    content = struct.pack("<Q", claimed) + b'{"a":{}}'
    with pytest.raises(CheckpointError, match=f"header of {claimed} bytes"):
        read_state(handed_over(tmp_path, content))


def test_limits_hold_for_the_file_its_contents_and_the_number_of_tensors(tmp_path: Path) -> None:
    path = handed_over(tmp_path, old_zip(net().state_dict()))
    with pytest.raises(CheckpointError, match="more than the 1000 that are read"):
        read_state(path, limit_bytes=1000)
    with pytest.raises(CheckpointError, match=r"holds \d+ tensors, more than the 3"):
        read_state(path, limit_tensors=3)
    large = handed_over(tmp_path, torch_bytes({"w": torch.ones(1).expand(1 << 20, 1 << 20)}))
    assert large.stat().st_size < 4096
    with pytest.raises(CheckpointError, match=f"holds {1 << 42} bytes"):
        read_state(large)
    with zipfile.ZipFile(tmp_path / "bomb.pth", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a/data.pkl", bytes(1 << 20))
    with pytest.raises(CheckpointError, match=f"holds {1 << 20} bytes"):
        read_state(tmp_path / "bomb.pth", limit_bytes=1 << 16)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_the_first_layer_that_is_not_finite_is_named_and_counted(
    tmp_path: Path, value: float
) -> None:
    state = net().state_dict()
    state["conv2.conv2d.weight"][0, 0, 0, :2] = value
    state["deconv3.conv2d.bias"][0] = value
    path = handed_over(tmp_path, old_zip(state))
    with pytest.raises(CheckpointError, match=r"2 NaN .* layer conv2\.conv2d\.weight \(2 of"):
        load_teacher(path)


def test_a_double_too_large_for_float32_is_not_finite(tmp_path: Path) -> None:
    path = handed_over(tmp_path, torch_bytes({"w": torch.tensor([1e300], dtype=torch.float64)}))
    with pytest.raises(CheckpointError, match="layer w"):
        read_state(path)


def test_weights_that_are_not_plain_numbers_are_refused(tmp_path: Path) -> None:
    for tensor in (torch.eye(3).to_sparse(), torch.ones(2, dtype=torch.complex64)):
        with pytest.raises(CheckpointError, match=r"layer w .* dense float32"):
            read_state(handed_over(tmp_path, torch_bytes({"w": tensor})))


@pytest.mark.parametrize("thing", [{}, {"epoch": 3}, [torch.ones(1)], torch.ones(3), 7])
def test_a_file_without_named_weights_says_what_it_holds(tmp_path: Path, thing: object) -> None:
    with pytest.raises(CheckpointError, match=r"no weights by name, only .*state_dict"):
        read_state(handed_over(tmp_path, torch_bytes(thing)))


def test_an_unknown_family_is_answered_with_the_keys_and_the_nearest_family(
    tmp_path: Path,
) -> None:
    cyclegan = {f"model.{n}.weight": torch.ones(1) for n in (1, 4, 7, 19, 22, 26)}
    path = handed_over(tmp_path, old_zip(cyclegan))
    with pytest.raises(CheckpointError) as caught:
        load_teacher(path)
    message = str(caught.value)
    assert "model.1.weight" in message
    assert "(6 in all)" in message
    assert "known are transformer" in message
    assert "nearest, transformer, has conv1.conv2d.weight" in message
    assert "Convert the weights" in message


def test_a_wrong_shape_is_named_with_what_was_seen_and_expected(tmp_path: Path) -> None:
    state = {**net().state_dict(), "res1.conv2.conv2d.weight": torch.ones(8, 8, 5, 5)}
    path = handed_over(tmp_path, old_zip(state))
    with pytest.raises(
        CheckpointError,
        match=r"res1\.conv2\.conv2d\.weight has shape \(8, 8, 5, 5\) where \(8, 8, 3, 3\)",
    ):
        load_teacher(path)


@pytest.mark.parametrize("shape", [(), (0, 3, 9, 9), (5,), (2, 3, 9)])
def test_a_first_layer_of_any_shape_is_a_checkpoint_error(
    tmp_path: Path, shape: tuple[int, ...]
) -> None:
    state = {**net().state_dict(), "conv1.conv2d.weight": torch.ones(shape)}
    with pytest.raises(CheckpointError, match=r"width '0'|conv1\.conv2d\.weight has shape"):
        load_teacher(handed_over(tmp_path, old_zip(state)))


def test_layers_too_many_and_too_few_are_named(tmp_path: Path) -> None:
    state = net().state_dict()
    state["attention.weight"] = state.pop("in5.bias")
    path = handed_over(tmp_path, old_zip(state))
    with pytest.raises(CheckpointError, match=r"lacks in5\.bias and has attention\.weight beyond"):
        load_teacher(path)


def test_integers_in_place_of_weights_are_refused(tmp_path: Path) -> None:
    state = {**net().state_dict(), "in1.weight": torch.ones(2, dtype=torch.int8)}
    with pytest.raises(CheckpointError, match=r"torch\.int8 numbers in layer in1\.weight"):
        load_teacher(handed_over(tmp_path, old_zip(state)))


def test_two_networks_in_one_file_are_not_chosen_between(tmp_path: Path) -> None:
    both = {f"{side}.{key}": v for side in ("a", "b") for key, v in net().state_dict().items()}
    with pytest.raises(CheckpointError, match=r"2 networks .* under a\., b\."):
        load_teacher(handed_over(tmp_path, old_zip(both)))


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
    assert (made.inputs[0], made.outputs[0].name, made.parent) == (IMAGE, "image_out", "0" * 64)


def test_the_same_weights_have_the_same_digest_and_others_another(tmp_path: Path) -> None:
    one, two = kept(tmp_path / "a", net()), kept(tmp_path / "b", net(), name="mosaic")
    changed = net()
    with torch.no_grad():
        changed.conv1.conv2d.weight[0, 0, 0, 0] += 1
    assert one.digest == two.digest != kept(tmp_path / "c", changed).digest


def test_a_teacher_is_loaded_from_its_folder_with_its_own_range(tmp_path: Path) -> None:
    unit = TensorSpec("image", IMAGE.shape, "float32", 0.0, 1.0, least=16)
    source = net()
    made = kept(tmp_path / "a", source, spec=unit)
    teacher = load_teacher(tmp_path / "a")
    image = torch.rand(1, 3, 16, 16)
    assert torch.equal(teacher.module(image), source(image))
    assert (teacher.image, teacher.digest, teacher.name) == (unit, made.digest, "candy")


def test_tied_and_half_weights_are_kept_as_plain_float32(tmp_path: Path) -> None:
    module = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2)).half()
    module[1].weight = module[0].weight
    made = kept(tmp_path / "a", module, family="other", config={})
    _, _, state = read_checkpoint(made)
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
        (beside / "weights.safetensors").write_bytes(FORMATS["safetensors"](net().state_dict()))

    return Artifact.create(
        folder, fill, kind="checkpoint", name="x", inputs=(IMAGE,), made_by={"step": "forge"}
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
        load_teacher(tmp_path / "a")


def test_a_network_of_another_room_is_read_but_no_teacher_here(tmp_path: Path) -> None:
    made = forge(tmp_path / "a", '{"family": "student", "plan": [[1, 2], null]}')
    assert read_checkpoint(made)[:2] == ("student", {"plan": [[1, 2], None]})
    with pytest.raises(CheckpointError, match="'student' network where one of transformer"):
        load_teacher(tmp_path / "a")


def test_a_bundle_is_no_checkpoint(tmp_path: Path) -> None:
    def fill(beside: Path) -> None:
        (beside / "model.onnx").write_bytes(b"x")

    bundle = Artifact.create(tmp_path / "a", fill, kind="bundle", name="x", made_by={})
    with pytest.raises(CheckpointError, match="is a bundle"):
        read_checkpoint(bundle)
