"""The pictures of a comparison for its page: each photo as both arms drew it, the worst first."""

from __future__ import annotations

from collections.abc import Mapping

from stylepress.benchmarks.pictures.gallery import AMPLIFIED, difference, shown
from stylepress.benchmarks.pictures.photos import unit
from stylepress.benchmarks.pictures.quality import psnr_db
from stylepress.benchmarks.verdict.comparison import Pictured
from stylepress.benchmarks.verdict.pictures import Drawn


def album(drawn: Mapping[str, Drawn], *, most: int) -> tuple[Pictured, ...]:
    """Encode photo, base, new and their amplified difference of the ``most`` worst photos.

    ``drawn`` is by backend; of each photo the one is shown in which the arms differ most.
    """
    levels: dict[int, tuple[float, str]] = {}
    for backend, pictures in drawn.items():
        for number, pair in enumerate(zip(pictures.base, pictures.new, strict=True)):
            level = psnr_db(*map(unit, pair))
            if number not in levels or level < levels[number][0]:
                levels[number] = level, backend
    worst = sorted(levels, key=lambda number: levels[number][0])
    return tuple(_pictured(drawn, number, *levels[number]) for number in worst[:most])


def _pictured(drawn: Mapping[str, Drawn], number: int, level: float, backend: str) -> Pictured:
    pictures = drawn[backend]
    name = pictures.names[number] + (f" in {backend}" if len(drawn) > 1 else "")
    photo, base, new = (each[number][0] for each in (pictures.photos, pictures.base, pictures.new))
    return Pictured(
        photo=name,
        psnr_db=level,
        shown=(
            shown(name, "content", "photo", photo),
            shown(name, "bundle", "base", base),
            shown(name, "bundle", "new", new),
            shown(name, "difference", f"{AMPLIFIED} x |new - base|", difference(new, base)),
        ),
    )
