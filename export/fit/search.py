"""`stylepress fit`: short trainings of many students, long ones of the best, and what came of it."""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from time import monotonic

from stylepress.build import BuildOptions, BuildResult, Until, build_recipe
from stylepress.errors import BackendError, RecipeError, TrainingError
from stylepress.export.fit.candidate import KEEPS, Candidate, Precision, least, presets
from stylepress.export.fit.judging import bundle_drift, student_drift
from stylepress.export.fit.latency import (
    LatencyTable,
    Timer,
    bundle_ms,
    read_table,
    student_bundle,
    timer_on,
)
from stylepress.export.fit.result import Budget, Effort, Finalist, Fit, front
from stylepress.export.fit.study import Study, Trial
from stylepress.progress import Progress
from stylepress.recipe import FOLDERS, Recipe, changed
from stylepress.runtime.backends import BACKENDS
from stylepress.runtime.machine import machine
from stylepress.steps import DistilStep, ExportStep, PruneStep, QuantizeStep, Step
from stylepress.targets.detect import fits
from stylepress.targets.target import Target, load_target, usable_engines
from stylepress.train.weights.checkpoint import load_network

SLACK = 1.1
"""A student is trained although it is predicted this much too slow: the table errs."""
TOO_SLOW = "too slow, not trained"
LEFT_OUT = 5
"""A search ends when so many times the students that were asked for are known."""
REPEATS = 50
"""So many proposals in a row that were tried before end a search: nothing new is near."""
JUDGES = ("fidelity_effnet", "fidelity_vgg")
"""Whose figure is the drift: first the judge that no training minimises."""


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

    The recipe's own steps are what each student goes through; only size, precision and, where
    it prunes, the share of channels change.
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
        keeps=search.keeps,
        limit_ms=SLACK * budget.latency_ms,
    )
    again = study.take_up()
    if again:
        progress.say(f"{again} trials that a process had begun and not finished are done again.")
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
        self.prune = next((step for step in recipe.steps if isinstance(step, PruneStep)), None)
        self.keeps = KEEPS if self.prune is not None else (1.0,)
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
        """Train as many students as are lacking, as long as there is time.

        One that is too slow costs little and is not counted, unless there is nothing else.
        """
        began, effort = monotonic(), self.effort
        # What another budget left out may fit into this one.
        known = {
            tried.candidate.key: tried
            for tried in study.tried()
            if tried.drift is not None or self._too_slow(tried.candidate, tried.latency_ms)
        }
        # What a larger budget trained is known, and does not end the search for faster ones.
        trained = sum(
            tried.drift is not None and tried.latency_ms <= SLACK * self.budget.latency_ms
            for tried in known.values()
        )
        self.progress.start("Trying students", effort.trials)
        self.progress.advance(min(effort.trials, trained))
        first = [least(self.precisions), *(each for _, each in presets(self.precisions))]
        waiting = [candidate for candidate in first if candidate.key not in known]
        self.progress.say(f"{'student':28} {'predicted':>10} {'drift':>7}")
        repeated = 0
        while trained < effort.trials and len(known) < LEFT_OUT * effort.trials:
            if effort.minutes is not None and monotonic() - began > 60 * effort.minutes:
                self.progress.say(f"{effort.minutes:g} minutes are over.")
                break
            if waiting:
                study.next(waiting.pop(0))
            number, candidate = study.ask()
            if candidate.key in known:
                study.tell(number, known[candidate.key])
                repeated += 1
                if repeated == REPEATS:
                    self.progress.say(f"{REPEATS} students in a row were tried before.")
                    break
                continue
            repeated = 0
            tried = self._trial_of(candidate)
            study.tell(number, tried)
            known[candidate.key] = tried
            nothing_less = candidate == first[0] and tried.note == TOO_SLOW and len(self.keeps) == 1
            drift = "" if tried.drift is None else f"{tried.drift:7.3f}"
            line = f"{candidate.key:28} {tried.latency_ms:7.2f} ms {drift} {tried.note}"
            self.progress.say(line.rstrip())
            if tried.note != TOO_SLOW:
                trained += 1
                self.progress.advance()
            if nothing_less:
                self.progress.say("That is the smallest student of all: the others are slower.")
                break
        self.progress.finish()

    def _trial_of(self, candidate: Candidate) -> Trial:
        predicted = self.table.predict(candidate)
        self.table.save(self.out / "latency.json")
        if self._too_slow(candidate, predicted):
            return Trial(candidate, predicted, None, TOO_SLOW)
        short = self._variant(candidate, self.steps, export=False)
        try:
            result = self._built(short, self.out / "trials" / candidate.key, until="compress")
        except TrainingError as error:
            return Trial(candidate, predicted, None, error.wrong)
        if candidate.keep == 1:
            return Trial(candidate, predicted, _drift(result.student.numbers))
        return self._pruned_trial(candidate, result)

    def _too_slow(self, candidate: Candidate, predicted: float) -> bool:
        return predicted * candidate.keep**2 > SLACK * self.budget.latency_ms

    def _pruned_trial(self, candidate: Candidate, result: BuildResult) -> Trial:
        """Time and judge a pruned student: its widths are not known before."""
        pruned = result.artifacts[(self.prune and self.prune.folder) or FOLDERS["prune"]]
        module = load_network(pruned.folder).module
        with tempfile.TemporaryDirectory() as folder:
            bundle = student_bundle(
                module, candidate.precision, Path(folder) / "bundle", self.keep_float
            )
            taken = bundle_ms(bundle.folder, self.backend, self.size)
        drift = student_drift(
            result.teacher, pruned, self._photos(), self.options, progress=self.progress
        )
        return Trial(candidate, taken, drift, "timed, not predicted")

    def _photos(self) -> Path:
        if self.recipe.photos is None:
            raise RecipeError("Drift is judged on photos.", "Add `photos: FOLDER` to the recipe.")
        return self.recipe.photos

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
        measured = bundle_ms(result.bundle.folder, self.backend, self.size)
        drift, judge = bundle_drift(
            result, self.backend, self._photos(), self.options, progress=self.progress
        )
        key = trial.candidate.key
        self.progress.say(f"{key}: {measured:.2f} ms measured, drift {drift:.3f} by {judge}")
        return Finalist(
            trial.candidate, trial.latency_ms, measured, drift, result.bundle.folder, preset
        )

    def _variant(self, candidate: Candidate, steps: int, *, export: bool) -> Recipe:
        """Return the recipe with another student, trained for so many steps."""
        size = candidate.values()
        size.pop("precision")
        size.pop("keep", None)
        kept: list[Step] = []
        for step in self.recipe.steps:
            if isinstance(step, DistilStep):
                step = step.model_copy(update={"steps": steps, "start": None})
            elif isinstance(step, PruneStep):
                if candidate.keep == 1:
                    continue
                share = max(1, round(step.steps * steps / self.distil.steps))
                # What a cut costs is judged here, against the teacher and not the student.
                step = step.model_copy(
                    update={"keep": candidate.keep, "steps": share, "max_drift": 10}
                )
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
