"""The styles that ship, where the recipes' folder holds them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from stylepress.artifact import Artifact
from stylepress.errors import ArtifactError
from stylepress.runtime.backends import missing

TITLES = {"onnxruntime": "ONNX Runtime", "openvino": "OpenVINO"}
"""Our backends as tables call them."""


def usual_backend() -> str:
    """Return the backend in which what ships is judged: OpenVINO where it is installed."""
    return "onnxruntime" if "openvino" in missing() else "openvino"


@dataclass(frozen=True, slots=True)
class Shipped:
    """One style: teacher's and student's checkpoints, the INT8 bundle, the style picture."""

    name: str
    teacher: Artifact
    student: Artifact
    bundle: Artifact
    picture: Path

    @property
    def teacher_kind(self) -> str:
        """What the teacher's network is: two teachers of one kind are equally fast."""
        return self.teacher.path("network.json").read_text(encoding="utf-8")

    @property
    def macs(self) -> float:
        """Multiply-accumulates of the bundle for a 512x512 frame."""
        return self.bundle.numbers.get("macs_512", 0.0)


def shipped(recipes: Path) -> Sequence[Shipped]:
    """Find the styles below ``recipes``, each checked against its digests.

    Raises:
        ArtifactError: there is none, or one is not whole.
    """
    names = sorted(path.parent.name for path in recipes.glob("*/bundle"))
    if not names:
        raise ArtifactError(
            f"{recipes} holds no style that ships (NAME/bundle). "
            f"Build one with `stylepress build {recipes}/NAME.yaml --out {recipes}/NAME`."
        )
    return [_one(recipes, name) for name in names]


def _one(recipes: Path, name: str) -> Shipped:
    picture = recipes / "styles" / f"{name}.png"
    if not picture.is_file():
        raise ArtifactError(
            f"There is no style picture {picture}. "
            f"Draw it with `stylepress styles draw {name} {picture}`."
        )
    folder = recipes / name
    return Shipped(
        name,
        Artifact.load(folder / "teacher"),
        Artifact.load(folder / "student"),
        Artifact.load(folder / "bundle"),
        picture,
    )
