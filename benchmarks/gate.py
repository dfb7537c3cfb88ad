"""Every figure that can be judged: its name in a gate file, its usual limit, and what it means."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from pydantic import Field, create_model

from stylepress.benchmarks.check import Bound, Check, held
from stylepress.document import load_document
from stylepress.errors import RecipeError
from stylepress.section import Section


class Judged(NamedTuple):
    """One figure: ``usual`` is its limit, in the unit of its key, None where it is only shown."""

    title: str
    unit: str
    bound: Bound
    usual: float | None
    meaning: str


_MOST: Bound = "at most"
_LEAST: Bound = "at least"
_WITHIN: Bound = "within"
_WORSE: Bound = "worse by at most"
FIGURES: Mapping[str, Judged] = {
    "p50_percent": Judged("latency p50", "ms", _WORSE, 5, "median time of a call, the usual one"),
    "p90_percent": Judged("latency p90", "ms", _WORSE, None, "nine of ten calls are faster"),
    "memory_percent": Judged(
        "peak memory", "MB", _WORSE, 5, "most memory that a run held at once (resident)"
    ),
    "load_percent": Judged("load", "ms", _WORSE, None, "from the bundle's file to an engine"),
    "first_call_percent": Judged("first call", "ms", _WORSE, None, "the first frame of an engine"),
    "weights_percent": Judged("weights", "MB", _WORSE, 5, "the file with the network"),
    "golden_levels": Judged(
        *("golden pictures", "levels", _MOST, None),
        "farthest that a pixel is from the picture the bundle brings; `run` refuses one beyond "
        "the bundle's own tolerance",
    ),
    "psnr_db": Judged(
        *("PSNR against base", "dB", _LEAST, 20),
        "likeness to base's picture pixel by pixel, of the worst photo: 40 is hardly seen",
    ),
    "cast_levels": Judged(
        *("colour cast", "levels", _MOST, 6),
        "by how many of 255 levels the mean colour of a picture is off, mean of the photos",
    ),
    "saturation_percent": Judged(
        *("saturation, change", "%", _WITHIN, 12),
        "by how much more or less colourful the pictures are than base's",
    ),
    "style_shift_percent": Judged(
        *("style, change", "%", _MOST, 25),
        "how far the patches of the pictures moved from base's, of the way to the photos' own",
    ),
    "style_percent": Judged(
        "style distance", "", _WORSE, 10, "how far the pictures are from the style picture"
    ),
    "content_percent": Judged(
        "content distance", "", _WORSE, 10, "how far shapes are from those of the photo"
    ),
    "grid_percent": Judged(
        "grid energy", "", _WORSE, 10, "1 as in a photo; more is a pattern every 4 pixels"
    ),
    "drift_percent": Judged(
        *("drift D", "", _WITHIN, 2),
        "by how much farther than the original's the pictures are from references, of that way; "
        "nearer is a change too",
    ),
    "drift_benign_times": Judged(
        *("direct P over benign", "times", _MOST, 3),
        "Frechet distance between both models' pictures (colours, edges, textures of the whole "
        "set), in units of a change that nobody minds",
    ),
    "drift_psnr_mean_db": Judged(
        "PSNR, mean", "dB", _LEAST, 30, "likeness to the original's pictures, pixel by pixel"
    ),
    "drift_psnr_worst_db": Judged("PSNR, worst", "dB", _LEAST, 20, "of the worst picture"),
    "drift_ssim_mean": Judged("SSIM, mean", "", _LEAST, 0.9, "likeness of local structure"),
    "drift_ssim_worst": Judged("SSIM, worst", "", _LEAST, 0.75, "of the worst picture"),
    "drift_cast_levels": Judged(
        "colour cast, mean", "levels", _MOST, 3, "how far the mean colour is off"
    ),
    "drift_place_levels": Judged(
        "cast of a place, worst", "levels", _MOST, 20, "of the worst square of 64 pixels"
    ),
}
"""In the order of tables. The limits of drift hold for a compressed model against the one it was
made from: of the three styles that ship, INT8 lies 0.04 to 0.21 times as far from float as a benign
change does, at 34 to 40 dB, its mean colour up to 0.4 levels off, that of a place up to 13; 3 levels
of one channel are what one just notices side by side. Between two versions, which may be trained
apart, the limits are wider."""


class Limits(Section):
    """The limits of a gate: what is left out has its usual limit, null judges nothing."""

    def limit(self, key: str) -> float | None:
        """Return the limit of a figure as a ``Check`` takes it: a share where it is of ``worse``."""
        value: float | None = getattr(self, key)
        if value is not None and FIGURES[key].bound == _WORSE:
            return value / 100
        return value

    @property
    def gated(self) -> tuple[str, ...]:
        return tuple(key for key in FIGURES if getattr(self, key) is not None)

    def held(self, check: Check) -> Check:
        """Hold a figure that does not come in pairs against its limit; one without a key is shown."""
        return held(check, self.limit(check.key)) if check.key else check

    def changed(self, **limits: float | None) -> Limits:
        """Return other limits.

        Raises:
            RecipeError: one that nothing can keep.
        """
        for key, value in limits.items():
            if value is not None and not 0 < value < math.inf:
                raise RecipeError(
                    f"A limit of {value:g} for {key} judges nothing.", "Give a number above 0."
                )
        return self.model_copy(update=limits)


_FIELDS = {
    key: (float | None, Field(default=one.usual, gt=0, description=one.meaning))
    for key, one in FIGURES.items()
}
Gate: type[Limits] = create_model("Gate", __base__=Limits, **_FIELDS)  # type: ignore[call-overload]
"""The model of a gate file: one key a figure, its limit as value."""
USUAL = Gate()


def load_gate(path: Path | None, *, delta_percent: float | None = None) -> Limits:
    """Read a gate file; the usual limits without one.

    ``delta_percent`` is the limit of times, memory and sizes, instead of that of the file.

    Raises:
        RecipeError: the file cannot be read, an unknown figure, or a limit that nothing can keep.
    """
    limits = USUAL if path is None else load_document(path, Gate)
    if delta_percent is None:
        return limits
    kept = ("p50_percent", "p90_percent", "memory_percent", "weights_percent")
    return limits.changed(
        **{key: delta_percent for key in kept if getattr(limits, key) is not None}
    )


def figure(key: str, subject: str, **facts: object) -> Check:
    """Make an unjudged figure of those that can be judged."""
    one = FIGURES[key]
    known = {"metric": one.title, "unit": one.unit, "bound": one.bound, "key": key}
    return Check.model_validate({"subject": subject, **known, **facts})


def meanings(checks: Sequence[Check]) -> Iterator[tuple[str, str]]:
    """Yield the figures that are there, and what each of them is."""
    keys = {one.key for one in checks}
    for key, one in FIGURES.items():
        if key in keys:
            yield one.title, one.meaning
