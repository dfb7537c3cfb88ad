"""Targets: what ships can be read, names are forgiving, JetPacks and modes are picked by name."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import get_args

import pytest

from stylepress.errors import BackendError, RecipeError
from stylepress.targets.engines import ENGINES
from stylepress.targets.jetpack import jetpacks, of_release
from stylepress.targets.target import EngineName, Target, load_target, names, usable_engines

ASKED = (
    *("jetson-nano", "jetson-tx2", "jetson-xavier-nx", "jetson-agx-xavier", "jetson-orin-nano"),
    *("jetson-orin-nx", "jetson-agx-orin", "jetson-thor-t4000", "jetson-thor-t5000", "t4", "a100"),
    *("l4", "rtx-3060", "rtx-3090", "rtx-4090", "rtx-5090", "h100", "h200", "x86-avx2", "x86-vnni"),
    *("x86-amx", "raspberry-pi", "jetson-orin-cpu", "arm64-cpu", "cpu"),
)


def lacking(*missing: str) -> dict[str, object]:
    """All engines, some of which need a package that is not there."""
    return {
        name: replace(kind, package="no_such_package") if name in missing else kind
        for name, kind in ENGINES.items()
    }


@pytest.mark.parametrize("name", names())
def test_every_target_that_ships_is_named_like_its_file_and_says_its_source(name: str) -> None:
    target = load_target(name)
    assert target.name == name
    assert target.source
    assert target.kind != "jetson" or (target.jetpack and target.mode and target.soc)
    assert target.kind != "gpu" or (target.compute_capability and target.gpu_names)


def test_every_device_that_was_asked_for_has_a_target() -> None:
    assert all(any(name.startswith(asked) for name in names()) for asked in ASKED)
    assert len(names()) >= 24


def test_the_schema_of_a_target_knows_every_engine() -> None:
    assert set(ENGINES) == set(get_args(EngineName))


def test_extras_are_those_of_the_package() -> None:
    text = (Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8")
    for kind in ENGINES.values():
        assert kind.extra is None or f"\n{kind.extra} = [" in text


@pytest.mark.parametrize(
    ("asked", "meant"),
    [
        ("x86cpu", "x86-cpu"),
        ("rtx4090", "rtx-4090"),
        ("Jetson Orin", "jetson-orin-nano-4gb"),
        ("jetson-nano", "jetson-nano-4gb"),
        ("a100", "a100-40gb"),
        ("geforce something", "rtx-4090"),
        ("jetson-thor", "jetson-thor-t4000"),
    ],
)
def test_a_name_that_is_none_gets_those_that_are_meant(asked: str, meant: str) -> None:
    with pytest.raises(RecipeError, match=rf"no target '{asked}'\. Did you mean '{meant}'"):
        load_target(asked)


def test_a_target_like_no_other_gets_the_list() -> None:
    with pytest.raises(
        RecipeError, match=r"Choose one of a100-40gb, a100-80gb,.* file of your own"
    ):
        load_target("toaster")


def test_a_name_never_leaves_the_folder() -> None:
    with pytest.raises(RecipeError, match="There is no target"):
        load_target("../profiles/cpu")


def test_a_name_picks_a_jetpack_and_a_power_mode() -> None:
    target = load_target("jetson-orin-nano-8gb@5.1:15w")
    assert target.full_name == "jetson-orin-nano-8gb@5.1:15W"
    assert target.jetpack is jetpacks()["5.1"]
    assert (target.tensorrt_version, target.opset) == ("8.5", 17)
    assert target.mode
    assert target.mode.bandwidth_gb_s == 68
    assert load_target(target.full_name) == target


def test_a_jetpack_or_mode_that_a_device_has_not_is_refused_with_those_it_has() -> None:
    with pytest.raises(RecipeError, match=r"does not run JetPack '4\.6'\. It runs JetPack 6\.2"):
        load_target("jetson-orin-nano-8gb@4.6")
    with pytest.raises(RecipeError, match=r"no power mode '99W'\. Its modes are: MAXN_SUPER"):
        load_target("jetson-orin-nano-8gb:99W")


def test_a_target_says_what_it_changes_of_a_bundle() -> None:
    old, cpu, rtx = (load_target(n) for n in ("jetson-orin-nano-8gb@5.1", "x86-cpu", "rtx-4090"))
    changed = old.changes(opset=18, quantized=True, fp16=False)
    assert changed[:2] == ("opset 18 to 17", "Q/DQ placed for ONNX Runtime")
    assert cpu.changes(opset=18, quantized=False, fp16=False) == ()
    assert rtx.changes(opset=18, quantized=True, fp16=False) == ()


@pytest.mark.parametrize("name", ["jetson-nano-4gb", "jetson-tx2-8gb"])
def test_what_is_impossible_on_an_old_module_is_said(name: str) -> None:
    target = load_target(name)
    assert "int8" not in target.precisions
    assert any("JetPack 4.6 is the last" in caveat for caveat in target.caveats())


def test_a_jetpack_whose_python_is_too_old_is_a_caveat() -> None:
    assert "too old for this runtime" in load_target("jetson-agx-xavier-32gb").caveats()[0]
    assert not load_target("jetson-orin-nano-8gb@6.2").caveats()


@pytest.mark.parametrize(
    ("release", "name"),
    [("32.7.1", "4.6"), ("35.4.1", "5.1"), ("36.3.0", "6.0"), ("36.5", "6.2"), ("39.2", "7.2")],
)
def test_a_release_of_l4t_is_a_jetpack(release: str, name: str) -> None:
    line = of_release(release)
    assert line
    assert line.name == name


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
    assert usable_engines(load_target("cpu"), lacking("openvino")) == ("onnxruntime",)  # type: ignore[arg-type]


def test_a_target_without_any_engine_names_the_extra_to_install() -> None:
    with pytest.raises(
        BackendError, match=r"'rtx-4090' needs tensorrt_rtx or torch_cuda.*stylepress\[rtx\]"
    ):
        usable_engines(load_target("rtx-4090"), lacking("tensorrt_rtx", "torch_cuda"))  # type: ignore[arg-type]


def test_every_field_of_a_target_is_read_somewhere() -> None:
    root = Path(__file__).parents[2]
    rooms = ("targets", "export", "runtime", "stylepress")
    code = "".join(p.read_text("utf-8") for room in rooms for p in (root / room).rglob("*.py"))
    assert [name for name in Target.model_fields if f".{name}" not in code] == []
