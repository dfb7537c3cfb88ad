"""Bundles against each other, from beginning to end: golden pairs, pictures, pairs of runs, verdict."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter

from stylepress import __version__
from stylepress.benchmarks.check import Check, reasons_of, together
from stylepress.benchmarks.gate import figure
from stylepress.benchmarks.machine.record import record_machine
from stylepress.benchmarks.part import Skipped
from stylepress.benchmarks.quality.gallery import album
from stylepress.benchmarks.quality.judges import BLIND, JUDGES, Drawn, judged
from stylepress.benchmarks.quality.photos import Photo, other_photos, read_style
from stylepress.benchmarks.timing.systems import (
    bundle_pairs,
    check_threads,
    common_backends,
    golden_check,
    opened,
)
from stylepress.benchmarks.verdict.comparison import (
    Comparison,
    DuelOptions,
    Settings,
    forecast,
    rules_of,
    side_of,
    weights_check,
)
from stylepress.benchmarks.verdict.rule import Key, Paired, Rule, decide, looks
from stylepress.benchmarks.verdict.session import (
    QUIETER,
    WHY_NOT,
    Arms,
    LookName,
    Session,
    frames_file,
    pairs_of,
    subject_of,
)
from stylepress.picture import Pixels
from stylepress.runtime.bundle import Bundle, read_bundle

DISTURBED = "never measured: the machine disturbed every try"
EARLIER = "not measured: the comparison has failed already"
REFUSED = "the new bundle draws other pictures than it brings, so nothing of it was measured"
NOT_TIMED = Skipped(what="times and memory", why=f"{EARLIER}; `--complete` measures them too")
NO_DRIFT = Skipped(
    what="what compression may lose (Frechet distance, mean SSIM)", why="`--drift` judges it"
)


@dataclass(frozen=True, slots=True)
class Match:
    """Two bundles of one name, and the photos that both draw; none where both are equal."""

    name: str
    base: Bundle
    new: Bundle
    backends: tuple[str, ...]
    photos: Sequence[Photo]

    @property
    def same(self) -> bool:
        return self.base.artifact.digest == self.new.artifact.digest

    @property
    def subjects(self) -> dict[str, str]:
        """Its backends, by what figures call them."""
        return {subject_of(self.name, backend): backend for backend in self.backends}

    def golden(self, threads: int | None) -> list[Check]:
        """Hold the new one against its own golden pairs, in each backend."""
        return [
            golden_check(self.new, backend, threads=threads, subject=subject)
            for subject, backend in self.subjects.items()
        ]


def duel(base: Path, new: Path, session: Session) -> Comparison:
    """Compare two bundles, or those of one name in two folders.

    The new one's golden pairs come first, then pictures, then interleaved runs in fresh processes
    under the session's watch, which is started for them; what has failed is not measured further, unless
    the plan is ``complete``. What is equal to the last byte passes once its golden pairs hold in one
    backend. A backend in which others spoil pairs for longer than the plan is patient stays open.

    Raises:
        ArtifactError, BackendError, FrameError: a bundle cannot be loaded, or runs nowhere here.
        RecipeError: the settings cannot lead to a verdict.
        RunError: a run failed.
    """
    check_threads(session.options.engine, session.progress)
    return _Duel(session.options, session).comparison(bundle_pairs(base, new))


def lone(new: Path, *, why: str, options: DuelOptions) -> Comparison:
    """Say what can be said of a bundle that there is no baseline for: whether its golden pairs hold.

    Raises:
        ArtifactError, BackendError: it cannot be loaded, or runs nowhere here.
    """
    bundle = read_bundle(new)
    backends, skipped = common_backends([bundle], options.backends, options.engine)
    checks = Match("", bundle, bundle, backends, ()).golden(options.threads)
    failed = any(one.verdict == "FAIL" for one in checks)
    return Comparison(
        tool=f"stylepress {__version__}",
        created=options.created,
        mode="not measured",
        base=None,
        new=side_of([bundle], options.labels[1]),
        verdict="FAIL" if failed else "NO BASELINE",
        reasons=(*reasons_of(checks), why),
        machine=record_machine(options.environ),
        checks=tuple(checks),
        skipped=skipped,
    )


@dataclass
class _Duel:
    """A comparison under way."""

    options: DuelOptions
    session: Session
    skipped: list[Skipped] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)
    """What the quickest frame of a subject took."""

    def comparison(self, pairs: Mapping[str, tuple[Bundle, Bundle]]) -> Comparison:
        options, session = self.options, self.session
        machine = record_machine(options.environ)
        matches = [self._match(name, *both) for name, both in pairs.items()]
        different = [match for match in matches if not match.same]
        subjects = {key: name for match in different for key, name in match.subjects.items()}
        rules = rules_of(subjects, options, machine) if different else {}
        checks = [check for match in matches for check in match.golden(options.threads)]
        refused = any(one.verdict == "FAIL" for one in checks)
        old, now = zip(*pairs.values(), strict=True)
        sides = side_of(old, options.labels[0]), side_of(now, options.labels[1])
        checks.append(weights_check(*sides, options.limits))
        checks += [_equal(match) for match in matches if match.same]
        drawn: dict[str, Drawn] = {}
        unjudged = [BLIND] if options.judges else [BLIND, NO_DRIFT]
        if refused:
            unjudged = [Skipped(what="pictures, times and memory", why=REFUSED)]
        elif different:
            drawn = self._drawn(different)
            checks += judged(drawn, (*JUDGES, *options.judges), options.limits)
            if any(one.verdict == "FAIL" for one in checks) and not options.plan.complete:
                unjudged.append(NOT_TIMED)
            else:
                checks = [*self._times(different, rules), *checks]
        unjudged += self._left_open(checks)
        lost = [f"{subject} was given up: {why}" for subject, why in session.given_up.items()]
        return Comparison(
            tool=f"stylepress {__version__}",
            created=options.created,
            mode="fresh processes" if session.runs else "not measured",
            base=sides[0],
            new=sides[1],
            verdict=together(checks),
            reasons=(*reasons_of(checks), *lost, *([QUIETER] if lost else [])),
            settings=Settings(
                height=options.size[0],
                width=options.size[1],
                threads=options.engine.all_threads,
                backends=tuple(dict.fromkeys(name for one in matches for name in one.backends)),
                plan=options.plan,
                looks=looks(
                    options.plan.pairs,
                    figures=max(1, len(subjects) * len(options.gated)),
                    extend=options.plan.extend,
                ),
                limits=options.limits.model_dump(),
                floor_source="assumed" if options.floor is None else "measured",
                foreign_load=None if session.watch is None else options.foreign_load,
                photos=tuple(photo.fact for one in different[:1] for photo in one.photos),
            ),
            machine=machine,
            checks=tuple(checks),
            runs=tuple(session.runs),
            engines=self._engines(),
            unjudged=tuple(dict.fromkeys(unjudged)),
            skipped=tuple(dict.fromkeys(self.skipped)),
            gallery=album(drawn, most=options.shown),
        )

    def _match(self, name: str, base: Bundle, new: Bundle) -> Match:
        options = self.options
        if base.artifact.digest == new.artifact.digest:
            backends, _ = common_backends([new], options.backends, options.engine, most=1)
            return Match(name, base, new, backends, ())
        backends, skipped = common_backends([base, new], options.backends, options.engine)
        self.skipped += skipped
        return Match(name, base, new, backends, options.photos_of(base, self.session.progress))

    def _drawn(self, matches: Sequence[Match]) -> dict[str, Drawn]:
        """Let both arms draw the photos in each backend: one may break what the other keeps."""
        options, progress, found = self.options, self.session.progress, dict[str, Drawn]()
        style = None if options.style is None else read_style(options.style).pixels
        for match in matches:
            others = other_photos(options.references, match.photos, progress=progress)
            names = tuple(photo.fact.name for photo in match.photos)
            photos = tuple(photo.frame for photo in match.photos)
            references = tuple(photo.frame for photo in others)
            progress.start(f"Drawing {match.name}".strip(), len(match.backends))
            for subject, backend in match.subjects.items():
                base = self._pictures(subject, match.base, backend, (*photos, *references))
                new = self._pictures(subject, match.new, backend, photos)
                count = len(photos)
                found[subject] = Drawn(names, photos, base[:count], new, style, base[count:])
                progress.advance(note=subject)
            progress.finish()
        return found

    def _pictures(
        self, subject: str, arm: Bundle, backend: str, frames: Sequence[Pixels]
    ) -> tuple[Pixels, ...]:
        """Let one arm draw, and keep what the quickest frame took."""
        pictures, seconds = list[Pixels](), [self.seconds.get(subject, math.inf)]
        with opened(arm, backend, self.options.engine) as run:
            for frame in frames:
                began = perf_counter()
                pictures.append(run(frame))
                seconds.append(perf_counter() - began)
        self.seconds[subject] = min(seconds)
        return tuple(pictures)

    def _times(self, matches: Sequence[Match], rules: Mapping[Key, Rule]) -> Iterator[Check]:
        """Measure and decide, and yield every figure of the runs; what nobody could take is open."""
        options, session, arms = self.options, self.session, dict[str, Arms]()
        with (
            tempfile.TemporaryDirectory(prefix="stylepress-pairs-") as work,
            session.watch or nullcontext(),
        ):
            for number, one in enumerate(matches):
                frames = frames_file(one.photos, Path(work), f"frames-{number}")
                folders = one.base.artifact.folder, one.new.artifact.folder
                for subject, backend in one.subjects.items():
                    arms[subject] = Arms(*folders, backend, frames, one.name)
            # The fastest first: what users choose, and where the least time shows what is obvious.
            keys = sorted(rules, key=lambda key: self.seconds[key[0]])
            session.progress.say(forecast(options.plan, len(arms)))

            def source(part: LookName, keys: Sequence[Key], pairs: int) -> dict[Key, Paired]:
                figures = {}
                for subject in dict.fromkeys(subject for subject, _ in keys):
                    runs = session.measure(part, arms[subject], pairs)
                    for key in (key for key in keys if key[0] == subject):
                        values = pairs_of(runs, key[1])
                        if values is not None:
                            figures[key] = Paired(*values, rules[key], key[1] in options.gated)
                return figures

            gated = len(arms) * len(options.gated)
            decided = decide(source, keys, plan=options.plan, figures=gated)
        ran = {run.subject for run in session.runs}
        for subject, key in keys:
            why = WHY_NOT.get(key, "not measured") if subject in ran else EARLIER
            why = DISTURBED if subject in session.given_up else why
            verdict = "INCONCLUSIVE" if key in options.gated and why != EARLIER else None
            yield decided.get((subject, key)) or figure(
                key, subject, kind="paired", verdict=verdict, note=why
            )

    def _engines(self) -> dict[str, dict[str, str | int]]:
        """Tell of each engine, of both arms where these differ."""
        told: dict[str, dict[str, str | int]] = {}
        for (subject, arm), engine in self.session.engines.items():
            other = self.session.engines.get((subject, "new" if arm == "base" else "base"), engine)
            told[subject if other == engine else f"{subject}, {arm}"] = engine
        return told

    def _left_open(self, checks: Sequence[Check]) -> Iterator[Skipped]:
        """Yield what has a limit and no verdict, the figures of one reason together."""
        found: dict[str, dict[str, None]] = {}
        for one in checks:
            limit = one.key and self.options.limits.limit(one.key)
            if limit and one.new is None and one.verdict is None:
                found.setdefault(one.note, {})[one.metric] = None
        yield from (Skipped(what=", ".join(names), why=why) for why, names in found.items())


def _equal(match: Match) -> Check:
    subject = match.name or match.new.artifact.name
    note = "both bundles are equal to the last byte; nothing had to be measured"
    return Check(subject=subject, metric="bytes that differ", kind="exact", new=0, limit=0,
                 verdict="PASS", note=note)  # fmt: skip
