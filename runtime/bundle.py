"""A bundle: the one folder that is copied to a device, checked before anything runs it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from stylepress.artifact import Artifact, TensorSpec
from stylepress.errors import ArtifactError
from stylepress.runtime.onnx_scan import SIZE_LIMIT_BYTES, OnnxFacts, scan

MODEL = "model.onnx"
TOLERANCE = 2.0
"""Levels of 255 by which backends may differ when the manifest names no ``golden_tolerance``."""
GOLDEN_LIMIT_PIXELS = 1 << 24

FRAME_DIMS = 4
PORTS = {"frame": ("uint8", FRAME_DIMS), "strength": ("float32", 1)}
RESULTS = {"frame_out": ("uint8", FRAME_DIMS)}

Pixels = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Bundle:
    """A sealed frame graph, and what a runtime must know of it.

    ``least`` is the smallest height and width it takes, ``strength`` the one used when nobody says
    otherwise, ``tolerance`` the largest difference from the golden outputs, in levels of 255, with
    which a backend still counts as agreeing.
    """

    artifact: Artifact
    facts: OnnxFacts
    least: int
    strength: float
    tolerance: float

    @property
    def onnx_path(self) -> Path:
        """The place of the frame graph."""
        return self.artifact.path(MODEL)

    def model(self) -> bytes:
        """Read the frame graph once more; engines load these bytes, never the path.

        Raises:
            ArtifactError: the file changed since the bundle was loaded.
        """
        return _sealed(self.artifact, MODEL)

    def golden(self) -> Iterator[tuple[str, Pixels, Pixels]]:
        """Yield (name, input, expected output), each (1, H, W, 3) uint8 RGB, of the self-test.

        Raises:
            ArtifactError: a pair is not two RGB pictures of one size.
        """
        number = 0
        while f"golden/{number}.in.png" in self.artifact.files:
            before = _picture(self.artifact.path(f"golden/{number}.in.png"))
            after = _picture(self.artifact.path(f"golden/{number}.out.png"))
            if before.shape != after.shape:
                raise ArtifactError(
                    f"Golden pair {number} of {self.artifact.folder} is {_size(before)} in and "
                    f"{_size(after)} out. Build the bundle again with `stylepress build`."
                )
            yield str(number), before, after
            number += 1


def load_bundle(folder: Path) -> Bundle:
    """Read a bundle and check it: digests, one whole ONNX file, the ports of a frame graph.

    Raises:
        ArtifactError: it is another kind of artifact, was altered, reads other files, or is no
            frame graph.
    """
    artifact = Artifact.load(folder)
    if artifact.kind != "bundle":
        raise ArtifactError(
            f"{folder} is a {artifact.kind} ({artifact.name}), not a bundle. "
            f"Make a bundle of it with `stylepress build {folder}`."
        )
    if MODEL not in artifact.files:
        raise ArtifactError(
            f"{folder} holds no {MODEL}, only {', '.join(sorted(artifact.files)) or 'nothing'}. "
            f"Build it again with `stylepress build`."
        )
    try:
        facts = scan(_sealed(artifact, MODEL))
    except ArtifactError as error:
        raise ArtifactError(f"{folder / MODEL}: {error}") from error
    _check_closed(folder, facts)
    _check_ports(folder, facts)
    frame, strength = (_spec(artifact, name) for name in ("frame", "strength"))
    usual = 1.0 if strength.default is None else strength.default
    tolerance = artifact.numbers.get("golden_tolerance", TOLERANCE)
    if not (0 <= usual <= 1 and frame.least >= 1 and tolerance >= 0):
        raise ArtifactError(
            f"{folder} asks for strength {usual}, frames from {frame.least} pixels and a tolerance "
            f"of {tolerance}. Build it again with `stylepress build`."
        )
    return Bundle(artifact, facts, frame.least, float(usual), tolerance)


def _check_closed(folder: Path, facts: OnnxFacts) -> None:
    if facts.outside:
        shown = ", ".join(facts.outside[:3])
        raise ArtifactError(
            f"{folder / MODEL} reads data from outside itself ({shown}). A bundle is one closed "
            f"file: export the model again with its weights inside."
        )


def _check_ports(folder: Path, facts: OnnxFacts) -> None:
    seen_in = {port.name: (port.dtype, len(port.shape or ())) for port in facts.inputs}
    seen_out = {port.name: (port.dtype, len(port.shape or ())) for port in facts.outputs}
    if (seen_in, seen_out) != (PORTS, RESULTS):
        raise ArtifactError(
            f"{folder / MODEL} takes {_ports(seen_in)} and gives {_ports(seen_out)}; a frame graph "
            f"takes {_ports(PORTS)} and gives {_ports(RESULTS)}. "
            f"Make one of your model with `stylepress build`."
        )


def _ports(ports: dict[str, tuple[str, int]]) -> str:
    texts = [f"{name} ({dtype}, {rank} dimensions)" for name, (dtype, rank) in ports.items()]
    return " and ".join(texts) or "nothing"


def _spec(artifact: Artifact, name: str) -> TensorSpec:
    for spec in artifact.inputs:
        if spec.name == name:
            return spec
    raise ArtifactError(
        f"The manifest of {artifact.folder} describes no input {name!r}. "
        f"Build it again with `stylepress build`."
    )


def _sealed(artifact: Artifact, name: str) -> bytes:
    # The digest is taken of the very bytes that are used, so nothing can be swapped in between.
    path, expected = artifact.path(name), artifact.files[name]
    if expected.size_bytes > SIZE_LIMIT_BYTES:
        raise ArtifactError(
            f"{path} has {expected.size_bytes} bytes, more than one ONNX file can hold. "
            f"Build it again with `stylepress build`."
        )
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ArtifactError(
            f"{path} cannot be read ({error.strerror}). Copy the whole folder again."
        ) from error
    if hashlib.sha256(data).hexdigest() != expected.sha256:
        raise ArtifactError(
            f"{path} is not the file that its manifest was written for any more. "
            f"Copy the whole folder again, or rebuild it with `stylepress build`."
        )
    return data


def _picture(path: Path) -> Pixels:
    try:
        with Image.open(path, formats=("PNG",)) as image:
            if image.mode != "RGB" or image.width * image.height > GOLDEN_LIMIT_PIXELS:
                raise ValueError(f"{image.width}x{image.height} {image.mode}")
            return np.array(image)[np.newaxis]
    except (OSError, SyntaxError, ValueError, Warning, Image.DecompressionBombError) as error:
        raise ArtifactError(
            f"{path} is no golden picture, an 8-bit RGB PNG of at most {GOLDEN_LIMIT_PIXELS >> 20} "
            f"megapixels ({error}). Build the bundle again with `stylepress build`."
        ) from error


def _size(frame: Pixels) -> str:
    return f"{frame.shape[2]}x{frame.shape[1]}"
