"""Frame graphs for tests of every room: their ports, and a bundle sealed around any ONNX file."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from PIL import Image
from safetensors.numpy import save_file

from stylepress.artifact import Artifact
from stylepress.picture import Pixels
from stylepress.ports import Graph, Port
from stylepress.progress import Silent

GoldenCall = tuple[Pixels, Pixels, float]
"""A (H, W, 3) picture, what comes out of it, and the strength that was fed."""


class Heard(Silent):
    """A Progress that keeps what it hears."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.warned: list[str] = []
        self.begun = self.steps = self.finished = 0

    def start(self, title: str, total: int | None) -> None:
        """Count it."""
        self.begun += 1

    def advance(self, steps: int = 1, note: str = "") -> None:
        """Count them."""
        self.steps += steps

    def finish(self) -> None:
        """Count it."""
        self.finished += 1

    def say(self, message: str) -> None:
        """Keep it."""
        self.said.append(message)

    def warn(self, message: str) -> None:
        """Keep it."""
        self.warned.append(message)


def frame_ports(*, least: int = 1, file: str = "model.onnx") -> Graph:
    """Return the ports of a frame graph: pictures and a strength in, pictures out."""
    shape = ("batch", "height", "width", 3)
    frame = Port(name="frame", shape=shape, dtype="uint8", low=0, high=255, least=least)
    strength = Port(name="strength", shape=("batch",), dtype="float32", low=0, high=1, default=1.0)
    after = Port(name="frame_out", shape=shape, dtype="uint8", low=0, high=255)
    return Graph(kind="frame", file=file, inputs=(frame, strength), outputs=(after,))


def seal_frames(
    folder: Path,
    model: bytes,
    golden: Iterable[GoldenCall] = (),
    *,
    name: str = "toy",
    least: int = 1,
    tolerance: float = 1.0,
    opset: int = 18,
) -> Artifact:
    """Seal a bundle around the bytes of a frame graph, with golden pairs."""

    def fill(beside: Path) -> None:
        (beside / "model.onnx").write_bytes(model)
        place = beside / "golden" / "frame"
        for number, (before, after, strength) in enumerate(golden):
            place.mkdir(parents=True, exist_ok=True)
            Image.fromarray(before).save(place / f"{number}.frame.png")
            Image.fromarray(after).save(place / f"{number}.frame_out.png")
            if strength != 1.0:
                values = {"strength": np.array([strength], np.float32)}
                save_file(values, place / f"{number}.strength.safetensors")

    return Artifact.create(
        folder,
        fill,
        kind="bundle",
        name=name,
        graphs={"frame": frame_ports(least=least)},
        made_by={"step": "export", "opset": opset, "precision": "fp32", "family": "test"},
        numbers={"golden_tolerance": tolerance},
    )
