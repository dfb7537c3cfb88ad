"""The pictures of a comparison for its page: each photo as both arms drew it, the worst first."""

from __future__ import annotations

from stylepress.benchmarks.pictures.gallery import AMPLIFIED, difference, shown
from stylepress.benchmarks.pictures.photos import unit
from stylepress.benchmarks.pictures.quality import psnr_db
from stylepress.benchmarks.verdict.comparison import Pictured
from stylepress.benchmarks.verdict.pictures import Drawn, Pixels


def album(drawn: Drawn, *, most: int) -> tuple[Pictured, ...]:
    """Encode photo, base, new and their amplified difference of the ``most`` worst photos."""
    pictures = zip(drawn.names, drawn.photos, drawn.base, drawn.new, strict=True)
    levels = [psnr_db(unit(a), unit(b)) for a, b in zip(drawn.base, drawn.new, strict=True)]
    worst = sorted(zip(levels, pictures, strict=True), key=lambda one: one[0])
    return tuple(_pictured(level, *one) for level, one in worst[:most])


def _pictured(level: float, name: str, photo: Pixels, base: Pixels, new: Pixels) -> Pictured:
    gap = difference(new[0], base[0])
    return Pictured(
        photo=name,
        psnr_db=level,
        shown=(
            shown(name, "content", "photo", photo[0]),
            shown(name, "bundle", "base", base[0]),
            shown(name, "bundle", "new", new[0]),
            shown(name, "difference", f"{AMPLIFIED} x |new - base|", gap),
        ),
    )
