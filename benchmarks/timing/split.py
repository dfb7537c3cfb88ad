"""From a file to a file: how much of a frame's time the engine is, and how much the rest."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from statistics import median
from typing import Any

from stylepress.benchmarks.machine.watch import Validity
from stylepress.benchmarks.part import Part
from stylepress.benchmarks.timing.loop import Clock, WallClock
from stylepress.errors import RecipeError

STAGES = ("decode", "pre", "infer", "post", "encode")


class Stage(Part):
    """One stage: the median of a frame, every frame, and its share of all frames' time, 0..1."""

    name: str
    median_ms: float
    share: float
    samples_ns: tuple[int, ...]


class Split(Part):
    """The stages in the order a frame meets them, one after the other in one thread.

    ``end_to_end_ms`` is the median of a frame's whole way. A program that runs stages at the same
    time shows more frames a second than this says, but no frame sooner. ``validity`` says whether
    they count; None: nobody watched.
    """

    stages: tuple[Stage, ...]
    end_to_end_ms: float
    frames: int
    validity: Validity | None = None

    @property
    def engine_ms(self) -> float:
        """The median of the stage ``infer``."""
        return next(stage.median_ms for stage in self.stages if stage.name == "infer")


class Pipeline:
    """Functions that hand a frame on, each timed; ``run`` is what a scenario calls.

    ``stages`` maps each of decode, pre, infer, post and encode to its function; one that a system
    does not have is left out, ``infer`` never.

    Raises:
        RecipeError: a stage of another name, or no ``infer``.
    """

    def __init__(
        self, stages: Mapping[str, Callable[[Any], Any]], *, clock: Clock | None = None
    ) -> None:
        if "infer" not in stages or not set(stages) <= set(STAGES):
            raise RecipeError(
                f"A pipeline of {', '.join(stages) or 'nothing'} cannot be split.",
                f"Name its stages {', '.join(STAGES)}; all but infer may be left out.",
            )
        self.clock = clock or WallClock()
        self._stages = [(name, stages[name]) for name in STAGES if name in stages]
        self._marks: list[tuple[int, ...]] = []

    def run(self, sample: Any) -> Any:
        """Take one sample through all stages."""
        marks = [self.clock.now_ns()]
        for _, stage in self._stages:
            sample = stage(sample)
            marks.append(self.clock.now_ns())
        self._marks.append(tuple(marks))
        return sample

    def split(self, *, last: int | None = None) -> Split:
        """Say how the time of all frames, or of the ``last`` ones, was shared.

        Raises:
            RecipeError: no frame was run.
        """
        marks = self._marks if last is None else self._marks[len(self._marks) - last :]
        if not marks:
            raise RecipeError("No frame went through the pipeline.", "Run it before it is split.")
        whole, stages = [one[-1] - one[0] for one in marks], []
        for place, (name, _) in enumerate(self._stages):
            taken = tuple(one[place + 1] - one[place] for one in marks)
            share = sum(taken) / sum(whole) if sum(whole) else 0.0
            stages.append(
                Stage(name=name, median_ms=median(taken) / 1e6, share=share, samples_ns=taken)
            )
        return Split(stages=tuple(stages), end_to_end_ms=median(whole) / 1e6, frames=len(marks))
