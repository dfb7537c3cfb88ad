"""What to do: an ordered list of steps, and the photos, style and target they share."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import Field, model_validator
from typing_extensions import Self

from stylepress.document import Document, read_document
from stylepress.section import Section
from stylepress.step_fields import Preset, Seed, Style
from stylepress.steps import (
    INHERITED,
    AnyStep,
    DistilStep,
    ExportStep,
    LoadStep,
    ModelStep,
    QuantizeStep,
    Step,
    StylingStep,
    TrainStep,
)

SectionT = TypeVar("SectionT", bound=Section)

FIRST = ("load", "train", "adain", "library", "translate", "sample")
"""The steps that work on no other's result."""
TAKES: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(FIRST, ()),
    "distil": ("load", "train", "translate", "distil", "prune"),
    "prune": ("load", "train", "translate", "distil", "prune"),
    "export": (*FIRST, "distil", "prune"),
    "quantize": ("export",),
    "lower": ("export", "quantize"),
    "engine": ("export", "quantize", "lower"),
}
"""The steps that each step may follow."""
FOLDERS = {
    **dict.fromkeys(FIRST, "teacher"),
    "distil": "student",
    "prune": "pruned",
    **dict.fromkeys(("export", "quantize", "lower"), "bundle"),
    "engine": "engine",
}
"""The folder that each step writes, unless it names one."""
NO_TEACHER = (
    "there is neither a teacher nor a style to train one on. "
    "Add `teacher: {checkpoint: file.pth}`, or `style: picture.png`."
)
FLOAT = "float"
"""The folder of a float bundle that another bundle is made from."""
BEFORE: dict[tuple[str, str], str] = {
    ("export", "quantize"): FLOAT,
    ("export", "lower"): FLOAT,
    ("quantize", "lower"): "int8",
}
"""The folder of a bundle that another is made from, by its own step and the next."""


class Heading(Section):
    """What a recipe says beside its steps, in either form."""

    name: str = Field(
        pattern=r"^[a-z0-9][a-z0-9-]{0,63}$", description="small letters, digits and dashes"
    )
    seed: Seed = 1
    device: str = Field(
        default="auto",
        pattern=r"^(auto|cpu|cuda(:\d+)?)$",
        description="where to train: auto, cpu, cuda or cuda:N; `--device` is stronger",
    )
    photos: Path | None = Field(default=None, description="folder of photos to learn from")
    style: Style | None = Field(default=None, description="picture file, or {pattern: glass}")
    target: str = Field(default="cpu", description="name of a target, or a target file")


class Recipe(Heading):
    """Everything ``stylepress build`` needs to know.

    The steps are done in their order, each with what the one before it wrote. None is obligatory:
    ``load`` and ``export`` alone make a bundle of a network as it is.
    """

    steps: tuple[AnyStep, ...] = Field(min_length=1, description="what to do, in this order")

    @model_validator(mode="after")
    def _steps_follow(self) -> Self:
        before: Step | None = None
        for step in self.steps:
            takes = TAKES[step.step]
            if before is None and takes:
                raise ValueError(
                    f"the first step is `{step.step}`, which has nothing to work on. "
                    f"Begin with `load` or `train`."
                )
            if before is not None and before.step not in takes:
                can = ", ".join(f"`{name}`" for name in takes) or "no other step"
                raise ValueError(
                    f"`{step.step}` follows `{before.step}`, but it works on what comes out of "
                    f"{can}. Change the order of the steps."
                )
            before = step
        for step in self.plan():
            _check_data(step)
        return self

    def plan(self) -> tuple[Step, ...]:
        """Return the steps with photos, style, seed and folder filled in."""
        shared = {key: getattr(self, key) for key in INHERITED}
        used: Counter[str] = Counter()
        steps = []
        for number, step in enumerate(self.steps):
            fields = type(step).model_fields
            update: dict[str, Any] = {
                key: value
                for key, value in shared.items()
                if key in fields and getattr(step, key) is None
            }
            after = self.steps[number + 1].step if number + 1 < len(self.steps) else ""
            usual = BEFORE.get((step.step, after), FOLDERS[step.step])
            folder = step.folder or usual
            used[folder] += 1
            update["folder"] = folder if used[folder] == 1 else f"{folder}-{used[folder]}"
            steps.append(step.model_copy(update=update))
        return tuple(steps)


def _check_data(step: Step) -> None:
    """Say what a step lacks before hours are spent on those before it."""
    if isinstance(step, TrainStep) and step.style is None:
        raise ValueError(NO_TEACHER)
    if isinstance(step, StylingStep | ModelStep | QuantizeStep) and step.photos is None:
        raise ValueError(f"`{step.step}` learns from photos. Add `photos: FOLDER`.")


class ShortTeacher(Section):
    """Where the teacher comes from: a checkpoint, or a training."""

    checkpoint: Path | None = Field(
        default=None, description=".pth, .safetensors, or a folder that stylepress wrote"
    )
    train: TrainStep | None = None

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if self.checkpoint is not None and self.train is not None:
            raise ValueError(
                "a teacher is loaded or trained, not both. Remove `checkpoint` or `train`."
            )
        return self


class ShortStudent(Section):
    """The network that is shipped, and how it learns."""

    preset: Preset = "base"
    distil: DistilStep = DistilStep()


class ShortQuantize(QuantizeStep):
    """Which precision the bundle has, and how its ranges are measured."""

    precision: Literal["int8", "fp32"] = "int8"


class ShortRecipe(Heading):
    """A recipe in its short form: teacher, student, INT8, export, in this order."""

    photos: Path = Field(description="folder of photos to learn from")
    teacher: ShortTeacher = ShortTeacher()
    student: ShortStudent = ShortStudent()
    quantize: ShortQuantize = ShortQuantize()
    export: ExportStep = ExportStep()

    @model_validator(mode="after")
    def _a_teacher_can_be_had(self) -> Self:
        if self.teacher.checkpoint is None and self.style is None:
            raise ValueError(NO_TEACHER)
        return self

    def expanded(self) -> Recipe:
        """Return the same recipe as a list of steps."""
        checkpoint = self.teacher.checkpoint
        first = LoadStep(checkpoint=checkpoint) if checkpoint else self.teacher.train or TrainStep()
        distil = self.student.distil.model_copy(update={"preset": self.student.preset})
        steps: list[Step] = [first, distil, self.export]
        if self.quantize.precision == "int8":
            values = self.quantize.model_dump(exclude={"precision"}, exclude_unset=True)
            sizes = {"verify_sizes": self.export.verify_sizes}
            steps.append(QuantizeStep.model_validate({**sizes, **values}))
        heading = {key: getattr(self, key) for key in Heading.model_fields}
        return Recipe(**heading, steps=tuple(steps))


def load_recipe(path: Path) -> Recipe:
    """Read a recipe in its long or short form; relative paths in it start at its own folder.

    Raises:
        RecipeError: the file cannot be read or does not fit; line, key, value and mend are named.
    """
    folder = path.absolute().parent
    document = read_document(path)
    if "steps" in document.values:
        recipe = document.parse(Recipe)
    else:
        recipe = document.parse(ShortRecipe).expanded()
    recipe = anchored(recipe, folder)
    if Path(recipe.target).suffix in (".yaml", ".yml"):
        return recipe.model_copy(update={"target": str(folder / recipe.target)})
    return recipe


def anchored(section: SectionT, folder: Path) -> SectionT:
    """Return the section with every relative path inside it made absolute from ``folder``."""
    update: dict[str, Any] = {}
    for name in type(section).model_fields:
        value = getattr(section, name)
        if isinstance(value, Section):
            update[name] = anchored(value, folder)
        elif isinstance(value, tuple):
            update[name] = tuple(
                anchored(item, folder) if isinstance(item, Section) else item for item in value
            )
        elif isinstance(value, Mapping):
            update[name] = {
                key: anchored(each, folder) if isinstance(each, Section) else each
                for key, each in value.items()
            }
        elif isinstance(value, Path):
            update[name] = folder / value
    return section.model_copy(update=update)


def changed(recipe: Recipe, **values: Any) -> Recipe:
    """Return the recipe with some of its top-level keys changed, checked again.

    Raises:
        RecipeError: a key or a value that no recipe may hold.
    """
    merged = {**recipe.model_dump(mode="json", exclude_none=True), **values}
    return Document("the options on the command line", merged).parse(Recipe)


def plain_name(text: str) -> str:
    """Turn any text into a name for a recipe.

    >>> plain_name("Candy (v2)"), plain_name("___")
    ('candy-v2', 'model')
    """
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:64].strip("-") or "model"
