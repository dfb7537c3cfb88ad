"""A path that is no artifact is told with the one that may be meant."""

from __future__ import annotations

from pathlib import Path

import pytest

from stylepress.artifact import Artifact
from stylepress.errors import ArtifactError


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
