"""Two bundles against each other, from beginning to end: pictures, pairs, verdict."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from stylepress import __version__
from stylepress.benchmarks.machine.record import record_machine
from stylepress.benchmarks.pictures.photos import Photo
from stylepress.benchmarks.verdict.album import album
from stylepress.benchmarks.verdict.comparison import Comparison, LookName
from stylepress.benchmarks.verdict.judgements import (
    judgement,
    reasons_of,
    side_of,
    sizes,
    tails,
)
from stylepress.benchmarks.verdict.measures import MEASURES, pairs_of
from stylepress.benchmarks.verdict.pictures import Drawn, PairedJudge
from stylepress.benchmarks.verdict.rule import Paired, Rule, together
from stylepress.benchmarks.verdict.session import Arms, Ask, Session, SpoiledError, Watch
from stylepress.benchmarks.verdict.terms import (
    DuelOptions,
    common_backends,
    frames_file,
    photos_of,
    rules_of,
    settings_of,
)
from stylepress.benchmarks.verdict.trial import Decision, Key, Source, decide
from stylepress.progress import Progress
from stylepress.runtime.backends import open_engine
from stylepress.runtime.bundle import Bundle, load_bundle
from stylepress.runtime.media.images import read_picture

Pixels = NDArray[np.uint8]


def duel(
    base: Path,
    new: Path,
    *,
    options: DuelOptions,
    progress: Progress,
    watch: Watch | None = None,
    ask: Ask | None = None,
) -> Comparison:
    """Compare two bundles by interleaved runs in fresh processes, and by their pictures.

    A machine that spoils a pair again and again leaves every time open: it is no regression.

    Raises:
        ArtifactError, BackendError, FrameError: a bundle cannot be loaded, or runs nowhere here.
        RecipeError: the settings cannot lead to a verdict.
        VerificationError: a run failed.
    """
    bundles = load_bundle(base), load_bundle(new)
    machine = record_machine(options.environ)
    photos = photos_of(bundles[0], options, progress)
    backends, skipped = common_backends(bundles, options)
    rules = rules_of(backends, options, machine)
    settings = settings_of(options, backends, photos, watched=watch is not None)
    drawn = _drawn(bundles, backends[0], photos, options, progress)
    judges = (PairedJudge(options.limits), *options.judges)
    quality = [one for judge in judges for one in judge(drawn)]
    with tempfile.TemporaryDirectory(prefix="stylepress-compare-") as work:
        session = Session(
            Arms({"base": base, "new": new}, frames_file(photos, Path(work)), options.threads),
            options.plan,
            environ=options.environ,
            progress=progress,
            watch=watch,
            ask=ask,
        )
        plan = options.plan
        decided: Mapping[Key, Decision] = {}
        spoiled = ""
        try:
            decided = decide(
                _source(session, rules, options.gated),
                list(rules),
                pairs=plan.pairs,
                extend=plan.extend,
                confirm=plan.confirm,
            )
        except SpoiledError as error:
            spoiled = str(error)
            progress.warn(spoiled)
    figures = [judgement(key, decided.get(key), gated=key[1] in options.gated) for key in rules]
    if spoiled:
        note = "the machine disturbed every try"
        figures = [one.model_copy(update={"note": note}) for one in figures]
    sides = side_of(bundles[0]), side_of(bundles[1])
    judgements = [
        *figures,
        *tails(session.runs, backends),
        *sizes(sides, options.delta),
        *quality,
    ]
    counted = [one.verdict for one in judgements if one.gated and one.verdict is not None]
    return Comparison(
        tool=f"stylepress {__version__}",
        created=options.created,
        mode="fresh processes",
        base=sides[0],
        new=sides[1],
        verdict=together(counted),
        reasons=(*reasons_of(judgements), *([spoiled] if spoiled else ())),
        settings=settings,
        machine=machine,
        judgements=tuple(judgements),
        runs=tuple(session.runs),
        curves=session.curves(),
        engines=session.engines,
        skipped=skipped,
        gallery=album(drawn, most=options.shown),
    )


def _drawn(
    bundles: tuple[Bundle, Bundle],
    backend: str,
    photos: Sequence[Photo],
    options: DuelOptions,
    progress: Progress,
) -> Drawn:
    """Let both arms draw the photos in one backend."""
    progress.start("Drawing with both", 2 * len(photos))
    made: list[tuple[Pixels, ...]] = []
    for bundle in bundles:
        engine = open_engine(bundle, backend, options=options.engine)
        try:
            made.append(tuple(engine.run(photo.frame) for photo in photos))
        finally:
            engine.close()
        progress.advance(len(photos), note=bundle.artifact.name)
    progress.finish()
    style = None if options.style is None else read_picture(options.style).pixels
    return Drawn(
        names=tuple(photo.fact.name for photo in photos),
        photos=tuple(photo.frame for photo in photos),
        base=made[0],
        new=made[1],
        style=style,
    )


def _source(session: Session, rules: Mapping[Key, Rule], gated: Sequence[str]) -> Source:
    """Let the machine of a session be where pairs come from."""

    def source(part: LookName, keys: Sequence[Key], pairs: int) -> dict[Key, Paired]:
        runs = session.measure(part, list(dict.fromkeys(name for name, _ in keys)), pairs)
        figures = {}
        for backend, name in keys:
            measure = MEASURES[name]
            values = pairs_of(runs, backend, measure)
            if values is not None:
                rule = rules[backend, name]
                figures[backend, name] = Paired(
                    *values, rule, name in gated, measure.larger_is_worse
                )
        return figures

    return source
