"""Weights from anybody's file: what is read, what is refused, and why."""

from __future__ import annotations

import argparse
import errno
import io
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
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save as safetensors_bytes
from torch import Tensor, nn

from stylepress.errors import CheckpointError
from stylepress.train.transformer import TransformerNet
from stylepress.train.weights.checkpoint import load_network
from stylepress.train.weights.state import read_state

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
        lambda state: {f"module.{key}": value for key, value in state.items()},
        lambda state: {f"_orig_mod.{key}": value for key, value in state.items()},
        lambda state: {f"module._orig_mod.module.{key}": value for key, value in state.items()},
        lambda state: {key.replace("res1.", "res1._orig_mod."): v for key, v in state.items()},
        lambda state: {"epoch": 3, "loss": torch.tensor(0.1), "state_dict": state},
        lambda state: {"model": {"model_state_dict": state}, "optimizer": {"lr": 1e-3}},
        lambda state: {"generator": state, "discriminator": {"conv.weight": torch.ones(1)}},
        lambda state: {"params": {k: v + 1 for k, v in state.items()}, "params_ema": state},
        lambda state: {"params": {"lr": 0.1}, "weights": state},
    ],
)
def test_wrappers_and_prefixes_are_taken_off(
    tmp_path: Path, dress: Callable[[State], dict[str, Any]]
) -> None:
    state = net().state_dict()
    path = handed_over(tmp_path, torch_bytes(dress(dict(state))))
    assert same(read_state(path), state)


@pytest.mark.parametrize(
    "dress",
    [
        published,
        lambda state: {"model": {"model_state_dict": published(state)}, "optimizer": {"lr": 1e-3}},
        lambda state: {
            "n_averaged": torch.tensor(7),
            **{f"module.{key}": value for key, value in state.items()},
        },
    ],
)
def test_what_a_family_has_no_use_for_is_left_out(
    tmp_path: Path, dress: Callable[[State], dict[str, Any]]
) -> None:
    state = net().state_dict()
    path = handed_over(tmp_path, torch_bytes(dress(dict(state))))
    assert same(load_network(path).module.state_dict(), state)


def test_statistics_that_a_network_does_use_are_not_left_out(tmp_path: Path) -> None:
    state = {**net().state_dict(), "in1.num_batches_tracked": torch.tensor(7)}
    path = handed_over(tmp_path, torch_bytes(state))
    assert same(read_state(path), state)
    with pytest.raises(CheckpointError, match=r"statistics of its training \(BatchNorm\)"):
        load_network(path)


def test_the_layout_of_2017_is_read_too(tmp_path: Path) -> None:
    state = net().state_dict()
    ends = (("weight", "scale"), ("bias", "shift"))
    old = dict(state)
    for key in [key for key in state if ".in" in f".{key}"]:
        for today, before in ends:
            if key.endswith(today):
                old[f"{key.removesuffix(today)}{before}"] = old.pop(key)
    assert old.keys() != state.keys()
    path = handed_over(tmp_path, torch_bytes(old))
    assert same(load_network(path).module.state_dict(), state)


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
        read_state(tmp_path / "none.pth")
    with pytest.raises(CheckpointError, match="is not a file"):
        read_state(tmp_path)
    with pytest.raises(CheckpointError, match="is empty"):
        read_state(handed_over(tmp_path, b""))
    with pytest.raises(CheckpointError, match="is not a file"):
        read_state(Path(os.devnull))


def test_a_file_without_the_right_to_read_is_said_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    path = handed_over(tmp_path, b"x")
    monkeypatch.setattr(Path, "open", refuse)
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
def test_altered_bytes_give_weights_or_a_checkpoint_error(form: str, tmp_path: Path) -> None:
    # Written once: the keys of the legacy format are addresses, so its length varies.
    whole = FORMATS[form](net(1, 0).state_dict())
    alterations = st.dictionaries(
        st.integers(0, len(whole) - 1), st.integers(0, 255), min_size=1, max_size=8
    )

    @settings(max_examples=60, deadline=None, database=None)
    @given(alterations)
    def alter(values: dict[int, int]) -> None:
        content = bytearray(whole)
        for place, value in values.items():
            content[place] = value
        with suppress(CheckpointError):
            assert read_state(handed_over(tmp_path, bytes(content)))

    alter()


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
        read_state(path)


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
