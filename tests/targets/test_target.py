"""Targets: what ships can be read, what is not installed is told, names are forgiving."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import get_args

import pytest

from stylepress.errors import BackendError, RecipeError
from stylepress.targets.engines import ENGINES, EngineKind
from stylepress.targets.target import EngineName, detect, load_target, names, usable_engines


def only(*present: str) -> dict[str, EngineKind]:
    """The table of engines on a machine that has these packages and no other."""
    return {
        name: engine if name in present else replace(engine, package="no_such_package")
        for name, engine in ENGINES.items()
    }


@pytest.mark.parametrize("name", names())
def test_every_target_that_ships_is_named_like_its_file(name: str) -> None:
    assert load_target(name).name == name


def test_every_engine_says_what_it_needs_and_what_brings_it() -> None:
    assert set(ENGINES) == set(get_args(EngineName))
    for engine in ENGINES.values():
        assert engine.package
        assert engine.distributions
        assert engine.install.startswith("pip install ")


def test_extras_are_those_of_the_package() -> None:
    text = (Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8")
    base = text.partition("\ndependencies = [")[2].partition("]")[0]
    for engine in ENGINES.values():
        brings = base
        if engine.extra:
            brings = text.partition(f"\n{engine.extra} = [")[2].partition("]")[0]
        own = engine.package == "stylepress"
        assert own or any(f'"{name}' in brings for name in engine.distributions), engine


def test_a_misspelt_target_gets_the_nearest_name() -> None:
    with pytest.raises(RecipeError, match=r"no target 'x86cpu'\. Did you mean 'x86-cpu'\?"):
        load_target("x86cpu")


def test_a_target_like_no_other_gets_the_list() -> None:
    with pytest.raises(RecipeError, match=r"Choose one of arm64-cpu, cpu,"):
        load_target("toaster")


def test_a_name_never_leaves_the_folder() -> None:
    with pytest.raises(RecipeError, match="There is no target"):
        load_target("../targets/cpu")


def test_a_file_of_the_user_is_a_target_too(tmp_path: Path) -> None:
    path = tmp_path / "box.yaml"
    path.write_text(
        "name: box\ntitle: A box\narch: any\nengines: [onnxruntime]\nprecisions: [int8]\n"
        "opset_max: 18\nbudgets: {latency_ms: 40}\nsource: the label on it\n",
        encoding="utf-8",
    )
    assert load_target(str(path)).budgets.latency_ms == 40
    path.write_text("name: box\nengines: [openvno]\n", encoding="utf-8")
    with pytest.raises(RecipeError, match=r"line 2: `engines\[0\]` is \"openvno\""):
        load_target(str(path))


def test_engines_that_are_not_installed_are_passed_over() -> None:
    target = load_target("cpu")
    assert usable_engines(target, only("onnxruntime")) == ("onnxruntime",)


def test_a_target_without_any_engine_names_the_extra_to_install() -> None:
    with pytest.raises(BackendError, match=r"'rtx-4090' needs tensorrt_rtx.*stylepress\[rtx\]"):
        usable_engines(load_target("rtx-4090"), only())


def test_what_the_base_installation_brings_needs_no_extra() -> None:
    assert ENGINES["onnxruntime"].installed
    assert ENGINES["null"].installed
    assert ENGINES["onnxruntime"].install == "pip install stylepress"


@pytest.mark.parametrize("machine", ["x86_64", "AMD64", "aarch64", "arm64", "riscv64", ""])
def test_every_processor_has_a_target(machine: str) -> None:
    assert detect(machine) in names()
