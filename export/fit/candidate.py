"""What the search may choose: a student's size, its share of channels, the precision it ships in."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal, Protocol, TypeAlias

from stylepress.step_fields import Preset
from stylepress.train.student import PRESETS, StudentSize

Precision: TypeAlias = Literal["fp32", "mixed", "int8"]
"""``mixed`` is INT8 with the first and the last convolution in float."""

WIDTHS, HALVES, BLOCKS = (16, 32, 48, 64), (16, 32), (0, 2, 4, 6, 8)
NORMS = (False, True)
DEEP_WIDTHS, DEEP_BLOCKS = (0, 32, 64, 96, 128), (2, 4, 6, 8)
"""Widths are multiples of 16, which is what engines are fast in; INT8 wants 32."""
KEEPS = (1.0, 0.85, 0.7, 0.5)
"""Shares of its channels that stay of a distilled student, where the recipe prunes it; 1 is all."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """One point of the search: a student, and what of its channels stays (``keep``)."""

    size: StudentSize
    precision: Precision
    keep: float = 1.0

    @property
    def key(self) -> str:
        """Name it in a few letters, e.g. ``w32-b2-h16-d64x6-int8``.

        >>> Candidate(PRESETS["base"], "int8").key
        'w32-b2-h16-d64x6-n-int8'
        """
        size = self.size
        deep = f"-d{size.deep_width}x{size.deep_blocks}" if size.deep_width else ""
        fine = "" if size.stride == 4 else f"-s{size.stride}"
        norms = "-n" if size.norms else ""
        kept = f"-k{100 * self.keep:g}" if self.keep < 1 else ""
        whole = f"w{size.width}-b{size.blocks}-h{size.half}{fine}{deep}{norms}"
        return f"{whole}{kept}-{self.precision}"

    def values(self) -> dict[str, Any]:
        """Return it as plain values, as the search keeps them."""
        size = {key: value for key, value in asdict(self.size).items() if key != "stride"}
        kept = {"keep": self.keep} if self.keep < 1 else {}
        return {**size, "precision": self.precision, **kept}


class Chooser(Protocol):
    """Who chooses one value of several by name: a trial of Optuna's."""

    def suggest_categorical(self, name: str, choices: Any) -> Any:
        """Return one of ``choices``."""


def suggested(
    chooser: Chooser, precisions: tuple[Precision, ...], keeps: tuple[float, ...] = (1.0,)
) -> Candidate:
    """Let ``chooser`` choose each value; the depth of a level that is not there is not asked for.

    >>> class First:
    ...     def suggest_categorical(self, name, choices):
    ...         return choices[0]
    >>> suggested(First(), ("int8",)).key
    'w16-b0-h16-int8'
    """
    choose = chooser.suggest_categorical
    width, half = choose("width", WIDTHS), choose("half", HALVES)
    blocks, deep_width = choose("blocks", BLOCKS), choose("deep_width", DEEP_WIDTHS)
    deep_blocks = choose("deep_blocks", DEEP_BLOCKS) if deep_width else 0
    size = StudentSize(
        width=width,
        blocks=blocks,
        half=half,
        deep_width=deep_width,
        deep_blocks=deep_blocks,
        norms=choose("norms", NORMS),
    )
    keep = choose("keep", keeps) if len(keeps) > 1 else 1.0
    return Candidate(size, choose("precision", precisions), keep)


def least(precisions: tuple[Precision, ...]) -> Candidate:
    """Return the smallest student of all, in the last (fastest) of the precisions."""
    return Candidate(StudentSize(width=WIDTHS[0], blocks=0, half=HALVES[0]), precisions[-1])


def presets(precisions: tuple[Precision, ...]) -> Iterator[tuple[Preset, Candidate]]:
    """Yield the presets that the search can reach, with the last (fastest) of the precisions."""
    for name, size in PRESETS.items():
        if size.stride == 4:
            yield name, Candidate(size, precisions[-1])


def parts(size: StudentSize) -> Mapping[str, tuple[int, StudentSize, StudentSize | None]]:
    """Return what a student's time is the sum of.

    By name: how often it stands in the student, the student that is measured for it, and the one
    whose time is taken from that (None for nothing). A part is measured four at a time, because
    one alone drowns in what a measurement varies by.
    """
    kind = f"s{size.stride}" + (" n" if size.norms else "")
    bare = StudentSize(
        width=size.width, blocks=0, half=size.half, stride=size.stride, norms=size.norms
    )
    sums: dict[str, tuple[int, StudentSize, StudentSize | None]] = {
        f"bare w{size.width} h{size.half} {kind}": (1, bare, None)
    }
    narrow = replace(bare, half=16)
    if size.blocks:
        several = replace(narrow, blocks=MEASURED_AT_ONCE)
        sums[f"block w{size.width} {kind}"] = (size.blocks, several, narrow)
    if size.deep_width:
        level = replace(narrow, deep_width=size.deep_width)
        sums[f"level w{size.width} d{size.deep_width} {kind}"] = (1, level, narrow)
        if size.deep_blocks:
            plain = replace(level, width=16)
            deep = replace(plain, deep_blocks=MEASURED_AT_ONCE)
            sums[f"deep block d{size.deep_width} {kind}"] = (size.deep_blocks, deep, plain)
    return sums


MEASURED_AT_ONCE = 4
