"""Recipes: defaults, paths, what cannot be done, and what decides a result."""

from __future__ import annotations

import json
from pathlib import Path
from textwrap import dedent
from typing import Any, get_args

import pytest

from stylepress.document import document_schema
from stylepress.errors import RecipeError
from stylepress.recipe import (
    REPORTING,
    Pattern,
    Recipe,
    Student,
    TrainStep,
    changed,
    identity,
    load_recipe,
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
    assert recipe.training == TrainStep()
    assert recipe.quantize.precision == "int8"
    assert recipe.export.verify_sizes == ((256, 256), (257, 383), (512, 512))


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
    assert recipe.training.vgg == tmp_path / "vgg19.pth"
    assert recipe.target == str(tmp_path / "my-box.yaml")


def test_absolute_paths_and_target_names_stay(load: Any) -> None:
    recipe = load("name: a\nphotos: /photos\nteacher: {checkpoint: /c.pth}\ntarget: x86-cpu")
    assert (recipe.photos, recipe.target) == (Path("/photos"), "x86-cpu")


def test_a_loaded_teacher_is_not_trained(load: Any) -> None:
    assert load("name: a\nphotos: p\nteacher: {checkpoint: c.pth}").training is None


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
            "style: a\nstudent: {distil: {frame_weight: 0, style_weight: 0}}",
            "would learn nothing. Give one",
        ),
        (
            "style: a\nstudent: {distil: {crop_px: 512}}",
            "crops are cut from pictures of pool_px 384",
        ),
        ("style: a\nteacher: {train: {style_weight: 0}}", "would learn no style"),
        ("style: a\nteacher: {train: {learning_rate: 2}}", "less than or equal to 1"),
        ("style: a\nstudent: {preset: bas}", "'nano', 'small', 'base' or 'texture'"),
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


def test_a_checkpoint_alone_makes_a_recipe() -> None:
    recipe = Recipe.for_checkpoint(Path("Candy (v2).pth"), Path("photos"), preset="nano")
    assert (recipe.name, recipe.student.preset) == ("candy-v2", "nano")
    assert recipe.training is None


def test_an_option_that_no_recipe_may_hold_is_refused() -> None:
    with pytest.raises(RecipeError, match=r"the options given: `student\.preset` is \"huge\""):
        Recipe.for_checkpoint(Path("a.pth"), Path("p"), preset="huge")


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
    assert set(get_args(Student.model_fields["preset"].annotation)) == set(students.PRESETS)


def test_the_patterns_are_those_that_can_be_drawn() -> None:
    patterns = pytest.importorskip("stylepress.train.patterns")
    assert set(get_args(Pattern)) == set(patterns.PATTERNS)


def test_the_schema_takes_a_style_as_a_word_or_as_a_mapping() -> None:
    kinds = document_schema(Recipe)["$defs"]["Style"]["anyOf"]
    assert [kind["type"] for kind in kinds] == ["string", "object"]


def test_every_recipe_that_ships_can_be_read() -> None:
    recipes = sorted((Path(__file__).parents[2] / "recipes").glob("*.yaml"))
    for path in recipes:
        assert load_recipe(path).photos.is_dir(), path
