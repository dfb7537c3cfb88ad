"""What a target changes in a build: its steps, what is refused at once, and what is said of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from stylepress.artifact import MANIFEST, Artifact
from stylepress.errors import RecipeError
from stylepress.recipe import Recipe
from stylepress.steps import ExportStep, LowerStep, QuantizeStep, Step

if TYPE_CHECKING:
    from stylepress.targets.target import Precision, Target


def lowered_recipe(recipe: Recipe, target: Target, *, fp16: bool = False) -> Recipe:
    """Return the recipe with a step `lower` at its end, if the target asks for another bundle.

    A recipe that lowers by itself, or makes no bundle, stays as it is.
    """
    exports = [step for step in recipe.steps if isinstance(step, ExportStep)]
    last = recipe.steps[-1]
    if not exports or not isinstance(last, ExportStep | QuantizeStep):
        return recipe
    quantized = isinstance(last, QuantizeStep)
    if not target.changes(opset=exports[-1].opset, quantized=quantized, fp16=fp16):
        return recipe
    step = LowerStep(target=recipe.target, fp16=fp16)
    if isinstance(last, QuantizeStep):  # who lets INT8 be further from float means both roundings
        least_db = min(step.min_psnr_db, last.min_psnr_db)
        step = step.model_copy(update={"min_psnr_db": least_db})
    return recipe.model_copy(update={"steps": (*recipe.steps, step)})


def bundle_in(source: Path) -> Artifact | None:
    """Return the bundle that a folder holds; None for anything else."""
    if not (source / MANIFEST).is_file():
        return None
    artifact = Artifact.load(source)
    return artifact if artifact.kind == "bundle" else None


def lowering_of(bundle: Artifact, target: str | None, *, photos: Path | None, fp16: bool) -> Recipe:
    """Return what is done to a bundle that was built before: it is lowered to a target.

    Raises:
        RecipeError: no target, or the bundle was lowered to one already.
    """
    if target is None:
        raise RecipeError(
            f"{bundle.folder} is a bundle already.",
            f"Say for which device with `--target NAME`, "
            f"or run it: `stylepress run {bundle.folder} photo.jpg out.jpg`.",
        )
    if bundle.made_by.get("step") == "lower":
        raise RecipeError(
            f"{bundle.folder} was lowered to {bundle.made_by.get('target')} already.",
            "Start from the bundle that it was made from.",
        )
    photos = photos.absolute() if photos else None
    step = LowerStep(target=target, fp16=fp16, photos=photos)
    # Not validated: in a recipe, `lower` follows a step that writes the bundle.
    return Recipe.model_construct(
        name=bundle.name, seed=1, photos=photos, style=None, target=target, steps=(step,)
    )


def notes_on(bundle: Artifact, target: Target, elsewhere: Target | None) -> Iterator[str]:
    """Say what the target changed, what was not measured here and why, and what is estimated."""
    lowering = bundle.made_by if bundle.made_by.get("step") == "lower" else {}
    for graph, passes in lowering.get("passes", {}).items():
        changes = ", ".join(passes) or "nothing had to be changed"
        yield f"for {lowering['target']}, {graph}: {changes}"
    if elsewhere is not None:
        yield (
            f"not measured: this machine is {elsewhere.name}, not {target.full_name}. "
            f"Copy {bundle.folder} there."
        )
    floor_ms, budget_ms = bundle.numbers.get("estimated_floor_ms"), target.budgets.latency_ms
    if floor_ms is not None:
        height, width = target.size
        mode = f" in {target.mode.name}" if target.mode and len(target.modes) > 1 else ""
        budget = f", budget {budget_ms:g} ms" if budget_ms else ""
        yield (
            f"estimated from the data sheet, not measured: no frame of {width}x{height} takes less "
            f"than {floor_ms:.2g} ms on {target.name}{mode}{budget}"
        )
    size_mb = target.budgets.size_mb
    if size_mb is not None and bundle.size_bytes / 1e6 > size_mb:
        yield f"the bundle has {bundle.size_bytes / 1e6:.2g} MB, over the budget of {size_mb:g} MB"


def check_fit(steps: Sequence[Step], target: Target, asked: Precision | None) -> None:
    """Refuse what the target cannot run, before anything is trained.

    Raises:
        RecipeError: the precision is none of the target's.
    """
    quantized = any(isinstance(step, QuantizeStep) for step in steps)
    half = asked == "fp16" or any(isinstance(s, LowerStep) and s.fp16 for s in steps)
    precision: Precision = "int8" if quantized else "fp16" if half else "fp32"
    if precision not in target.precisions and any(isinstance(s, ExportStep) for s in steps):
        raise RecipeError(
            f"The recipe makes a bundle of {precision}, and {target.name} runs "
            f"{', '.join(target.precisions)}.",
            "Choose with `--precision`.",
        )
