"""What is built again and what is not: one value changed at a time, a tool, the code, a resume."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, get_args

import pytest

from stylepress import stages
from stylepress.build import BuildResult
from stylepress.cache import Cache, code_version
from stylepress.compress import stage as compress_stage
from stylepress.diffusion_step import Lora
from stylepress.progress import Silent
from stylepress.recipe import load_recipe
from stylepress.section import Section
from stylepress.stages import STAGES, step_identity, step_key
from stylepress.step_fields import Size, Style
from stylepress.steps import REPORTING, DistilStep, Step
from tests.core.homes import built, furnish, write_photo


@pytest.fixture
def own(tmp_path: Path, one_thread: None, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home that a test may change, and nobody who judges the student: it decides no rebuild."""
    monkeypatch.setattr(compress_stage, "fidelity", lambda *_, **__: {})
    (tmp_path / "home").mkdir()
    return furnish(tmp_path / "home")


@pytest.fixture
def rebuilt(own: Path, cache: Cache, tmp_path: Path) -> Callable[..., set[str]]:
    """Build the student of the long recipe once more, and tell which folders were built anew."""
    count = iter(range(99))

    def run() -> set[str]:
        out = tmp_path / f"out{next(count)}"
        result = built(own / "long.yaml", out, cache=cache, until="compress")
        return set(result.artifacts) - result.reused

    run()
    assert run() == set()
    return run


def edited(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")


@pytest.mark.parametrize(
    ("old", "new", "folders"),
    [
        ("batch: 1", "batch: 2", {"student"}),
        ("width: 4", "width: 5", {"teacher", "student"}),
        (
            "steps: 2, crop_px: 64, style_px",
            "save_every: 1, steps: 2, crop_px: 64, style_px",
            set(),
        ),
        ("pattern: glass", "pattern: woodcut", {"teacher", "student"}),
        ("name: tiny", "name: other", {"teacher", "student"}),
        ("target: small.yaml", "target: cpu", set()),
        ("name: tiny", "seed: 2\nname: tiny", {"teacher", "student"}),
        ("min_psnr_db: 0", "min_psnr_db: 1", set()),
    ],
)
def test_one_value_changed_builds_again_what_depends_on_it(
    own: Path, rebuilt: Callable[[], set[str]], old: str, new: str, folders: set[str]
) -> None:
    edited(own / "long.yaml", old, new)
    assert rebuilt() == folders
    edited(own / "long.yaml", new, old)
    assert rebuilt() == set()


def test_a_photo_more_builds_all_that_saw_the_photos(
    own: Path, rebuilt: Callable[[], set[str]]
) -> None:
    write_photo(own / "photos" / "more.png", 9)
    assert rebuilt() == {"teacher", "student"}


def test_the_same_photos_elsewhere_build_nothing(
    own: Path, rebuilt: Callable[[], set[str]]
) -> None:
    shutil.move(own / "photos", own / "pictures")
    edited(own / "long.yaml", "photos: photos", "photos: pictures")
    assert rebuilt() == set()


def test_another_version_of_a_tool_builds_what_it_makes(
    rebuilt: Callable[[], set[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stages, "_version", lambda name: "999" if name == "torch" else "1")
    assert rebuilt() == {"teacher", "student"}


def test_other_code_of_a_room_builds_what_that_room_makes(
    rebuilt: Callable[[], set[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = code_version
    monkeypatch.setattr(
        stages, "code_version", lambda *rooms: before(*rooms) + "new" * ("compress" in rooms)
    )
    assert rebuilt() == {"student"}


# Keys


OTHER_VALUES: Mapping[str, Any] = {
    "order": "bgr",
    "loss": "vgg",
    "preset": "small",
    "calibration": "mse",
    "keep_float": "none",
    "pixel_share": 0.25,
    "to_style": 0.25,
    "taps": ("res1",),
    "verify_sizes": ((96, 64),),
    "low": -7.0,
    "high": 7.0,
    "content_weight": 3.0,
    "frame_weight": 3.0,
    "style_weight": 3.0,
    "margin_px": 24,
    "size": (96, 64),
    "batch": 4,
    "variant": "dla",
    "seed": 3,
    "target": "rtx-4090",
    "engine": "openvino",
    "layers": {"conv1": 0.5},
    "weights": "fresh",
    "model": "ddpm",
    "sampling": 7,
    "task": "edges",
    "up": "resize",
    "schedule": "linear",
    "predicts": "sample",
    "classes": {"glass": Style(pattern="glass")},
    "inside": Style(pattern="woodcut"),
    "outside": Style(pattern="woodcut"),
    "method": "consistency",
    "blocks": 2,
}


FILES = ("vgg", "start", "plan", "teacher", "pairs", "vae", "controlnet", "adapter")
"""Options that name a file or a folder, and none when they are not given."""
MODELS = (
    "{step: adain, styles: photos}",
    "{step: library, styles: {glass: {pattern: glass}, strokes: {pattern: strokes}}}",
    "{step: translate, paintings: photos}",
    "{step: sample, model: dcgan}",
    "{step: regions, inside: {pattern: glass}, outside: {pattern: strokes}}",
    "{step: pairs}",
    "{step: diffuse}",
    "{step: diffusion, pipeline: photos, prompt: night}",
)


def steps(home: Path) -> list[Step]:
    """One step of every kind, as a recipe plans it."""
    lines = (home / "long.yaml").read_text(encoding="utf-8")
    lines += "  - {step: lower, target: cpu}\n  - {step: engine, target: cpu}\n"
    (home / "all.yaml").write_text(lines, encoding="utf-8")
    lines = (home / "loaded.yaml").read_text(encoding="utf-8").partition("  - {step: distil")[0]
    for name in ("prune", "shorten", "qat"):
        (home / f"{name}.yaml").write_text(f"{lines}  - {{step: {name}}}\n", encoding="utf-8")
    planned = [
        *load_recipe(home / "all.yaml").plan(),
        *load_recipe(home / "prune.yaml").plan()[:2],
        *(load_recipe(home / f"{name}.yaml").plan()[1] for name in ("shorten", "qat")),
    ]
    for line in MODELS:
        text = lines.partition("  - {step: load")[0] + f"  - {line}\n"
        (home / "model.yaml").write_text(text, encoding="utf-8")
        planned.append(load_recipe(home / "model.yaml").plan()[0])
    return planned


def test_every_kind_of_step_is_done_by_one_function(own: Path) -> None:
    kinds = {kind.model_fields["step"].default for kind in get_args(Step)}
    assert {step.step for step in steps(own)} == kinds == set(STAGES)


def test_every_option_of_every_step_is_in_its_key_but_those_that_only_report(own: Path) -> None:
    write_photo(own / "vgg.png", 1)
    (own / "others").mkdir()
    write_photo(own / "others" / "0.png", 8)
    for step in steps(own):
        key = step_key(step_identity(step, ["parent"], {}))
        assert step_key(step_identity(step, ["another"], {})) != key
        for name in type(step).model_fields:
            if name == "step":
                continue
            value = other(type(step), name, getattr(step, name), own)
            other_step = step.model_copy(update={name: value})
            changed = step_key(step_identity(other_step, ["parent"], {}))
            assert (changed == key) == (name in REPORTING), f"{step.step}.{name}"


def other(kind: type, name: str, value: Any, home: Path) -> Any:
    """Return another value that the option may have."""
    if name == "size" and kind is DistilStep:
        return Size(width=8, blocks=1, half=8)
    if name == "style" and value is None:
        return Style(pattern="glass")
    if name in OTHER_VALUES:
        return OTHER_VALUES[name]
    if name == "photos":
        return home / "others"
    if name == "loras":
        return {"other": Lora(file=home / "vgg.png")}
    if isinstance(value, Mapping):
        return {"other": Style(pattern="glass")}
    if isinstance(value, Section):  # the style
        return value.model_copy(update={"seed": 5})
    if isinstance(value, Path) or name in FILES:
        return home / "vgg.png"
    if isinstance(value, bool):
        return not value
    return f"{value or 'name'}-other" if value is None or isinstance(value, str) else value + 1


# Resume


class CutOffError(Exception):
    """What ends a build in the middle."""


class Cut(Silent):
    """A Progress that ends the build after so many steps."""

    def __init__(self, steps: int) -> None:
        self.left = steps

    def advance(self, steps: int = 1, note: str = "") -> None:
        self.left -= steps
        if self.left <= 0:
            raise CutOffError


def weights(result: BuildResult, name: str) -> bytes:
    return result.artifacts[name].path("weights.safetensors").read_bytes()


@pytest.mark.parametrize(("cut_after", "name"), [(3, "teacher"), (9, "student")])
def test_an_interrupted_build_goes_on_where_it_stopped(
    own: Path, tmp_path: Path, cut_after: int, name: str
) -> None:
    text = (own / "long.yaml").read_text(encoding="utf-8")
    text = text.replace("steps: 2,", "steps: 6, save_every: 2, sample_every: 99,")
    (own / "long.yaml").write_text(text, encoding="utf-8")
    whole = built(own / "long.yaml", tmp_path / "whole", until="compress")
    cache = Cache(tmp_path / "cache")
    with pytest.raises(CutOffError):
        built(own / "long.yaml", tmp_path / "cut", Cut(cut_after), cache=cache, until="compress")
    rest = built(own / "long.yaml", tmp_path / "cut", cache=cache, until="compress", resume=True)
    assert rest.reused == ({"teacher"} if name == "student" else set())
    assert weights(rest, "teacher") == weights(whole, "teacher")
    assert weights(rest, "student") == weights(whole, "student")
