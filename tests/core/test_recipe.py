"""Recipes: defaults, paths, what cannot be done, and what decides a result."""

from __future__ import annotations

import json
from pathlib import Path
from textwrap import dedent
from typing import Any, get_args

import pytest

from stylepress.document import document_schema
from stylepress.errors import RecipeError
from stylepress.recipe import Recipe, ShortRecipe, changed, load_recipe
from stylepress.step_fields import Pattern, Preset
from stylepress.steps import (
    REPORTING,
    DistilStep,
    ExportStep,
    LoadStep,
    QuantizeStep,
    TrainStep,
    identity,
)


@pytest.fixture
def load(tmp_path: Path) -> Any:
    def loaded(text: str) -> Recipe:
        path = tmp_path / "glass.yaml"
        path.write_text(dedent(text), encoding="utf-8")
        return load_recipe(path)

    return loaded


def test_a_name_photos_and_a_style_are_enough(load: Any) -> None:
    recipe = load("name: glass\nphotos: photos\nstyle: glass.png")
    train, distil, export, quantize = recipe.steps
    assert (train, distil) == (TrainStep(), DistilStep())
    assert isinstance(export, ExportStep)
    assert isinstance(quantize, QuantizeStep)
    assert export.verify_sizes == quantize.verify_sizes == ((256, 256), (257, 383), (512, 512))


def test_what_the_short_form_says_stands_in_its_steps(load: Any) -> None:
    recipe = load(
        """
        name: glass
        seed: 7
        device: cuda:1
        photos: photos
        style: glass.png
        teacher: {train: {steps: 3}}
        student: {preset: nano, distil: {steps: 4}}
        quantize: {calibration: mse}
        export: {verify_sizes: [[64, 64]]}
        """
    )
    train, distil, export, quantize = recipe.steps
    assert (recipe.seed, recipe.device) == (7, "cuda:1")
    assert (train.steps, distil.preset, distil.steps) == (3, "nano", 4)
    assert export.verify_sizes == quantize.verify_sizes == ((64, 64),)
    assert quantize.calibration == "mse"


def test_fp32_leaves_the_quantizing_out(load: Any) -> None:
    recipe = load("name: a\nphotos: p\nstyle: s\nquantize: {precision: fp32}")
    assert [step.step for step in recipe.steps] == ["train", "distil", "export"]


def test_both_forms_say_the_same(load: Any) -> None:
    short = load("name: a\nphotos: p\nstyle: s\nquantize: {precision: fp32}")
    long = load(
        """
        name: a
        photos: p
        style: s
        steps: [{step: train}, {step: distil}, {step: export}]
        """
    )
    assert short == long


def test_a_plan_gives_each_step_its_data_and_its_folder(load: Any, tmp_path: Path) -> None:
    recipe = load(
        """
        name: a
        photos: p
        style: s.png
        seed: 7
        steps:
          - {step: train}
          - {step: distil, photos: q, folder: large}
          - {step: distil}
          - {step: export}
          - {step: quantize}
        """
    )
    train, large, small, export, quantize = recipe.plan()
    assert (train.seed, large.seed, train.style.picture) == (7, 7, tmp_path / "s.png")
    assert [step.photos for step in recipe.plan()] == [
        tmp_path / folder for folder in ("p", "q", "p", "p", "p")
    ]
    folders = [step.folder for step in (train, large, small, export, quantize)]
    assert folders == ["teacher", "large", "student", "float", "bundle"]


def test_two_steps_never_share_a_folder(load: Any) -> None:
    recipe = load(
        "name: a\nphotos: p\nsteps: [{step: load, checkpoint: c}, {step: distil}, {step: distil}]"
    )
    assert [step.folder for step in recipe.plan()] == ["teacher", "student", "student-2"]


@pytest.mark.parametrize(
    ("steps", "mend"),
    [
        ("[]", "`steps` .* at least 1 item"),
        ("[{step: export}]", "first step is `export`.* Begin with `load` or `train`"),
        (
            "[{step: load, checkpoint: c}, {step: quantize}]",
            "`quantize` follows `load`, but it works on what comes out of `export`",
        ),
        (
            "[{step: load, checkpoint: c}, {step: train}]",
            "`train` follows `load`, but .* `?no other step`?.*Change the order",
        ),
        ("[{step: load, checkpoint: c}, {step: distil}]", "`distil` learns from photos. Add"),
        ("[{step: train}]", "neither a teacher nor a style"),
        ("[{step: load}]", r"`steps\[0\]\.checkpoint` is missing"),
        ("[{step: melt}]", r"`steps\[0\]`.*'load', 'train'"),
        ("[{step: load, checkpoint: c, low: 1, high: 0}]", "range of its images is 1.0 to 0.0"),
        ("[{step: load, checkpoint: c, hgh: 0}]", r"line 2: `steps\[0\]\.hgh` is not known"),
        ("[{checkpoint: c}]", r"`steps\[0\]`"),
    ],
)
def test_steps_in_an_order_that_cannot_be_are_refused_with_the_mend(
    load: Any, steps: str, mend: str
) -> None:
    with pytest.raises(RecipeError, match=mend):
        load(f"name: a\nsteps: {steps}")


def test_paths_start_at_the_recipe_however_deep_they_stand(load: Any, tmp_path: Path) -> None:
    recipe = load(
        """
        name: glass
        photos: ../photos
        style: {picture: glass.png}
        teacher: {train: {loss: vgg, vgg: vgg19.pth}}
        target: my-box.yaml
        """
    )
    assert recipe.photos == tmp_path / "../photos"
    assert recipe.style.picture == tmp_path / "glass.png"
    assert recipe.steps[0].vgg == tmp_path / "vgg19.pth"
    assert recipe.target == str(tmp_path / "my-box.yaml")


def test_absolute_paths_and_target_names_stay(load: Any) -> None:
    recipe = load("name: a\nphotos: /photos\nteacher: {checkpoint: /c.pth}\ntarget: x86-cpu")
    assert (recipe.photos, recipe.target) == (Path("/photos"), "x86-cpu")


def test_a_loaded_teacher_is_not_trained(load: Any) -> None:
    recipe = load("name: a\nphotos: p\nteacher: {checkpoint: c.pth}")
    assert isinstance(recipe.steps[0], LoadStep)
    assert recipe.steps[0].checkpoint.name == "c.pth"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("{}", r"neither a teacher nor a style .* Add `teacher: \{checkpoint"),
        ("teacher: {checkpoint: a, train: {steps: 3}}", "line 3: `teacher`: .* not both. Remove"),
        ("style: {pattern: glass, picture: a.png}", "one picture or one pattern"),
        ("style: {seed: 3}", "one picture or one pattern"),
        ("style: {pattern: glas}", "'glass', 'strokes' or 'woodcut'"),
        ("style: a\nstudent: {distil: {crop_px: 255}}", "crop_px` is 255. It should be a multiple"),
        (
            "style: a\nstudent: {distil: {loss: swd, frame_weight: 0, style_weight: 0}}",
            "would learn nothing. Give one",
        ),
        (
            "style: a\nstudent: {distil: {crop_px: 640}}",
            "crops are cut from pictures of pool_px 512",
        ),
        ("style: a\nteacher: {train: {style_weight: 0}}", "would learn no style"),
        ("style: a\nteacher: {train: {learning_rate: 2}}", "less than or equal to 1"),
        ("style: a\nstudent: {preset: bas}", "'nano', 'small', 'base', 'wide' or 'texture'"),
        ("style: a\nexport: {opset: 12}", "greater than or equal to 18"),
        ("style: a\nexport: {verify_sizes: []}", "at least 1 item"),
        ("style: a\nquantise: {}", "Did you mean `quantize`"),
    ],
)
def test_what_cannot_be_done_is_refused_with_the_mend(load: Any, text: str, told: str) -> None:
    body = "" if text == "{}" else text
    with pytest.raises(RecipeError, match=told):
        load(f"name: a\nphotos: p\n{body}")


@pytest.mark.parametrize("name", ["", "A", "a b", "../a", "a/b", "-a", "a" * 65])
def test_a_name_can_be_a_folder_everywhere(load: Any, name: str) -> None:
    with pytest.raises(RecipeError, match="`name`"):
        load(f"name: {json.dumps(name)}\nphotos: p\nstyle: s")


def test_a_changed_recipe_is_checked_again(load: Any) -> None:
    recipe = load("name: a\nphotos: p\nstyle: {pattern: glass}")
    assert changed(recipe, target="x86-cpu").target == "x86-cpu"
    assert changed(recipe) == recipe
    with pytest.raises(RecipeError, match="`seed` is -1"):
        changed(recipe, seed=-1)


def test_only_what_decides_the_result_is_part_of_a_step_s_identity() -> None:
    assert identity(TrainStep(save_every=7, sample_every=9)) == identity(TrainStep())
    assert identity(TrainStep(steps=7)) != identity(TrainStep())
    assert set(TrainStep.model_fields) >= REPORTING


def test_the_presets_are_those_that_can_be_built() -> None:
    students = pytest.importorskip("stylepress.train.student")
    assert set(get_args(Preset)) == set(students.PRESETS)


def test_the_patterns_are_those_that_can_be_drawn() -> None:
    patterns = pytest.importorskip("stylepress.train.patterns")
    assert set(get_args(Pattern)) == set(patterns.PATTERNS)


def test_the_schema_takes_a_style_as_a_word_or_as_a_mapping() -> None:
    for form in (Recipe, ShortRecipe):
        kinds = document_schema(form)["$defs"]["Style"]["anyOf"]
        assert [kind["type"] for kind in kinds] == ["string", "object"]


def test_every_recipe_that_ships_can_be_read() -> None:
    recipes = sorted((Path(__file__).parents[2] / "recipes").glob("*.yaml"))
    assert recipes
    for path in recipes:
        photos = load_recipe(path).photos
        assert photos is not None
        assert photos.is_dir() or photos.name == "debian", path  # that is fetched
