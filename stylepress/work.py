"""What a stage that trains is told besides its recipe: where to keep state, and who listens."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from stylepress.progress import Progress, Silent


@dataclass(frozen=True)
class Work:
    """The state folder and curve folder of one training, and the world it runs in.

    ``environ`` is where torchrun says how many processes train together, and where standard
    weights are looked for; ``home`` is the user's folder.
    """

    folder: Path
    board: Path
    resume: bool = False
    environ: Mapping[str, str] = field(default_factory=dict)
    home: Path = Path()
    progress: Progress = field(default_factory=Silent)
