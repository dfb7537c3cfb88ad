"""A bundle made ready on the device that will run it: compiled, checked, measured, recorded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from stylepress.cache import Cache
from stylepress.progress import Progress
from stylepress.runtime.backends import EngineOptions
from stylepress.runtime.bundle import Bundle
from stylepress.runtime.choice import Choice, fastest, self_test


@dataclass(frozen=True, slots=True)
class Installed:
    """What came of it: the backends that agree with the golden pairs, and the fastest of them."""

    bundle: str
    digest: str
    size: tuple[int, int]
    golden_pairs: int
    choice: Choice
    engine: Mapping[str, str | int]

    def record(self) -> dict[str, Any]:
        """Return it as plain values; times in milliseconds a frame."""
        return asdict(self)


def install(
    bundle: Bundle,
    *,
    size: tuple[int, int],
    options: EngineOptions,
    cache: Cache | None,
    backends: Sequence[str] | None = None,
    progress: Progress,
) -> Installed:
    """Compile a bundle for frames of ``size`` (height, width) with every backend that can run here.

    The golden pairs are run in each; those that agree are measured in turns. What was compiled and
    measured is kept in ``cache``, from which ``run`` takes it. The winner is held against the
    golden pairs once more as it comes from there.

    Raises:
        BackendError: no backend can run here.
        VerificationError: none agrees with the golden pairs.
        FrameError: ``size`` is smaller than the bundle takes.
    """
    choice, engine = fastest(
        bundle, size=size, options=options, cache=cache, candidates=backends, progress=progress
    )
    try:
        self_test(bundle, engine)
        described = dict(engine.describe())
    finally:
        engine.close()
    pairs = sum(1 for _ in bundle.golden())
    folder, digest = bundle.artifact.folder, bundle.artifact.digest
    return Installed(str(folder), digest, size, pairs, choice, described)
