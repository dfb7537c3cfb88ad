"""What a step gets besides its options: where to keep state, what to run on, who listens."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from stylepress.progress import Progress, Silent


@dataclass(frozen=True)
class Work:
    """The state folder and curve folder of one step, and the world it runs in.

    ``identity`` is what decides the step's result, as JSON values. ``environ`` is where torchrun says how many processes train together, and where standard
    weights are looked for; ``home`` is the user's folder; ``device`` is ``auto``, ``cpu`` or
    ``cuda[:n]``. ``shared`` is what the steps of one build share, by name: decoded photos.
    ``pictures`` is a folder where what a teacher drew is kept for other builds, None to forget it.
    """

    name: str
    folder: Path
    board: Path
    identity: Mapping[str, Any] = field(default_factory=dict)
    resume: bool = False
    device: str = "auto"
    environ: Mapping[str, str] = field(default_factory=dict)
    home: Path = Path()
    progress: Progress = field(default_factory=Silent)
    shared: dict[str, Any] = field(default_factory=dict)
    pictures: Path | None = None
