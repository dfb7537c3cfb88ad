"""Standard weight files: where they are looked for, in which order, and what makes one genuine."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import cast

import pytest

from stylepress.errors import CheckpointError, RecipeError
from stylepress.train.weights.standard import (
    STANDARD,
    StandardFile,
    StandardName,
    find_weights,
    places,
    require_weights,
)

CONTENT = b"weights"
DIGEST = hashlib.sha256(CONTENT).hexdigest()
FILE = f"vgg16-{DIGEST[:8]}.pth"


@pytest.fixture(autouse=True)
def _published(monkeypatch: pytest.MonkeyPatch) -> None:
    """Publish a VGG-16 of seven bytes."""
    table = cast(dict[StandardName, StandardFile], STANDARD)
    monkeypatch.setitem(table, "vgg16", StandardFile(FILE, DIGEST[:8], "tests"))


def lay(folder: Path, content: bytes = CONTENT, name: str = FILE) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(content)
    return folder / name


def test_every_short_digest_is_the_one_in_the_file_name() -> None:
    for standard in STANDARD.values():
        assert len(standard.sha256) >= 8
        assert set(standard.sha256) <= set("0123456789abcdef")
        if len(standard.sha256) < 64 and "-" in standard.file and "ViT" not in standard.file:
            assert f"-{standard.sha256}." in standard.file


def test_the_order_is_explicit_own_folder_torch_clip_hugging_face(tmp_path: Path) -> None:
    env = {"STYLEPRESS_WEIGHTS": str(tmp_path / "own")}
    cache = tmp_path / ".cache"
    in_order = [
        lay(tmp_path / "explicit"),
        lay(tmp_path / "own"),
        lay(cache / "torch/hub/checkpoints"),
        lay(cache / "clip"),
        lay(cache / "huggingface/hub/models--org--name/snapshots/abc"),
    ]
    seen = [find_weights("vgg16", explicit=in_order[0], env=env, home=tmp_path)]
    for path in in_order[1:]:
        seen.append(find_weights("vgg16", env=env, home=tmp_path))
        path.unlink()
    assert [found and found.path for found in seen] == in_order
    assert all(found and found.genuine and found.sha256 == DIGEST for found in seen)
    assert find_weights("vgg16", env=env, home=tmp_path) is None


@pytest.mark.parametrize(
    ("env", "folder"),
    [
        ({"XDG_CACHE_HOME": "{}/x"}, "x/torch/hub/checkpoints"),
        ({"TORCH_HOME": "{}/t", "XDG_CACHE_HOME": "{}/x"}, "t/hub/checkpoints"),
        ({"HF_HOME": "{}/hf"}, "hf/hub/models--a--b/snapshots/0"),
        ({"HF_HUB_CACHE": "{}/hub", "HF_HOME": "{}/hf"}, "hub/models--a--b/snapshots/0"),
        ({"STYLEPRESS_WEIGHTS": f"{{}}/none{os.pathsep}{{}}/two"}, "two"),
        ({"STYLEPRESS_WEIGHTS": "~/mine"}, "mine"),
        ({"TORCH_HOME": ""}, ".cache/torch/hub/checkpoints"),
    ],
)
def test_the_environment_that_is_handed_in_moves_the_places(
    tmp_path: Path, env: dict[str, str], folder: str
) -> None:
    path = lay(tmp_path / folder)
    found = find_weights(
        "vgg16",
        env={key: value.format(*[tmp_path] * 2) for key, value in env.items()},
        home=tmp_path,
    )
    assert found is not None
    assert found.path == path


def test_the_environment_of_the_process_is_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STYLEPRESS_WEIGHTS", str(lay(tmp_path / "own").parent))
    assert find_weights("vgg16", env={}, home=tmp_path / "home") is None


@pytest.mark.parametrize("explicit", [False, True])
def test_a_damaged_file_is_refused_by_its_digest(tmp_path: Path, explicit: bool) -> None:
    path = lay(tmp_path / "own", CONTENT[:-1])
    with pytest.raises(CheckpointError, match=f"where {DIGEST[:8]} is expected.* Remove it"):
        find_weights(
            "vgg16",
            explicit=path if explicit else None,
            env={"STYLEPRESS_WEIGHTS": str(tmp_path / "own")},
            home=tmp_path,
        )


def test_a_resaved_file_is_taken_on_the_users_word(tmp_path: Path) -> None:
    path = lay(tmp_path, b"only the features", "vgg16-features.safetensors")
    found = find_weights("vgg16", explicit=path, env={}, home=tmp_path)
    assert found is not None
    assert (found.path, found.genuine) == (path, False)


def test_other_published_weights_keep_their_own_promise_but_are_not_genuine(
    tmp_path: Path,
) -> None:
    other = hashlib.sha256(b"caffe").hexdigest()[:8]
    path = lay(tmp_path, b"caffe", f"vgg16-{other}.pth")
    found = find_weights("vgg16", explicit=path, env={}, home=tmp_path)
    assert found is not None
    assert not found.genuine
    path.write_bytes(b"damaged")
    with pytest.raises(CheckpointError, match=f"where {other} is expected"):
        find_weights("vgg16", explicit=path, env={}, home=tmp_path)


def test_an_explicit_file_that_is_not_there_is_never_replaced_by_another(tmp_path: Path) -> None:
    lay(tmp_path / ".cache/torch/hub/checkpoints")
    with pytest.raises(RecipeError, match=r"gone\.pth, named for the vgg16 weights"):
        find_weights("vgg16", explicit=tmp_path / "gone.pth", env={}, home=tmp_path)


def test_what_is_required_and_missing_tells_every_place_searched(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="set STYLEPRESS_WEIGHTS") as caught:
        require_weights("vgg16", env={}, home=tmp_path)
    assert all(str(place) in str(caught.value) for place in places(env={}, home=tmp_path))
    path = lay(tmp_path / ".cache/clip")
    assert require_weights("vgg16", env={}, home=tmp_path).path == path


def test_a_folder_or_a_dangling_link_of_that_name_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / "own" / FILE).mkdir(parents=True)
    snapshot = tmp_path / ".cache/huggingface/hub/models--a--b/snapshots/0"
    snapshot.mkdir(parents=True)
    (snapshot / FILE).symlink_to(tmp_path / "nowhere")
    env = {"STYLEPRESS_WEIGHTS": str(tmp_path / "own")}
    assert find_weights("vgg16", env=env, home=tmp_path) is None
