"""The terms of a comparison: how it is made, on which photos, in which backends."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from stylepress.benchmarks.machine.record import Machine
from stylepress.benchmarks.machine.watch import Limits
from stylepress.benchmarks.part import Skipped
from stylepress.benchmarks.pictures.photos import Photo, Style, golden_photos, read_photos
from stylepress.benchmarks.timing.systems import NULL
from stylepress.benchmarks.verdict.comparison import Settings
from stylepress.benchmarks.verdict.floor import LENGTHS, Floor, check_floor
from stylepress.benchmarks.verdict.measures import GATED, MEASURES
from stylepress.benchmarks.verdict.order import Arm
from stylepress.benchmarks.verdict.pictures import PictureJudge, PictureLimits
from stylepress.benchmarks.verdict.rule import DELTA, Rule, looks
from stylepress.benchmarks.verdict.session import Arms, Ask, PairPlan, Session, Watch
from stylepress.benchmarks.verdict.trial import Key, check_power
from stylepress.errors import BackendError, RecipeError
from stylepress.progress import Progress
from stylepress.runtime.backends import (
    BACKENDS,
    EngineOptions,
    missing,
    open_engine,
)
from stylepress.runtime.bundle import Bundle


@dataclass(frozen=True, slots=True)
class DuelOptions:
    """How two bundles are compared.

    ``size`` is (height, width). ``backends`` are all that run here when None, as for ``bench``.
    ``delta`` is the share by which a gated figure may be worse, ``floor`` what equal arms differ
    by (1 % is assumed when None). ``foreign_load`` is the share of the processor that the watch
    lets others use. ``photos`` is a folder (the base's golden pictures when None), ``most_photos``
    of which are taken and ``shown`` put on the page; ``judges`` are further quality metrics, and
    ``references`` a folder of other photos for those of them that hold pictures against a world.
    """

    size: tuple[int, int] = (512, 512)
    threads: int | None = None
    backends: tuple[str, ...] | None = None
    plan: PairPlan = field(default_factory=PairPlan)
    delta: float = DELTA
    floor: Floor | None = None
    gated: tuple[str, ...] = GATED
    foreign_load: float = Limits().foreign_load
    photos: Path | None = None
    most_photos: int = 6
    shown: int = 3
    style: Path | None = None
    limits: PictureLimits = field(default_factory=PictureLimits)
    judges: tuple[PictureJudge, ...] = ()
    references: Path | None = None
    created: str = ""
    environ: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        unknown = [name for name in self.gated if name not in MEASURES]
        if unknown or not self.gated or len({*self.gated}) < len(self.gated):
            raise RecipeError(
                f"There is no figure {', '.join(unknown) or '(none named, or one twice)'} to gate "
                f"on. Name some of {', '.join(MEASURES)}, each once."
            )

    @property
    def engine(self) -> EngineOptions:
        """How the engines of both arms use the machine."""
        return EngineOptions(threads=self.threads, size=self.size)


def photos_of(bundle: Bundle, options: DuelOptions, progress: Progress) -> list[Photo]:
    """Return the photos both arms are run on: a folder's, or those the bundle brings."""
    if options.photos is None:
        return golden_photos(bundle, options.size, limit=options.most_photos)
    return read_photos(options.photos, options.size, limit=options.most_photos, progress=progress)


def common_backends(
    bundles: tuple[Bundle, Bundle], options: DuelOptions
) -> tuple[tuple[str, ...], tuple[Skipped, ...]]:
    """Return the backends in which both bundles can be opened, and why not in the others.

    Raises:
        BackendError: there is none.
    """
    absent = missing()
    wanted = options.backends or tuple(name for name in BACKENDS if name != NULL)
    why = {name: absent.get(name) or _refusal(bundles, name, options) for name in wanted}
    able = tuple(name for name in wanted if not why[name])
    skipped = tuple(Skipped(what=name, why=reason) for name, reason in why.items() if reason)
    if not able:
        raise BackendError(
            f"Both bundles run in no backend here: {'; '.join(one.why for one in skipped)} "
            f"See `stylepress doctor`."
        )
    return able, skipped


def _refusal(bundles: tuple[Bundle, Bundle], backend: str, options: DuelOptions) -> str:
    try:
        for bundle in bundles:
            open_engine(bundle, backend, options=options.engine).close()
    except BackendError as error:
        return str(error)
    return ""


def frames_file(photos: Sequence[Photo], work: Path) -> Path:
    """Write the photos' frames for the arms, uint8 (K, H, W, 3)."""
    path = work / "frames.npy"
    np.save(path, np.concatenate([photo.frame for photo in photos]))
    return path


@contextmanager
def open_session(
    bundles: Mapping[Arm, Path],
    photos: Sequence[Photo],
    *,
    options: DuelOptions,
    progress: Progress,
    watch: Watch | None = None,
    ask: Ask | None = None,
) -> Iterator[Session]:
    """Lay the photos' frames out where both arms find them, for as long as pairs are run."""
    with tempfile.TemporaryDirectory(prefix="stylepress-pairs-") as work:
        yield Session(
            Arms(bundles, frames_file(photos, Path(work)), options.threads),
            options.plan,
            environ=options.environ,
            progress=progress,
            watch=watch,
            ask=ask,
        )


def rules_of(backends: Sequence[str], options: DuelOptions, machine: Machine) -> dict[Key, Rule]:
    """Make the rule of each figure, and refuse a plan that could not lead to a verdict."""
    if options.floor is not None:
        plan, (height, width) = options.plan, options.size
        lengths = {name: getattr(plan, name) for name in LENGTHS}
        threads = options.engine.all_threads
        settings = {"height": height, "width": width, "threads": threads, **lengths}
        check_floor(options.floor, machine, settings)
    rules = {}
    for backend in backends:
        for name in MEASURES:
            known = None if options.floor is None else options.floor.of(backend, name)
            if options.floor is not None and known is None and name in options.gated:
                raise RecipeError(
                    f"The floor holds no {name} in {backend}. Measure it with `stylepress bench "
                    f"BUNDLE --selftest`, or gate on what it holds."
                )
            if known is not None and name not in options.gated:
                known = min(known, options.delta / 2)
            rules[backend, name] = (
                Rule.assumed(options.delta) if known is None else Rule(options.delta, known)
            )
    plan = options.plan
    check_power(len(backends) * len(options.gated), plan.pairs, extend=plan.extend)
    return rules


def settings_of(
    options: DuelOptions,
    backends: tuple[str, ...],
    photos: Sequence[Photo],
    *,
    references: Sequence[Photo],
    style: Style | None,
    watched: bool,
) -> Settings:
    """Write down how it is measured and judged."""
    plan = options.plan
    return Settings(
        height=options.size[0],
        width=options.size[1],
        threads=options.engine.all_threads,
        backends=backends,
        pairs=plan.pairs,
        looks=tuple((look.pairs, look.alpha) for look in looks(plan.pairs, extend=plan.extend)),
        confirm=plan.confirm,
        delta=options.delta,
        gated=options.gated,
        floor_source="assumed" if options.floor is None else "measured",
        seed=plan.seed,
        min_s=plan.min_s,
        min_count=plan.min_count,
        warm_s=plan.warm_s,
        warm_count=plan.warm_count,
        rest_s=plan.rest_s,
        foreign_load=options.foreign_load if watched else None,
        photos=tuple(photo.fact for photo in photos),
        style=None if style is None else style.fact,
        references=tuple(photo.fact for photo in references),
    )
