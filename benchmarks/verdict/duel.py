"""Two bundles against each other, from beginning to end: pictures, pairs, verdict."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from stylepress import __version__
from stylepress.benchmarks.machine.record import record_machine
from stylepress.benchmarks.verdict.album import album
from stylepress.benchmarks.verdict.comparison import Comparison, LookName
from stylepress.benchmarks.verdict.drawing import drawings, judged
from stylepress.benchmarks.verdict.judgements import (
    judgement,
    reasons_of,
    side_of,
    sizes,
    tails,
)
from stylepress.benchmarks.verdict.measures import MEASURES, pairs_of
from stylepress.benchmarks.verdict.pictures import PairedJudge
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
from stylepress.runtime.bundle import load_bundle

Decided = tuple[Mapping[Key, Decision], str]
"""What became of each figure, and why nothing did where nothing is decided."""


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
        RunError: a run failed.
    """
    bundles = load_bundle(base), load_bundle(new)
    machine = record_machine(options.environ)
    photos = photos_of(bundles[0], options, progress)
    backends, skipped = common_backends(bundles, options)
    rules = rules_of(backends, options, machine)
    settings = settings_of(options, backends, photos, watched=watch is not None)
    drawn = drawings(bundles, backends, photos, options=options, progress=progress)
    quality = list(judged(drawn, (PairedJudge(options.limits), *options.judges)))
    with tempfile.TemporaryDirectory(prefix="stylepress-compare-") as work:
        session = Session(
            Arms({"base": base, "new": new}, frames_file(photos, Path(work)), options.threads),
            options.plan,
            environ=options.environ,
            progress=progress,
            watch=watch,
            ask=ask,
        )
        decided, spoiled = _decided(session, rules, options)
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


def _decided(session: Session, rules: Mapping[Key, Rule], options: DuelOptions) -> Decided:
    """Measure and decide; where the machine spoils it, nothing is decided, and it is said why."""
    plan = options.plan
    try:
        return decide(
            _source(session, rules, options.gated),
            list(rules),
            pairs=plan.pairs,
            extend=plan.extend,
            confirm=plan.confirm,
        ), ""
    except SpoiledError as error:
        session.progress.warn(str(error))
        return {}, str(error)


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
