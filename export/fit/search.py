"""`stylepress fit`: short trainings of many students, long ones of the best, and what came of it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from time import monotonic

from stylepress.build import BuildOptions, BuildResult, Until, build_recipe
from stylepress.errors import BackendError, RecipeError, TrainingError
from stylepress.export.fit.candidate import Candidate, Precision, presets
from stylepress.export.fit.judging import bundle_drift
from stylepress.export.fit.latency import LatencyTable, Timer, quiet_ms, read_table, timer_on
from stylepress.export.fit.study import Study, Trial
from stylepress.progress import Progress
from stylepress.recipe import Recipe, changed
from stylepress.runtime.backends import BACKENDS, EngineOptions, open_engine
from stylepress.runtime.bundle import read_bundle
from stylepress.runtime.machine import machine
from stylepress.steps import DistilStep, ExportStep, QuantizeStep, Step
from stylepress.targets.detect import fits
from stylepress.targets.target import Target, load_target, usable_engines

SLACK = 1.1
"""A student is trained although it is predicted this much too slow: the table errs."""
JUDGES = ("fidelity_effnet", "fidelity_vgg")
"""Whose figure is the drift: first the judge that no training minimises."""


@dataclass(frozen=True)
class Budget:
    """What is asked for: time of one frame on the target's engine, and drift (0 is a copy)."""

    latency_ms: float
    drift: float

    def holds(self, latency_ms: float, drift: float) -> bool:
        """Say whether both are met."""
        return latency_ms <= self.latency_ms and drift <= self.drift


@dataclass(frozen=True)
class Effort:
    """How long to search: trials, minutes of them, steps of each, and how many are trained on."""

    trials: int = 24
    minutes: float | None = None
    short_steps: int | None = None
    best: int = 3


@dataclass(frozen=True)
class Finalist:
    """A student trained in full: measured, not predicted."""

    candidate: Candidate
    predicted_ms: float
    measured_ms: float
    drift: float
    bundle: Path
    preset: str = ""


@dataclass(frozen=True)
class Fit:
    """What a search found."""

    budget: Budget
    backend: str
    size: tuple[int, int]
    tried: Sequence[Trial]
    finalists: Sequence[Finalist]

    @property
    def best(self) -> Finalist | None:
        """The finalist inside the budget with the least drift."""
        inside = [f for f in self.finalists if self.budget.holds(f.measured_ms, f.drift)]
        return min(inside, key=lambda finalist: finalist.drift, default=None)

    def verdict(self) -> str:
        """Say what was found, or how near the search came."""
        budget = self.budget
        asked = f"{budget.latency_ms:g} ms and drift {budget.drift:g}"
        if self.best is not None:
            best = self.best
            return (
                f"{best.candidate.key} is inside {asked}: {best.measured_ms:.2f} ms, drift "
                f"{best.drift:.3f}. It lies in {best.bundle}."
            )
        if not self.finalists:
            fastest = min(self.tried, key=lambda tried: tried.latency_ms, default=None)
            near = (
                f"the fastest, {fastest.candidate.key}, is predicted at {fastest.latency_ms:.2f} ms"
                if fastest
                else "no trial was done"
            )
            return f"Nothing is inside {asked}: {near}."
        nearest = min(self.finalists, key=lambda f: _excess(f, budget))
        return (
            f"Nothing is inside {asked}. The nearest, {nearest.candidate.key}, takes "
            f"{nearest.measured_ms:.2f} ms ({nearest.measured_ms / budget.latency_ms:.2f} of what "
            f"is allowed) and drifts by {nearest.drift:.3f} ({nearest.drift / budget.drift:.2f}). "
            f"{_obstacle(self.finalists, budget)}"
        )


def _obstacle(finalists: Sequence[Finalist], budget: Budget) -> str:
    """Say which half of a budget that nobody is inside cannot be met."""
    fastest = min(finalist.measured_ms for finalist in finalists)
    least = min(finalist.drift for finalist in finalists)
    if fastest > budget.latency_ms:
        return f"None that was trained is fast enough: the fastest takes {fastest:.2f} ms."
    if least > budget.drift:
        return f"None that was trained drifts so little: the least is {least:.3f}. Train longer."
    return "Each half is met by some student, and no student meets both."


def _excess(finalist: Finalist, budget: Budget) -> float:
    return max(finalist.measured_ms / budget.latency_ms, finalist.drift / budget.drift)


def front(tried: Sequence[Trial]) -> list[Trial]:
    """Return those that no other beats in both time and drift, the fastest first."""
    trained = [trial for trial in tried if trial.drift is not None]
    ordered = sorted(trained, key=lambda trial: (trial.latency_ms, trial.drift or 0.0))
    kept: list[Trial] = []
    for trial in ordered:
        if not kept or (trial.drift or 0.0) < (kept[-1].drift or 0.0):
            kept.append(trial)
    return kept


def fit(
    recipe: Recipe,
    budget: Budget,
    effort: Effort,
    *,
    options: BuildOptions,
    storage: str | None = None,
    timer: Timer | None = None,
    progress: Progress,
) -> Fit:
    """Search for the best student of a recipe inside a budget, and build the best few.

    The recipe's own steps are what each student goes through; only size and precision change.
    The search goes on where an earlier one of the same recipe and target stopped. ``timer`` times
    what the latency table lacks; default the target's engine on this machine.

    Raises:
        RecipeError: a recipe without a distillation, or a target that this machine is not.
        OutputError: the storage cannot be used.
    """
    search = _Search(recipe, budget, effort, options, timer, progress)
    study = Study(
        storage or f"sqlite:///{(search.out / 'search.db').absolute()}",
        search.identity,
        seed=recipe.seed,
        precisions=search.precisions,
    )
    again = study.take_up()
    if again:
        progress.say(f"{again} trials that a process had begun and not finished are done again.")
    study.begin_with([candidate for _, candidate in presets(search.precisions)])
    search.trials(study)
    tried = study.tried()
    return Fit(budget, search.backend, search.size, tried, search.finals(tried))


class _Search:
    """One run of ``fit``: what stays the same over its trials."""

    def __init__(
        self,
        recipe: Recipe,
        budget: Budget,
        effort: Effort,
        options: BuildOptions,
        timer: Timer | None,
        progress: Progress,
    ) -> None:
        self.recipe, self.budget, self.effort = recipe, budget, effort
        self.options, self.progress = options, progress
        self.out = options.out or Path("runs") / f"{recipe.name}-fit"
        self.out.mkdir(parents=True, exist_ok=True)
        self.distil = _distillation(recipe)
        target = load_target(recipe.target)
        self.backend, self.size = _engine(target, options.here), target.size
        quantize = next((step for step in recipe.steps if isinstance(step, QuantizeStep)), None)
        self.precisions = _precisions(quantize)
        self.keep_float = quantize.keep_float if quantize else "none"
        self.table = self._table(timer)
        self.steps = effort.short_steps or max(20, self.distil.steps // 10)

    @property
    def identity(self) -> str:
        """Name what the trials of one study have in common."""
        said = self.recipe.model_dump(mode="json", exclude={"name"})
        chosen = [said, self.steps, self.backend, self.size, self.precisions]
        text = json.dumps(chosen, sort_keys=True)
        return f"{self.recipe.name}-{hashlib.sha256(text.encode()).hexdigest()[:12]}"

    def trials(self, study: Study) -> None:
        """Do as many trials as are lacking, as long as there is time."""
        began, effort = monotonic(), self.effort
        self.progress.start("Trying students", effort.trials)
        self.progress.advance(min(effort.trials, study.count))
        known = {tried.candidate.key: tried for tried in study.tried()}
        self.progress.say(f"{'student':28} {'predicted':>10} {'drift':>7}")
        while study.count < effort.trials:
            if effort.minutes is not None and monotonic() - began > 60 * effort.minutes:
                self.progress.say(f"{effort.minutes:g} minutes are over.")
                break
            number, candidate = study.ask()
            tried = known.get(candidate.key) or self._trial_of(candidate)
            study.tell(number, tried)
            known[candidate.key] = tried
            drift = "" if tried.drift is None else f"{tried.drift:7.3f}"
            line = f"{candidate.key:28} {tried.latency_ms:7.2f} ms {drift} {tried.note}"
            self.progress.say(line.rstrip())
            self.progress.advance()
        self.progress.finish()

    def _trial_of(self, candidate: Candidate) -> Trial:
        predicted = self.table.predict(candidate)
        self.table.save(self.out / "latency.json")
        if predicted > SLACK * self.budget.latency_ms:
            return Trial(candidate, predicted, None, "too slow, not trained")
        short = self._variant(candidate, self.steps, export=False)
        try:
            result = self._built(short, self.out / "trials" / candidate.key, until="compress")
        except TrainingError as error:
            return Trial(candidate, predicted, None, error.wrong)
        return Trial(candidate, predicted, _drift(result.student.numbers))

    def finals(self, tried: Sequence[Trial]) -> list[Finalist]:
        """Train the best few in full, build their bundles and measure them."""
        named = {candidate.key: name for name, candidate in presets(self.precisions)}
        wanted = sorted(front(tried), key=lambda trial: trial.drift or 0.0)[: self.effort.best]
        finalists = []
        for trial in wanted:
            recipe = self._variant(trial.candidate, self.distil.steps, export=True)
            result = self._built(recipe, self.out / trial.candidate.key, until="export")
            finalists.append(self._judged(trial, result, named.get(trial.candidate.key, "")))
        return finalists

    def _judged(self, trial: Trial, result: BuildResult, preset: str) -> Finalist:
        bundle = read_bundle(result.bundle.folder)
        engine = open_engine(bundle, self.backend, options=EngineOptions(size=self.size))
        try:
            measured = quiet_ms(engine, self.size)
        finally:
            engine.close()
        photos = self.recipe.photos
        if photos is None:
            raise RecipeError("Drift is judged on photos.", "Add `photos: FOLDER` to the recipe.")
        drift, judge = bundle_drift(
            result, self.backend, photos, self.options, progress=self.progress
        )
        key = trial.candidate.key
        self.progress.say(f"{key}: {measured:.2f} ms measured, drift {drift:.3f} by {judge}")
        return Finalist(
            trial.candidate, trial.latency_ms, measured, drift, bundle.artifact.folder, preset
        )

    def _variant(self, candidate: Candidate, steps: int, *, export: bool) -> Recipe:
        """Return the recipe with another student, trained for so many steps."""
        size = candidate.values()
        size.pop("precision")
        kept: list[Step] = []
        for step in self.recipe.steps:
            if isinstance(step, DistilStep):
                step = step.model_copy(update={"steps": steps, "start": None})
            elif isinstance(step, QuantizeStep) and candidate.precision == "fp32":
                continue
            elif isinstance(step, QuantizeStep) and candidate.precision == "mixed":
                step = step.model_copy(update={"keep_float": "ends"})
            kept.append(step)
        if export and not any(isinstance(step, ExportStep) for step in kept):
            kept.append(ExportStep())
        values = [step.model_dump(mode="json", exclude_none=True) for step in kept]
        for value in values:
            if value["step"] == "distil":
                value["size"] = size
        return changed(self.recipe, steps=values)

    def _built(self, recipe: Recipe, out: Path, *, until: Until) -> BuildResult:
        options = replace(
            self.options,
            out=out,
            until=until,
            resume=True,
            target=None,
            pictures=self.out / "pictures",
        )
        return build_recipe(recipe, options=options, progress=self.progress)

    def _table(self, timer: Timer | None) -> LatencyTable:
        place = self.out / "latency.json"
        timer = timer or timer_on(self.backend, self.size, self.keep_float, self.progress)
        if place.exists():
            table = read_table(place)
            if (table.backend, table.size) == (self.backend, self.size):
                table.timer = timer
                return table
        return LatencyTable(self.backend, self.size, timer)


def _distillation(recipe: Recipe) -> DistilStep:
    steps = [step for step in recipe.steps if isinstance(step, DistilStep)]
    if len(steps) != 1:
        raise RecipeError(
            f"The recipe {recipe.name} distils {len(steps)} times, and a search needs the one step "
            f"whose student it may choose.",
            "Write one `distil` step.",
        )
    return steps[0]


def _precisions(quantize: QuantizeStep | None) -> tuple[Precision, ...]:
    """Return what may be chosen, the fastest last."""
    if quantize is None:
        return ("fp32",)
    # Where the recipe keeps its ends in float, that is what its INT8 is.
    return ("fp32", "mixed", "int8") if quantize.keep_float == "none" else ("fp32", "int8")


def _engine(target: Target, here: Target | None) -> str:
    """Return the engine of a target that times are taken on.

    Raises:
        RecipeError: this machine is another target.
        BackendError: none of its engines runs here.
    """
    if here is not None and not fits(target, here):
        raise RecipeError(
            f"Times of {target.full_name} are measured on it, and this machine is {here.full_name}.",
            "Run the search there, or choose the target that this machine is.",
        )
    engines = [name for name in usable_engines(target) if name in BACKENDS]
    if not engines:
        raise BackendError(
            f"No engine of {target.full_name} runs on {machine().get('processor', 'this machine')}.",
            "Run `stylepress doctor`, which says what to install.",
        )
    return engines[0]


def _drift(numbers: Mapping[str, float]) -> float:
    for name in JUDGES:
        if name in numbers:
            return numbers[name]
    raise RecipeError(
        "Nobody can judge how far a student drifts.",
        "Run `pip install 'stylepress[judge]'`, and search again.",
    )


def lines(result: Fit) -> Iterator[str]:
    """Yield what a person wants to read of a search."""
    if result.finalists:
        yield f"{'student':28} {'predicted':>10} {'measured':>10} {'drift':>7}"
    for finalist in result.finalists:
        named = f"  preset {finalist.preset}" if finalist.preset else ""
        yield (
            f"{finalist.candidate.key:28} {finalist.predicted_ms:7.2f} ms "
            f"{finalist.measured_ms:7.2f} ms {finalist.drift:7.3f}{named}"
        )
    yield result.verdict()
