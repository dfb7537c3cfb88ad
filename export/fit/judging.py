"""How far the pictures of a student, or of its bundle's engine, are from its teacher's."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from stylepress.artifact import Artifact
from stylepress.build import BuildOptions, BuildResult
from stylepress.compress.distil import Teacher
from stylepress.compress.fidelity import drift, parted
from stylepress.progress import Progress
from stylepress.runtime.backends import Engine, EngineOptions, open_engine
from stylepress.runtime.bundle import read_bundle
from stylepress.train.photos import Photos
from stylepress.train.weights.checkpoint import load_network


def bundle_drift(
    result: BuildResult, backend: str, photos: Path, options: BuildOptions, *, progress: Progress
) -> tuple[float, str]:
    """Return the drift of what ``backend`` makes of the bundle, and who judged."""
    loaded = load_network(result.teacher.folder)
    teacher = Teacher(loaded.module, loaded.image)
    _, held = parted(Photos.below(photos, progress))
    bundle = read_bundle(result.bundle.folder)
    engine = open_engine(bundle, backend, options=EngineOptions())
    try:
        return drift(teacher, drawn_by(engine), held, env=options.environ, home=options.home)
    finally:
        engine.close()


def student_drift(
    teacher: Artifact, student: Artifact, photos: Path, options: BuildOptions, *, progress: Progress
) -> float:
    """Return the drift of a student's checkpoint, on photos held out."""
    _, held = parted(Photos.below(photos, progress))
    original, copy = (
        Teacher(loaded.module, loaded.image)
        for loaded in (load_network(teacher.folder), load_network(student.folder))
    )
    value, _ = drift(original, copy, held, env=options.environ, home=options.home)
    return value


class drawn_by:  # noqa: N801 - reads as a verb where it is used
    """An engine as what draws (1, 3, H, W) pictures in [0, 1]."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def __call__(self, image: Tensor) -> Tensor:
        """Draw one picture; it is rounded to levels before, as a camera's is."""
        port = self._engine.graph.picture
        if port is None:
            raise TypeError("a frame graph takes a picture")
        levels = image.mul(255).round().to(torch.uint8).permute(0, 2, 3, 1).contiguous()
        (result,) = self._engine.run({port.name: levels.numpy()}).values()
        return torch.from_numpy(np.array(result)).permute(0, 3, 1, 2).float() / 255
