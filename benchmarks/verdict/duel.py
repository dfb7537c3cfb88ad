"""Bundles against each other, from beginning to end: golden pairs, pictures, pairs of runs, verdict."""

from __future__ import annotations

import tempfile
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter

from stylepress import __version__
from stylepress.benchmarks.check import Check, reasons_of, together
from stylepress.benchmarks.engines import bundle_pairs, common_backends, golden_check
from stylepress.benchmarks.gate import figure
from stylepress.benchmarks.machine.record import Machine, record_machine
from stylepress.benchmarks.machine.timeline import Curves, Window
from stylepress.benchmarks.part import Skipped
from stylepress.benchmarks.quality.bundles import other_photos
from stylepress.benchmarks.quality.gallery import album
from stylepress.benchmarks.quality.judges import BLIND, JUDGES, Drawn, judged
from stylepress.benchmarks.quality.photos import Photo, Style, read_style
from stylepress.benchmarks.timing.systems import check_threads, opened
from stylepress.benchmarks.verdict.comparison import Comparison, Mode, side_of, sizes
from stylepress.benchmarks.verdict.rule import Key, Paired, Rule, decide
from stylepress.benchmarks.verdict.runs import WHY_NOT, LookName, Run, pairs_of, subject_of, tail
from stylepress.benchmarks.verdict.session import QUIETER, Arms, Ask, Session, Watch
from stylepress.benchmarks.verdict.terms import DuelOptions, forecast, frames_file, rules_of
from stylepress.progress import Progress
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
    """Two bundles of one name, and the photos that both draw."""

    name: str
    base: Bundle
    new: Bundle
    backends: tuple[str, ...]
    photos: Sequence[Photo]

    @property
    def same(self) -> bool:
        """Whether both are the same to the last byte."""
        return self.base.artifact.digest == self.new.artifact.digest

    @property
    def subjects(self) -> dict[str, str]:
        """What is measured of them, and its backend."""
        return {subject_of(self.name, backend): backend for backend in self.backends}


def duel(
    base: Path,
    new: Path,
    *,
    options: DuelOptions,
    progress: Progress,
    watch: Watch | None = None,
    ask: Ask | None = None,
) -> Comparison:
    """Compare two bundles, or those of one name in two folders.

    The new one's golden pairs come first, then pictures, then interleaved runs in fresh processes;
    what has failed is not measured further, unless the plan is ``complete``. What is equal to the
    last byte passes at once. A backend in which others spoil pairs for longer than the plan is
    patient stays open.

    Raises:
        ArtifactError, BackendError, FrameError: a bundle cannot be loaded, or runs nowhere here.
        RecipeError: the settings cannot lead to a verdict.
        RunError: a run failed.
    """
    check_threads(options.engine, progress)
    pairs = bundle_pairs(base, new)
    return _Duel(pairs, options, progress, watch=watch, ask=ask).comparison()


def lone(new: Path, *, why: str, options: DuelOptions, progress: Progress) -> Comparison:
    """Say what can be said of a bundle that there is no baseline for: whether its golden pairs hold.

    Raises:
        ArtifactError, BackendError: it cannot be loaded, or runs nowhere here.
    """
    bundle = read_bundle(new)
    backends, skipped = common_backends([bundle], options.backends, options.engine)
    checks = tuple(_golden(bundle, "", backends, options))
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
        checks=checks,
        skipped=skipped,
    )


@dataclass
class _Duel:
    """A comparison under way."""

    pairs: Mapping[str, tuple[Bundle, Bundle]]
    options: DuelOptions
    progress: Progress
    watch: Watch | None = None
    ask: Ask | None = None
    skipped: list[Skipped] = field(default_factory=list)
    sessions: list[Session] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)

    def comparison(self) -> Comparison:
        machine = record_machine(self.options.environ)
        matches = [self._match(name, *both) for name, both in self.pairs.items()]
        checks = [
            check
            for match in matches
            for check in _golden(match.new, match.name, match.backends, self.options)
        ]
        failed = any(one.verdict == "FAIL" for one in checks)
        old, made = zip(*self.pairs.values(), strict=True)
        sides = side_of(old, self.options.labels[0]), side_of(made, self.options.labels[1])
        checks += sizes(*sides, self.options.limits)
        different = [match for match in matches if not match.same]
        checks += [_equal(match) for match in matches if match.same]
        drawn: dict[str, Drawn] = {}
        unjudged = [BLIND] if self.options.judges else [BLIND, NO_DRIFT]
        mode: Mode = "not measured"
        if failed:
            unjudged = [Skipped(what="pictures, times and memory", why=REFUSED)]
        elif different:
            style = None if self.options.style is None else read_style(self.options.style)
            drawn = self._drawn(different, style)
            checks += judged(drawn, (*JUDGES, *self.options.judges), self.options.limits)
            failed = any(one.verdict == "FAIL" for one in checks)
            if failed and not self.options.plan.complete:
                unjudged.append(NOT_TIMED)
            else:
                mode = "fresh processes"
                checks = [*self._times(different, machine), *checks]
        unjudged += self._left_open(checks)
        photos = different[0].photos if different else ()
        counted = sum(len(match.backends) for match in different) * len(self.options.gated)
        return Comparison(
            tool=f"stylepress {__version__}",
            created=self.options.created,
            mode=mode,
            base=sides[0],
            new=sides[1],
            verdict=together(checks),
            reasons=(*reasons_of(checks), *self._given_up()),
            settings=self.options.settings(
                tuple(dict.fromkeys(b for match in matches for b in match.backends)),
                photos,
                figures=counted,
                watched=self.watch is not None,
            ),
            machine=machine,
            checks=tuple(checks),
            runs=tuple(self._runs()),
            curves=self._curves(),
            engines=dict(self._engines()),
            unjudged=tuple(dict.fromkeys(unjudged)),
            skipped=tuple(dict.fromkeys(self.skipped)),
            gallery=album(drawn, most=self.options.shown),
        )

    def _match(self, name: str, base: Bundle, new: Bundle) -> Match:
        options = self.options
        both = [new] if base.artifact.digest == new.artifact.digest else [base, new]
        backends, skipped = common_backends(both, options.backends, options.engine)
        self.skipped += skipped
        photos = () if len(both) == 1 else options.photos_of(base, self.progress)
        return Match(name, base, new, backends, photos)

    def _drawn(self, matches: Sequence[Match], style: Style | None) -> dict[str, Drawn]:
        """Let both arms draw the photos in each backend: one may break what the other keeps."""
        options, found = self.options, dict[str, Drawn]()
        for match in matches:
            references = other_photos(options.references, match.photos, progress=self.progress)
            steps = 2 * len(match.photos) + len(references)
            self.progress.start(f"Drawing {match.name}".strip(), steps * len(match.backends))
            for subject, backend in match.subjects.items():
                drawings, began = [], perf_counter()
                for arm, more in ((match.base, references), (match.new, [])):
                    with opened(arm, backend, options.engine) as run:
                        frames = [photo.frame for photo in (*match.photos, *more)]
                        drawings.append(tuple(map(run, frames)))
                    self.progress.advance(len(frames), note=f"{arm.artifact.name} in {backend}")
                self.seconds[subject] = perf_counter() - began
                count = len(match.photos)
                found[subject] = Drawn(
                    names=tuple(photo.fact.name for photo in match.photos),
                    photos=tuple(photo.frame for photo in match.photos),
                    base=drawings[0][:count],
                    new=drawings[1],
                    style=None if style is None else style.pixels,
                    references=drawings[0][count:],
                )
            self.progress.finish()
        return found

    def _times(self, matches: Sequence[Match], machine: Machine) -> list[Check]:
        """Measure and decide; where the machine lets nobody measure, nothing is decided."""
        options, plan = self.options, self.options.plan
        every = {name: backend for match in matches for name, backend in match.subjects.items()}
        # The fastest first: what users choose, and where the least time shows what is obvious.
        subjects = {name: every[name] for name in sorted(every, key=self.seconds.__getitem__)}
        rules = rules_of(subjects, options, machine)
        self.progress.say(forecast(plan, len(subjects)))
        with tempfile.TemporaryDirectory(prefix="stylepress-pairs-") as work:
            own = {
                subject: session
                for number, match in enumerate(matches)
                for session in [self._session(match, Path(work), number)]
                for subject in match.subjects
            }

            def source(part: LookName, keys: Sequence[Key], pairs: int) -> dict[Key, Paired]:
                figures = {}
                for subject in dict.fromkeys(subject for subject, _ in keys):
                    runs = own[subject].measure(part, [subjects[subject]], pairs)
                    for key in (key for key in keys if key[0] == subject):
                        values = pairs_of(runs, *key)
                        if values is not None:
                            figures[key] = Paired(*values, rules[key], key[1] in options.gated)
                return figures

            decided = decide(
                source,
                list(rules),
                pairs=plan.pairs,
                figures=len(subjects) * len(options.gated),
                extend=plan.extend,
                confirm=plan.confirm,
                complete=plan.complete,
            )
        lost = {name for name, backend in subjects.items() if backend in own[name].given_up}
        return list(self._timed(rules, decided, lost))

    def _session(self, match: Match, work: Path, number: int) -> Session:
        """Open the session of one pair of bundles."""
        frames = frames_file(match.photos, work, f"frames-{number}")
        base, new = match.base.artifact.folder, match.new.artifact.folder
        session = Session(
            Arms({"base": base, "new": new}, frames, self.options.threads, name=match.name),
            self.options.plan,
            environ=self.options.environ,
            progress=self.progress,
            watch=self.watch,
            ask=self.ask,
        )
        self.sessions.append(session)
        return session

    def _timed(
        self, rules: Mapping[Key, Rule], decided: Mapping[Key, Check], lost: Collection[str]
    ) -> Iterator[Check]:
        """Yield every figure of the runs; what nobody could take is open where it is gated."""
        runs = list(self._runs())
        ran = {run.subject for run in runs}
        for subject, key in rules:
            why = WHY_NOT.get(key, "not measured") if subject in ran else EARLIER
            why = DISTURBED if subject in lost else why
            open_ = key in self.options.gated and why != EARLIER
            verdict = "INCONCLUSIVE" if open_ else None
            yield decided.get((subject, key)) or figure(
                key, subject, kind="paired", verdict=verdict, note=why
            )
        yield from (
            tail(runs, one) for one in dict.fromkeys(name for name, _ in rules) if one in ran
        )

    def _runs(self) -> Iterator[Run]:
        """All runs, on the clock of the first session."""
        for session in self.sessions:
            late_s = (session.began_ns - self.sessions[0].began_ns) / 1e9
            for run in session.runs:
                moved = {
                    "began_s": (run.began_s or 0) + late_s,
                    "ended_s": (run.ended_s or 0) + late_s,
                }
                yield run.model_copy(update=moved) if late_s else run

    def _curves(self) -> Curves | None:
        if not self.sessions or self.watch is None:
            return None
        window = Window(self.sessions[0].began_ns, max(one.ended_ns for one in self.sessions))
        curves = self.watch.timeline().curves(window)
        return curves if curves.at_s else None

    def _engines(self) -> Iterator[tuple[str, dict[str, str | int]]]:
        """Tell of each engine, of both arms where these differ."""
        for session in self.sessions:
            old, new = session.engines["base"], session.engines["new"]
            for backend, engine in old.items():
                title = subject_of(session.arms.name, backend)
                if new.get(backend, engine) == engine:
                    yield title, engine
                else:
                    yield f"{title}, base", engine
                    yield f"{title}, new", new[backend]

    def _given_up(self) -> Iterator[str]:
        """Say which backends were given up and why, and then what helps."""
        for session in self.sessions:
            for backend, why in session.given_up.items():
                yield f"{subject_of(session.arms.name, backend)} was given up: {why}"
        if any(session.given_up for session in self.sessions):
            yield QUIETER

    def _left_open(self, checks: Sequence[Check]) -> Iterator[Skipped]:
        """Yield what has a limit and no verdict, the figures of one reason together."""
        found: dict[str, dict[str, None]] = {}
        for one in checks:
            limit = one.key and self.options.limits.limit(one.key)
            if limit and one.new is None and one.verdict is None:
                found.setdefault(one.note, {})[one.metric] = None
        yield from (Skipped(what=", ".join(names), why=why) for why, names in found.items())


def _golden(
    bundle: Bundle, name: str, backends: Sequence[str], options: DuelOptions
) -> Iterator[Check]:
    for backend in backends:
        subject = subject_of(name, backend)
        yield golden_check(bundle, backend, threads=options.threads, subject=subject)


def _equal(match: Match) -> Check:
    subject = match.name or match.new.artifact.name
    note = "both bundles are equal to the last byte; nothing had to be measured"
    return Check(subject=subject, metric="bytes that differ", kind="exact", new=0, limit=0,
                 verdict="PASS", note=note)  # fmt: skip
