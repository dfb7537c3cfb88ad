"""Artifacts: what is sealed, what is refused, and which one nearby may be meant."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stylepress.artifact import Artifact
from stylepress.errors import ArtifactError
from tests.frames import frame_ports, seal_frames


@pytest.fixture
def style(tmp_path: Path) -> Path:
    """A folder as recipes/ holds: a recipe beside a folder of artifacts."""
    for name in ("bundle", "student"):
        folder = tmp_path / "glass" / name
        Artifact.create(
            folder,
            lambda beside: (beside / "model.onnx").touch(),
            kind="bundle",
            name=name,
            made_by={},
        )
    (tmp_path / "glass.yaml").touch()
    return tmp_path / "glass"


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("glass", ["glass/bundle", "glass/student"]),
        ("glass.yaml", ["glass/bundle", "glass/student"]),
        ("glass/bundle/model.onnx", ["glass/bundle"]),
        ("glass/bundle/manifest.json", ["glass/bundle"]),
    ],
)
def test_an_artifact_nearby_is_named(style: Path, given: str, meant: list[str]) -> None:
    with pytest.raises(ArtifactError) as told:
        Artifact.load(style.parent / given)
    near = " or ".join(str(style.parent / name) for name in meant)
    assert str(told.value).endswith(f" Did you mean {near}?")


@pytest.mark.parametrize(
    ("given", "told"), [("nowhere", "there is no such folder"), (".", "it holds no manifest.json")]
)
def test_where_nothing_is_near_the_command_that_writes_one_is_named(
    tmp_path: Path, given: str, told: str
) -> None:
    with pytest.raises(ArtifactError, match=rf"{told}\. Name a folder that `stylepress build`"):
        Artifact.load(tmp_path / given)


def test_of_somebody_s_weights_the_command_that_makes_a_bundle_is_named(tmp_path: Path) -> None:
    weights = tmp_path / "candy.pth"
    weights.write_bytes(b"PK")
    with pytest.raises(ArtifactError, match=r"it is a file\. Make .* `stylepress export .*candy"):
        Artifact.load(weights)


# The manifest is sealed


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """A sealed bundle with a graph, a golden pair and all that a manifest may say."""
    picture = np.zeros((4, 5, 3), np.uint8)
    seal_frames(tmp_path / "bundle", b"onnx", [(picture, picture, 0.5)], name="glass")
    return tmp_path / "bundle"


def manifest_of(folder: Path) -> dict[str, Any]:
    record: dict[str, Any] = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    return record


def rewritten(folder: Path, record: object) -> None:
    (folder / "manifest.json").write_text(json.dumps(record), encoding="utf-8")


def test_what_was_written_is_what_is_read(bundle: Path) -> None:
    loaded = Artifact.load(bundle)
    assert loaded.graphs == {"frame": frame_ports()}
    assert loaded.manifest.record() == manifest_of(bundle)
    assert loaded.digest == loaded.manifest.identity()
    assert loaded.size_bytes == len(b"onnx")  # golden pairs are no part of the model


EDITS: Mapping[tuple[str | int, ...], Any] = {
    ("kind",): "checkpoint",
    ("name",): "other",
    ("parent",): "0" * 64,
    ("numbers", "golden_tolerance"): 255.0,
    ("made_by", "step"): "quantize",
    ("made_by", "precision"): "int8",
    ("graphs", "frame", "kind"): "sampler",
    ("graphs", "frame", "inputs", 0, "low"): -1.0,
    ("graphs", "frame", "inputs", 0, "high"): 254.0,
    ("graphs", "frame", "inputs", 0, "least"): 2,
    ("graphs", "frame", "inputs", 0, "order"): "bgr",
    ("graphs", "frame", "inputs", 0, "dtype"): "int8",
    ("graphs", "frame", "inputs", 0, "meaning"): "something else",
    ("graphs", "frame", "inputs", 0, "shape", 1): 7,
    ("graphs", "frame", "inputs", 1, "default"): 0.5,
    ("graphs", "frame", "inputs", 1, "name"): "force",
    ("graphs", "frame", "outputs"): [],
    ("files", "model.onnx", "size_bytes"): 5,
    ("files", "model.onnx", "sha256"): "0" * 64,
    ("digest",): "0" * 64,
}


@pytest.mark.parametrize("place", EDITS, ids=lambda place: ".".join(map(str, place)))
def test_an_edited_field_is_refused_as_an_edited_weight_is(
    bundle: Path, place: tuple[str | int, ...]
) -> None:
    record: Any = manifest_of(bundle)
    inner = record
    for key in place[:-1]:
        inner = inner[key]
    assert inner[place[-1]] != EDITS[place]
    inner[place[-1]] = EDITS[place]
    rewritten(bundle, record)
    with pytest.raises(
        ArtifactError, match=r"cannot be understood .*digest does not match.* Rebuild"
    ):
        Artifact.load(bundle)


def test_the_order_of_keys_and_the_spaces_are_not_sealed(bundle: Path) -> None:
    before = Artifact.load(bundle)
    rewritten(bundle, dict(reversed(manifest_of(bundle).items())))
    assert Artifact.load(bundle) == before


@pytest.mark.parametrize(
    ("edit", "told"),
    [
        ({"surplus": 1}, "surplus"),
        ({"name": 5}, "name"),
        ({"kind": "model"}, "kind"),
        ({"files": {"../x": {"sha256": "0" * 64, "size_bytes": 1}}}, "leads outside the folder"),
        ({"files": {"/x": {"sha256": "0" * 64, "size_bytes": 1}}}, "leads outside the folder"),
        ({"files": {}}, "the graph 'frame' is in 'model.onnx', which is not listed"),
        ({"numbers": {"psnr_db": "high"}}, "numbers"),
        ({"schema": 3}, "schema"),
    ],
)
def test_a_manifest_of_another_shape_is_refused(
    bundle: Path, edit: Mapping[str, Any], told: str
) -> None:
    rewritten(bundle, {**manifest_of(bundle), **edit})
    with pytest.raises(ArtifactError, match=f"cannot be understood .*{told}"):
        Artifact.load(bundle)


@pytest.mark.parametrize("text", ["", "[]", "7", "{", '{"schema": 2}', "[" * 100_000, '{"a": NaN}'])
def test_what_is_no_manifest_is_refused(bundle: Path, text: str) -> None:
    (bundle / "manifest.json").write_text(text, encoding="utf-8")
    with pytest.raises(ArtifactError, match="cannot be understood"):
        Artifact.load(bundle)


def surplus_file(folder: Path) -> None:
    """Lay a file beside."""
    (folder / "golden" / "notes.txt").write_text("mine")


def surplus_link(folder: Path) -> None:
    """Lay a link beside."""
    (folder / "link").symlink_to(folder / "model.onnx")


def surplus_folder(folder: Path) -> None:
    """Lay an empty folder beside."""
    (folder / "deep").mkdir()


def linked_folder(folder: Path) -> None:
    """Put a link in the place of a folder."""
    (folder / "golden").rename(folder.parent / "golden")
    (folder / "golden").symlink_to(folder.parent / "golden")


@pytest.mark.parametrize("change", [surplus_file, surplus_link, surplus_folder, linked_folder])
def test_what_the_manifest_does_not_list_is_refused(
    bundle: Path, change: Callable[[Path], None]
) -> None:
    change(bundle)
    with pytest.raises(ArtifactError, match=r"which its manifest does not list\. Remove it"):
        Artifact.load(bundle)


def test_a_link_in_the_place_of_a_file_and_a_missing_file_are_refused(bundle: Path) -> None:
    (bundle / "model.onnx").rename(bundle.parent / "model.onnx")
    (bundle / "model.onnx").symlink_to(bundle.parent / "model.onnx")
    for _ in range(2):
        with pytest.raises(ArtifactError, match=r"lacks its file 'model\.onnx'"):
            Artifact.load(bundle)
        (bundle / "model.onnx").unlink(missing_ok=True)


@pytest.mark.parametrize(
    ("kind", "command"),
    [
        ("checkpoint", r"`stylepress build .*old/weights\.safetensors --photos DIR`"),
        ("bundle", r"`stylepress build RECIPE --out .*`"),
        ("engine", "`stylepress build RECIPE`"),
    ],
)
def test_an_artifact_of_an_earlier_version_is_answered_with_the_command_that_rebuilds_it(
    tmp_path: Path, kind: str, command: str
) -> None:
    (tmp_path / "old").mkdir()
    rewritten(tmp_path / "old", {"schema": 1, "kind": kind, "name": "glass", "files": {}})
    told = rf"{kind} of an earlier stylepress \(manifest 1, this version reads 2\)\. .*{command}"
    with pytest.raises(ArtifactError, match=told):
        Artifact.load(tmp_path / "old")
