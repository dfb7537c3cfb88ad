"""What a target changes in a build: a step at its end, what is refused, what is said."""

from __future__ import annotations

from pathlib import Path

import pytest

from stylepress.artifact import Artifact
from stylepress.device import bundle_in, check_fit, lowered_recipe, lowering_of, notes_on
from stylepress.errors import RecipeError
from stylepress.recipe import Recipe
from stylepress.steps import ExportStep, LoadStep, LowerStep, QuantizeStep, Step
from stylepress.targets.target import load_target

LOAD = LoadStep(checkpoint=Path("a.pth"))


def recipe(target: str, *steps: Step) -> Recipe:
    return Recipe(name="toy", photos=Path("p"), target=target, steps=(LOAD, *steps))


def sealed(place: Path, **values: object) -> Artifact:
    def fill(folder: Path) -> None:
        (folder / "model.onnx").write_bytes(b"x" * 2000)

    made_by = {"step": "lower", "target": "t", "passes": {"frame": ["opset 18 to 17"]}, **values}
    return Artifact.create(
        place, fill, kind="bundle", name="toy", made_by=made_by,
        numbers={"estimated_floor_ms": 0.25},
    )  # fmt: skip


@pytest.mark.parametrize(
    ("target", "steps", "last"),
    [
        ("x86-cpu", (ExportStep(),), "export"),
        ("x86-cpu", (ExportStep(), QuantizeStep()), "lower"),
        ("rtx-4090", (ExportStep(), QuantizeStep()), "quantize"),
        ("jetson-orin-nano-8gb@5.1", (ExportStep(),), "lower"),
        ("x86-cpu", (ExportStep(), LowerStep(target="arm64-cpu")), "lower"),
    ],
)
def test_a_build_is_lowered_where_its_target_asks_for_it(
    target: str, steps: tuple[Step, ...], last: str
) -> None:
    made = lowered_recipe(recipe(target, *steps), load_target(target))
    assert made.steps[-1].step == last
    assert sum(step.step == "lower" for step in made.steps) <= 1


def test_the_last_folder_is_the_bundle_and_those_before_have_names_of_their_own() -> None:
    made = lowered_recipe(recipe("x86-cpu", ExportStep(), QuantizeStep()), load_target("x86-cpu"))
    assert [step.folder for step in made.plan()] == ["teacher", "float", "int8", "bundle"]


def test_who_lets_int8_be_further_from_float_means_both_roundings() -> None:
    quantize = QuantizeStep(min_psnr_db=20)
    made = lowered_recipe(recipe("x86-cpu", ExportStep(), quantize), load_target("x86-cpu"))
    step = made.steps[-1]
    assert isinstance(step, LowerStep)
    assert step.min_psnr_db == 20


@pytest.mark.parametrize(
    ("target", "steps", "asked", "words"),
    [
        ("jetson-nano-4gb", [ExportStep(), QuantizeStep()], None, "a bundle of int8"),
        ("x86-cpu", [ExportStep()], "fp16", "a bundle of fp16"),
    ],
)
def test_a_precision_that_a_device_has_not_is_refused(
    target: str, steps: list[Step], asked: object, words: str
) -> None:
    with pytest.raises(RecipeError, match=words):
        check_fit(steps, load_target(target), asked)  # type: ignore[arg-type]


def test_what_was_changed_what_was_not_measured_and_what_is_estimated_is_said(
    tmp_path: Path,
) -> None:
    target, here = load_target("jetson-orin-nano-8gb@5.1:15W"), load_target("x86-vnni")
    changed, elsewhere, floor = notes_on(sealed(tmp_path / "b"), target, here)
    assert changed == "for t, frame: opset 18 to 17"
    assert elsewhere.startswith("not measured: this machine is x86-vnni, not jetson-orin-nano-8gb")
    assert "estimated" in floor
    assert "0.25 ms" in floor
    assert "in 15W, budget 33 ms" in floor


def test_a_bundle_is_lowered_once_and_to_something(tmp_path: Path) -> None:
    again = bundle_in(sealed(tmp_path / "b").folder)
    assert again
    with pytest.raises(RecipeError, match=r"lowered to t already\. Start from the bundle"):
        lowering_of(again, "arm64-cpu", photos=None, fp16=False)
    fresh = sealed(tmp_path / "c", step="quantize")
    with pytest.raises(RecipeError, match=r"Say for which device with `--target NAME`"):
        lowering_of(fresh, None, photos=None, fp16=False)
    plan = lowering_of(fresh, "arm64-cpu", photos=None, fp16=False).plan()
    assert [(step.step, step.folder) for step in plan] == [("lower", "bundle")]
    assert bundle_in(tmp_path) is None
