"""The whole path as one composition: recipe or checkpoint in, verified bundle out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from stylepress.artifact import Artifact, Kind
from stylepress.cache import Cache, build_key, cached, code_version, content_digest
from stylepress.errors import RecipeError
from stylepress.progress import Progress
from stylepress.recipe import Recipe, changed, identity, load_recipe
from stylepress.work import Work

if TYPE_CHECKING:
    from stylepress.runtime.choice import Choice
    from stylepress.targets.target import Target

Until = Literal["train", "compress", "export"]
RECIPES = (".yaml", ".yml")


@dataclass(frozen=True)
class BuildOptions:
    """What the command line adds to a recipe, and where the results go.

    ``environ`` is where torchrun says how many processes train together, and where standard
    weights are looked for; ``home`` is the user's folder.
    """

    out: Path | None = None
    photos: Path | None = None
    style: Path | None = None
    target: str | None = None
    preset: str | None = None
    resume: bool = False
    cache: Cache | None = None
    until: Until = "export"
    environ: Mapping[str, str] = field(default_factory=dict)
    home: Path = Path()


@dataclass(frozen=True)
class BuildResult:
    """What was built, in the order it was built, and what of it had been built before."""

    out: Path
    artifacts: Mapping[str, Artifact]
    reused: frozenset[str]
    choice: Choice | None = None

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
        """The student in float, which the bundle is compared with."""
        return self.artifacts["float"]

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
        if self.artifacts and self.reused == set(self.artifacts):
            lines.append("Nothing to do: everything was built before from the same inputs.")
        return "\n".join(lines)


def build(source: Path, *, options: BuildOptions, progress: Progress) -> BuildResult:
    """Build everything ``source`` asks for, as far as ``options.until``, into ``options.out``.

    ``source`` is a recipe, a weights file, or a checkpoint folder; the latter two need
    ``options.photos``. Steps that were built before from the same inputs, by the same code, are
    taken from the cache.

    Raises:
        StylepressError: any step that cannot be done, with the mend.
    """
    recipe = resolved(source, options)
    out = options.out or Path("runs") / recipe.name
    return _Build(recipe, out, options, progress).run()


def resolved(source: Path, options: BuildOptions) -> Recipe:
    """Return the recipe that ``source`` and the options on the command line amount to.

    Raises:
        RecipeError: a checkpoint without photos, or a recipe that does not hold.
    """
    if source.suffix.lower() in RECIPES:
        given: dict[str, Any] = {
            "photos": options.photos and str(options.photos.absolute()),
            "style": options.style and str(options.style.absolute()),
            "target": options.target,
        }
        recipe = load_recipe(source)
        if options.preset:
            student = recipe.student.model_dump(mode="json") | {"preset": options.preset}
            given["student"] = student
        given = {key: value for key, value in given.items() if value is not None}
        return changed(recipe, **given) if given else recipe
    if not source.exists():
        raise RecipeError(
            f"{source} does not exist. Name a recipe (.yaml), a checkpoint (.pth, .safetensors) "
            f"or a folder that stylepress wrote."
        )
    if options.photos is None:
        raise RecipeError(
            f"{source} is a checkpoint, and no photos were named to distil and calibrate with. "
            f"Add `--photos DIR`; a dozen varied photos are enough to begin."
        )
    return Recipe.for_checkpoint(
        source.absolute(),
        options.photos.absolute(),
        style=options.style.absolute() if options.style else None,
        target=options.target or "cpu",
        preset=options.preset or "base",
    )


class _Build:
    """One run of ``build``: the recipe, the folder, and what was made so far."""

    def __init__(
        self, recipe: Recipe, out: Path, options: BuildOptions, progress: Progress
    ) -> None:
        self.recipe, self.out, self.options, self.progress = recipe, out, options, progress
        self.artifacts: dict[str, Artifact] = {}
        self.reused: set[str] = set()

    def run(self) -> BuildResult:
        """Go along the path, as far as asked."""
        from stylepress.targets.target import load_target, usable_engines

        target = load_target(self.recipe.target)
        engines = usable_engines(target)  # said before hours of training, not after
        self._fits(target)
        photos_digest = content_digest(self.recipe.photos)
        self._teacher(photos_digest)
        if self.options.until in ("compress", "export"):
            self._student(photos_digest)
        choice = None
        if self.options.until == "export":
            self._bundles(photos_digest)
            if "tensorrt_rtx" in engines:
                self._compiled(target)
            choice = self._fastest(engines, target.size)
        return BuildResult(self.out, self.artifacts, frozenset(self.reused), choice)

    def _fits(self, target: Target) -> None:
        opset, precision = self.recipe.export.opset, self.recipe.quantize.precision
        if opset > target.opset_max:
            raise RecipeError(
                f"The recipe exports opset {opset}, and {target.name} reads {target.opset_max} at "
                f"most. Set `export: {{opset: {target.opset_max}}}`."
            )
        if precision not in target.precisions:
            raise RecipeError(
                f"The recipe quantizes to {precision}, and {target.name} runs "
                f"{', '.join(target.precisions)}. Set `quantize: {{precision: ...}}` to one of them."
            )

    def _teacher(self, photos_digest: str) -> None:
        step = self.recipe.training
        if step is None:
            checkpoint = self.recipe.teacher.checkpoint
            if checkpoint is None:
                raise RecipeError("The recipe has no teacher. Add `teacher: {checkpoint: FILE}`.")
            key = ([content_digest(checkpoint)], {"step": "load"})

            def make(folder: Path) -> Artifact:
                from stylepress.train.stage import load_stage

                return load_stage(checkpoint, folder, name=self.recipe.name)

        else:
            told = {"step": "train", "seed": self.recipe.seed, **identity(step)}
            key = ([photos_digest, *self._style_digests()], told)

            def make(folder: Path) -> Artifact:
                from stylepress.train.stage import train_stage

                return train_stage(self.recipe, folder, self._work("teacher"))

        self._step("teacher", "checkpoint", key, make, rooms=("train",))

    def _student(self, photos_digest: str) -> None:
        teacher = self.artifacts["teacher"]
        told = {
            "step": "distil",
            "seed": self.recipe.seed,
            "preset": self.recipe.student.preset,
            **identity(self.recipe.student.distil),
        }
        parents = [teacher.digest, photos_digest, *self._style_digests()]

        def make(folder: Path) -> Artifact:
            from stylepress.compress.stage import distil_stage

            return distil_stage(self.recipe, teacher, folder, self._work("student"))

        self._step("student", "checkpoint", (parents, told), make, rooms=("train", "compress"))

    def _bundles(self, photos_digest: str) -> None:
        from stylepress.export.stage import export_stage, quantize_stage

        student = self.artifacts["student"]
        rooms = ("train", "compress", "export")
        told = {"step": "export", "name": self.recipe.name, **identity(self.recipe.export)}
        self._step(
            "float",
            "bundle",
            ([student.digest, photos_digest], told),
            lambda folder: export_stage(self.recipe, student, folder, self.progress),
            rooms=rooms,
        )
        floating = self.artifacts["float"]
        if self.recipe.quantize.precision == "fp32":
            self.artifacts["bundle"] = floating
            if "float" in self.reused:
                self.reused.add("bundle")
            return
        told = {"step": "quantize", **identity(self.recipe.quantize)}
        self._step(
            "bundle",
            "bundle",
            ([floating.digest, photos_digest], told),
            lambda folder: quantize_stage(self.recipe, floating, folder, self.progress),
            rooms=rooms,
        )

    def _compiled(self, target: Target) -> None:
        """Compile the bundle for a desktop RTX card; the plan stays beside it."""
        from stylepress.export.stage import compile_stage

        bundle = self.artifacts["bundle"]
        self.progress.say(f"Compiling for {target.title}; nothing is run on the card.")
        told = {"step": "compile", "target": target.model_dump(mode="json")}
        self._step(
            "engine",
            "engine",
            ([bundle.digest], told),
            lambda folder: compile_stage(bundle, target, folder),
            rooms=("export",),
        )

    def _fastest(self, engines: tuple[str, ...], size: tuple[int, int]) -> Choice | None:
        """Measure the target's engines that run here and remember the winner for this machine."""
        from stylepress.runtime.backends import BACKENDS, EngineOptions
        from stylepress.runtime.bundle import load_bundle
        from stylepress.runtime.choice import fastest

        here = [engine for engine in engines if engine in BACKENDS]
        if not here:
            return None
        return fastest(
            load_bundle(self.artifacts["bundle"].folder),
            size=size,
            options=EngineOptions(),
            cache=self.options.cache.folder if self.options.cache else None,
            candidates=here,
            progress=self.progress,
        )

    def _style_digests(self) -> list[str]:
        style = self.recipe.style
        if style is None:
            return []
        if style.picture is not None:
            return [content_digest(style.picture)]
        return [f"{style.pattern} {style.seed} {style.size}"]

    def _work(self, name: str) -> Work:
        return Work(
            folder=self.out / ".training" / name,
            board=self.out / "tensorboard" / name,
            resume=self.options.resume,
            environ=self.options.environ,
            home=self.options.home,
            progress=self.progress,
        )

    def _step(
        self,
        name: str,
        kind: Kind,
        key: tuple[list[str], dict[str, Any]],
        make: Callable[[Path], Artifact],
        *,
        rooms: tuple[str, ...],
    ) -> None:
        parents, told = key
        alone = int(self.options.environ.get("WORLD_SIZE", "1")) == 1
        store = self.options.cache if alone else None  # a team must not part at a cache hit
        made, reused = cached(
            store,
            build_key(parents, told, code_version(*rooms)),
            self.out / name,
            kind=kind,
            build=make,
            progress=self.progress,
        )
        self.artifacts[name] = made
        if reused:
            self.reused.add(name)
            self.progress.say(f"{name}: built before, taken from the cache.")
