"""Two bundles against each other, from beginning to end: pictures, pairs, verdict."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from stylepress import __version__
from stylepress.benchmarks.drift.bundles import other_photos
from stylepress.benchmarks.machine.record import record_machine
from stylepress.benchmarks.part import Skipped
from stylepress.benchmarks.pictures.photos import read_style
from stylepress.benchmarks.timing.systems import check_threads
from stylepress.benchmarks.verdict.album import album
from stylepress.benchmarks.verdict.comparison import Comparison, Judgement, LookName
from stylepress.benchmarks.verdict.drawing import drawings, judged
from stylepress.benchmarks.verdict.forecast import forecast
from stylepress.benchmarks.verdict.judgements import (
    judgement,
    reasons_of,
    side_of,
    sizes,
    tails,
)
from stylepress.benchmarks.verdict.measures import MEASURES, pairs_of
from stylepress.benchmarks.verdict.order import Arm
from stylepress.benchmarks.verdict.pictures import PairedJudge
from stylepress.benchmarks.verdict.rule import Paired, Rule, together
from stylepress.benchmarks.verdict.session import QUIETER, Ask, Session, Watch
from stylepress.benchmarks.verdict.terms import (
    DuelOptions,
    common_backends,
    open_session,
    photos_of,
    rules_of,
    settings_of,
)
from stylepress.benchmarks.verdict.trial import Key, Source, decide
from stylepress.progress import Progress
from stylepress.runtime.bundle import load_bundle

DISTURBED = "the machine disturbed every try"


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

    A backend in which the machine spoils a pair again and again is given up, and its figures stay
    open: that is no regression, and no pass.

    Raises:
        ArtifactError, BackendError, FrameError: a bundle cannot be loaded, or runs nowhere here.
        RecipeError: the settings cannot lead to a verdict.
        RunError: a run failed.
    """
    bundles = load_bundle(base), load_bundle(new)
    machine = record_machine(options.environ)
    photos = photos_of(bundles[0], options, progress)
    references = other_photos(options.references, photos, progress=progress)
    style = None if options.style is None else read_style(options.style)
    check_threads(options.engine, progress)
    backends, skipped = common_backends(bundles, options)
    rules = rules_of(backends, options, machine)
    settings = settings_of(
        options,
        backends,
        photos,
        references=references,
        style=style,
        watched=watch is not None,
    )
    progress.say(forecast(options.plan, len(backends)))
    drawn = drawings(
        bundles,
        backends,
        photos,
        references=references,
        style=style,
        options=options,
        progress=progress,
    )
    quality = list(judged(drawn, (PairedJudge(options.limits), *options.judges)))
    arms: Mapping[Arm, Path] = {"base": base, "new": new}
    with open_session(
        arms, photos, options=options, progress=progress, watch=watch, ask=ask
    ) as session:
        judgements = _figures(session, rules, options)
    sides = side_of(bundles[0]), side_of(bundles[1])
    judgements += [*tails(session.runs, backends), *sizes(sides, options.delta), *quality]
    counted = [one.verdict for one in judgements if one.gated and one.verdict is not None]
    return Comparison(
        tool=f"stylepress {__version__}",
        created=options.created,
        mode="fresh processes",
        base=sides[0],
        new=sides[1],
        verdict=together(counted),
        reasons=(*reasons_of(judgements), *_given_up(session)),
        settings=settings,
        machine=machine,
        judgements=tuple(judgements),
        runs=tuple(session.runs),
        curves=session.curves(),
        engines=session.engines["base"],
        new_engines=_other_engines(session),
        skipped=(*skipped, *(Skipped(what=k, why=why) for k, why in session.given_up.items())),
        gallery=album(drawn, most=options.shown),
    )


def _other_engines(session: Session) -> dict[str, dict[str, str | int]]:
    """Return what the new arm's engines are where the base's are not the same."""
    base, new = session.engines["base"], session.engines["new"]
    return {backend: engine for backend, engine in new.items() if engine != base[backend]}


def _given_up(session: Session) -> Iterator[str]:
    """Say which backends were given up and why, and then what helps."""
    for backend, why in session.given_up.items():
        yield f"{backend} was given up: {why}"
    if session.given_up:
        yield QUIETER


def _figures(session: Session, rules: Mapping[Key, Rule], options: DuelOptions) -> list[Judgement]:
    """Measure and decide; where the machine lets nobody measure, nothing is decided."""
    plan = options.plan
    decided = decide(
        _source(session, rules, options.gated),
        list(rules),
        pairs=plan.pairs,
        extend=plan.extend,
        confirm=plan.confirm,
    )
    return [
        judgement(
            key,
            decided.get(key),
            gated=key[1] in options.gated,
            why=DISTURBED if key[0] in session.given_up else "",
        )
        for key in rules
    ]


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
