"""The whole path as one composition: recipe or checkpoint in, verified bundle out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from stylepress.artifact import Artifact
from stylepress.cache import Cache, cached
from stylepress.device import bundle_in, check_fit, lowered_recipe, lowering_of, notes_on
from stylepress.document import Document
from stylepress.errors import RecipeError
from stylepress.progress import Progress, Silent
from stylepress.recipe import FIRST, FLOAT, Recipe, changed, load_recipe, plain_name
from stylepress.stages import STAGES, Stage, settled, step_identity, step_key
from stylepress.steps import DistilStep, EngineStep, QuantizeStep, Step
from stylepress.work import Work

if TYPE_CHECKING:
    from stylepress.runtime.choice import Choice
    from stylepress.targets.target import Precision, Target
    from stylepress.train.trainer.team import Team

Until = Literal["train", "compress", "export"]
RECIPES = (".yaml", ".yml")
UNTIL: Mapping[Until, tuple[str, ...]] = {
    "train": FIRST,
    "compress": (*FIRST, "distil", "prune", "qat", "shorten"),
    "export": tuple(STAGES),
}
"""The steps that each command does."""


@dataclass(frozen=True)
class BuildOptions:
    """What the command line adds to a recipe, and where the results go.

    ``as_is`` makes a bundle of a checkpoint's own network, without a student. ``precision`` is
    that of the bundle; None for the recipe's (INT8 where photos are named). ``low``, ``high`` and
    ``bgr`` say what a checkpoint's images are, where its family is not to be believed;
    ``statistics`` and ``sampling`` what its weights leave open. ``environ``
    is where torchrun says how many processes train together, and where standard weights are looked
    for; ``home`` is the user's folder. ``here`` is the target that this machine is: what it
    measures says nothing of another; None where that is not known. ``pictures`` is a folder where
    what teachers drew is kept for other builds.
    """

    out: Path | None = None
    photos: Path | None = None
    style: Path | None = None
    target: str | None = None
    preset: str | None = None
    as_is: bool = False
    precision: Precision | None = None
    image: tuple[float, float] | None = None
    bgr: bool = False
    statistics: str | None = None
    sampling: int | None = None
    device: str = "auto"
    resume: bool = False
    cache: Cache | None = None
    until: Until = "export"
    environ: Mapping[str, str] = field(default_factory=dict)
    home: Path = Path()
    here: Target | None = None
    pictures: Path | None = None


@dataclass(frozen=True)
class BuildResult:
    """What was built, in the order it was built, and what of it had been built before."""

    out: Path
    artifacts: Mapping[str, Artifact]
    reused: frozenset[str]
    choice: Choice | None = None
    notes: tuple[str, ...] = ()

    @property
    def teacher(self) -> Artifact:
        """The teacher's checkpoint."""
        return self.artifacts["teacher"]

    @property
    def student(self) -> Artifact:
        """The folded student's checkpoint."""
        return self.artifacts["student"]

    @property
    def float_bundle(self) -> Artifact:
        """The float bundle, which an INT8 bundle is compared with."""
        return self.artifacts.get(FLOAT) or self.bundle

    @property
    def bundle(self) -> Artifact:
        """What is copied to a device."""
        return self.artifacts["bundle"]

    def record(self) -> dict[str, Any]:
        """Return the result as plain values, for ``--json``."""
        return {
            "out": str(self.out),
            "artifacts": {
                name: {
                    "folder": str(artifact.folder),
                    "kind": artifact.kind,
                    "digest": artifact.digest,
                    "size_bytes": artifact.size_bytes,
                    "numbers": dict(artifact.numbers),
                    "reused": name in self.reused,
                }
                for name, artifact in self.artifacts.items()
            },
            "backend": self.choice.backend if self.choice else None,
            "median_ms": dict(self.choice.median_ms) if self.choice else {},
            "notes": list(self.notes),
        }

    def summary(self) -> str:
        """Return what a person wants to know, a line each."""
        lines = []
        for name, artifact in self.artifacts.items():
            numbers = ", ".join(f"{key} {value:.4g}" for key, value in artifact.numbers.items())
            reused = " (reused)" if name in self.reused else ""
            size = f"{artifact.size_bytes / 1e6:.2f} MB"
            lines.append(f"{name:8} {artifact.folder}  {size}{reused}  {numbers}")
        if self.choice:
            times = ", ".join(f"{name} {ms:.1f} ms" for name, ms in self.choice.median_ms.items())
            lines.append(f"fastest here: {self.choice.backend} ({times})")
        lines += self.notes
        if self.artifacts and self.reused == set(self.artifacts):
            lines.append("Nothing to do: everything was built before from the same inputs.")
        return "\n".join(lines)


def build(source: Path, *, options: BuildOptions, progress: Progress) -> BuildResult:
    """Build everything ``source`` asks for, as far as ``options.until``, into ``options.out``.

    ``source`` is a recipe, a weights file, or a checkpoint folder; to distil from the latter two
    needs ``options.photos``. A bundle is lowered to the target, and nothing else. Steps that were
    built before from the same inputs, by the same code and tools, are taken from the cache.

    Raises:
        StylepressError: any step that cannot be done, with the mend.
    """
    bundle = bundle_in(source)
    recipe = (
        lowering_of(bundle, options.target, photos=options.photos, fp16=options.precision == "fp16")
        if bundle
        else resolved(source, options)
    )
    return build_recipe(recipe, options=options, progress=progress, source=bundle)


def build_recipe(
    recipe: Recipe, *, options: BuildOptions, progress: Progress, source: Artifact | None = None
) -> BuildResult:
    """Do the steps of a recipe; the first works on ``source``. What it says is not changed.

    Raises:
        StylepressError: any step that cannot be done, with the mend.
    """
    out = options.out or Path("runs") / recipe.name
    if int(options.environ.get("WORLD_SIZE", "1")) == 1:
        return _Build(recipe, out, options, progress).run(source)
    from stylepress.train.trainer.team import joined_team

    with joined_team(options.environ) as team:
        return _Build(recipe, out, options, progress if team.leads else Silent(), team).run(source)


def resolved(source: Path, options: BuildOptions) -> Recipe:
    """Return the recipe that ``source`` and the options on the command line amount to.

    Raises:
        RecipeError: a checkpoint without photos, or a recipe that does not hold.
    """
    if source.suffix.lower() in RECIPES:
        return _adapted(load_recipe(source), options)
    if not source.exists():
        raise RecipeError(
            f"{source} does not exist.",
            "Name a recipe (.yaml), a checkpoint (.pth, .safetensors) "
            "or a folder that stylepress wrote.",
        )
    precision = options.precision or ("int8" if options.photos else "fp32")
    if options.photos is None and (precision == "int8" or not options.as_is):
        what = "to calibrate INT8 with" if options.as_is else "to distil and calibrate with"
        how = "without `--precision int8`" if options.as_is else "with `--as-is`"
        raise RecipeError(
            f"{source} is a checkpoint, and no photos were named {what}.",
            f"Add `--photos DIR` (a dozen varied photos are enough to begin), or make a float "
            f"bundle of the network as it is {how}.",
        )
    low, high = options.image or (None, None)
    load = {
        "step": "load",
        "checkpoint": str(source.absolute()),
        "low": low,
        "high": high,
        "order": "bgr" if options.bgr else None,
        "statistics": options.statistics,
        "sampling": options.sampling,
    }
    steps: list[dict[str, Any]] = [load]
    if not options.as_is:
        steps.append({"step": "distil", "preset": options.preset or "base"})
    steps.append({"step": "export"})
    if precision == "int8":
        steps.append({"step": "quantize", "keep_float": "ends" if options.as_is else "none"})
    values = {"name": plain_name(source.stem), "steps": steps, **_shared(options)}
    return Document("the options on the command line", values).parse(Recipe)


def _shared(options: BuildOptions) -> dict[str, Any]:
    """Return the keys of a recipe that the command line gives, as they stand in a file."""
    values = {
        "photos": options.photos and str(options.photos.absolute()),
        "style": options.style and str(options.style.absolute()),
        "target": options.target,
    }
    return {key: value for key, value in values.items() if value}


def _adapted(recipe: Recipe, options: BuildOptions) -> Recipe:
    """Return the recipe with what the command line says instead."""
    values = _shared(options)
    steps = list(recipe.steps)
    if options.as_is:
        steps = [step for step in steps if not isinstance(step, DistilStep)]
    if options.preset:
        steps = [
            step.model_copy(update={"preset": options.preset})
            if isinstance(step, DistilStep)
            else step
            for step in steps
        ]
    if options.precision in ("fp32", "fp16"):
        steps = [step for step in steps if not isinstance(step, QuantizeStep)]
    elif options.precision == "int8" and not any(isinstance(s, QuantizeStep) for s in steps):
        steps.append(QuantizeStep())
    if tuple(steps) != recipe.steps:
        values["steps"] = [step.model_dump(mode="json", exclude_none=True) for step in steps]
    return changed(recipe, **values) if values else recipe


class _Build:
    """One run of ``build``: the recipe, the folder, and what was built so far."""

    def __init__(
        self,
        recipe: Recipe,
        out: Path,
        options: BuildOptions,
        progress: Progress,
        team: Team | None = None,
    ) -> None:
        self.team = team
        self.recipe, self.out, self.options, self.progress = recipe, out, options, progress
        self.artifacts: dict[str, Artifact] = {}
        self.reused: set[str] = set()
        self._digests: dict[Path, str] = {}
        self._shared: dict[str, Any] = {}

    def run(self, source: Artifact | None = None) -> BuildResult:
        """Do the steps in their order, as far as asked; the first works on ``source``."""
        from stylepress.targets.detect import fits
        from stylepress.targets.engines import ENGINES
        from stylepress.targets.target import load_target, usable_engines

        target, here = load_target(self.recipe.target), self.options.here
        measured = here is None or fits(target, here)
        # Said before hours of training, not after. Another device has its own engines.
        anywhere = "tensorrt_rtx" in target.engines
        engines = usable_engines(target) if measured or anywhere else ()
        if anywhere and "tensorrt_rtx" not in engines:
            install = ENGINES["tensorrt_rtx"].install
            self.progress.warn(f"No plan is compiled; with `{install}` one would be.")
        for caveat in target.caveats():
            self.progress.warn(caveat)
        recipe = lowered_recipe(self.recipe, target, fp16=self.options.precision == "fp16")
        steps = [step for step in recipe.plan() if step.step in UNTIL[self.options.until]]
        check_fit(steps, target, self.options.precision)
        if "tensorrt_rtx" in engines and self.options.until == "export":
            steps.append(EngineStep(target=self.recipe.target, folder="engine"))
        for step in steps:
            source = self._step(source, step)
        bundle = self.artifacts.get("bundle")
        leads = self.team is None or self.team.leads
        choice = self._fastest(engines, target.size) if bundle and leads and measured else None
        notes = tuple(notes_on(bundle, target, here if not measured else None)) if bundle else ()
        return BuildResult(self.out, self.artifacts, frozenset(self.reused), choice, notes)

    def _step(self, source: Artifact | None, step: Step) -> Artifact:
        """Do one step, or take its result from the cache."""
        stage, name = STAGES[step.step], step.folder or step.step
        parents = [source.digest] if source else [self.recipe.name]
        options = self.options
        step = settled(step, env=options.environ, home=options.home, progress=self.progress)
        identity = step_identity(step, parents, self._digests)
        work = Work(
            name=self.recipe.name,
            folder=self.out / ".training" / name,
            board=self.out / "tensorboard" / name,
            identity=identity,
            resume=options.resume,
            device=self.recipe.device if options.device == "auto" else options.device,
            environ=options.environ,
            home=options.home,
            progress=self.progress,
            shared=self._shared,
            pictures=options.pictures,
        )
        artifact, reused = self._together(
            stage,
            step_key(identity),
            self.out / name,
            lambda folder: stage.run(source, step, folder, work),
        )
        self.artifacts[name] = artifact
        if reused:
            self.reused.add(name)
            self.progress.say(f"{name}: built before, taken from the cache.")
        return artifact

    def _together(
        self, stage: Stage, key: str, out: Path, make: Callable[[Path], Artifact]
    ) -> tuple[Artifact, bool]:
        """Return the artifact of ``key``, and whether it was there already.

        In a team the first process looks into the cache and tells the others whether to help; they
        read what it wrote.
        """
        team = self.team
        if team is not None and not team.leads:
            if team.any(False) and stage.together:
                make(out)
            team.wait()
            return Artifact.load(out), False

        def announced(folder: Path) -> Artifact:
            if team is not None:
                team.any(True)
            return make(folder)

        cache, progress = self.options.cache, self.progress
        artifact, reused = cached(
            cache, key, out, kind=stage.kind, build=announced, progress=progress
        )
        if team is not None:
            if reused:
                team.any(False)
            team.wait()
        return artifact, reused

    def _fastest(self, engines: tuple[str, ...], size: tuple[int, int]) -> Choice | None:
        """Measure the target's engines that run here and remember the winner for this machine."""
        from stylepress.runtime.backends import EngineOptions, usual
        from stylepress.runtime.bundle import read_bundle
        from stylepress.runtime.choice import fastest, remembered

        here = [engine for engine in engines if engine in usual()]
        if not here:
            return None
        bundle, options = read_bundle(self.artifacts["bundle"].folder), EngineOptions(size=size)
        cache = self.options.cache
        known = remembered(bundle, size=size, options=options, cache=cache, candidates=here)
        if known is not None:
            return known
        choice, engine = fastest(
            bundle,
            size=size,
            options=options,
            cache=cache,
            candidates=here,
            progress=self.progress,
        )
        engine.close()
        return choice
