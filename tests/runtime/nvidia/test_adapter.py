"""The adapter keeps to what every recorded version of TensorRT has, called as it wants to be."""

from __future__ import annotations

import ast
import inspect
from pathlib import Path
from typing import Any

import pytest

from stylepress.errors import BackendError
from stylepress.runtime.nvidia import adapter
from stylepress.runtime.nvidia.adapter import build, refit
from stylepress.runtime.nvidia.order import BuildOrder
from tests.runtime.nvidia.fakes import SIMULATED, VERSIONS, Fake, surface

SHAPES = {"frame": ((1, 16, 16, 3), (1, 512, 512, 3), (1, 1080, 1920, 3))}
TYPED = [version for version in VERSIONS if not version.startswith("8")]
CLASSES = {
    "builder": "Builder",
    "config": "IBuilderConfig",
    "parser": "OnnxParser",
    "profile": "IOptimizationProfile",
    "cache": "ITimingCache",
    "fault": "ParserError",
    "refitter": "Refitter",
    "reader": "OnnxParserRefitter",
}
"""Of which class the variables of the adapter are."""
YOUNGER = {"OnnxParserRefitter"}
"""Classes that only some versions have."""


def order(folder: Path, **more: Any) -> BuildOrder:
    (folder / "model.onnx").write_bytes(b"model")
    return BuildOrder("tensorrt", str(folder / "model.onnx"), SHAPES, **more)


def everything(folder: Path, version: str) -> BuildOrder:
    """An order that asks for every option."""
    rtx = version.startswith("rtx")
    return order(
        folder,
        precisions=("fp32", "fp16", "int8"),
        compute_capability="8.9" if rtx else None,
        workspace_bytes=1 << 28,
        tactic_bytes=1 << 28,
        level=2,
        aux_streams=0,
        version_compatible=True,
        hardware="ampere_plus",
        dla_core=1,
        tf32=False,
    )


@pytest.mark.parametrize("version", VERSIONS)
def test_a_build_with_every_option_calls_only_what_a_version_has(
    version: str, tmp_path: Path
) -> None:
    fake = Fake(version)
    plan, _, report = build(fake.module, everything(tmp_path, version), lambda phase: None)
    assert (plan, report.error) == (SIMULATED, "")
    assert fake.called("set_shape") == [("frame", *SHAPES["frame"])]
    assert len(fake.called("add_optimization_profile")) == 1
    asked = {"WORKSPACE", "TACTIC_DRAM", "VERSION_COMPATIBLE", "hardware_compatibility_level"}
    asked |= {"builder_optimization_level", "max_aux_streams", "GPU_FALLBACK"}
    assert asked <= {*report.applied, *report.skipped}
    assert not report.applied.keys() & set(report.skipped)


@pytest.mark.parametrize("version", VERSIONS)
def test_precision_is_a_flag_only_where_graphs_are_not_typed(version: str, tmp_path: Path) -> None:
    fake = Fake(version)
    _, _, report = build(
        fake.module, order(tmp_path, precisions=("fp32", "fp16", "int8")), lambda phase: None
    )
    typed = version in TYPED
    assert ("STRONGLY_TYPED" in report.applied) is typed
    flags = {str(flag.name) for (flag,) in fake.called("set_flag")}
    wanted = {"FP16", "INT8", "OBEY_PRECISION_CONSTRAINTS"}
    assert flags & wanted == (set() if typed else wanted)


def test_numbers_of_flags_follow_the_version(tmp_path: Path) -> None:
    bits = {}
    for version in VERSIONS:
        fake = Fake(version)
        build(fake.module, order(tmp_path), lambda phase: None)
        ((bits[version],),) = fake.called("create_network")
    assert bits["8_4"] == bits["8_6"] == 1  # EXPLICIT_BATCH
    assert bits["10_3"] == bits["10_16"] == 3  # and STRONGLY_TYPED as 2
    assert bits["11_0"] == bits["rtx_1_7"] == 1  # STRONGLY_TYPED has become 1


@pytest.mark.parametrize("version", VERSIONS)
def test_a_timing_cache_of_another_machine_is_replaced(version: str, tmp_path: Path) -> None:
    fake = Fake(version, {"set_timing_cache": lambda cache, ignore_mismatch: False})
    plan, kept, report = build(fake.module, order(tmp_path), lambda phase: None, b"foreign")
    assert plan == kept == SIMULATED
    assert report.applied["timing_cache"] == "refused, new"
    assert fake.called("create_timing_cache") == [(b"foreign",), (b"",)]
    assert all(arguments[-1] is False for arguments in fake.called("set_timing_cache"))


@pytest.mark.parametrize("version", VERSIONS)
def test_a_file_that_is_refused_is_named_by_its_node(version: str, tmp_path: Path) -> None:
    fake = Fake(version, {"parse": False, "num_errors": 1, "desc": "no such operator"})
    plan, _, report = build(fake.module, order(tmp_path), lambda phase: None)
    assert plan is None
    assert report.error.startswith("no such operator (node ")


@pytest.mark.parametrize("version", TYPED)
def test_phases_of_a_build_are_told(version: str, tmp_path: Path) -> None:
    fake, told = Fake(version), list[str]()
    build(fake.module, order(tmp_path), told.append)
    ((monitor,),) = fake.called("progress_monitor")
    monitor.phase_start("Building", None, 3)
    assert monitor.step_complete("Building", 0) is True
    assert told == ["Building"]


def test_what_a_device_lacks_is_said(tmp_path: Path) -> None:
    with pytest.raises(BackendError, match=r"NVDLA core 1 was asked for.* has 0"):
        build(
            Fake("10_3", {"num_DLA_cores": 0}).module,
            order(tmp_path, dla_core=1),
            lambda phase: None,
        )
    with pytest.raises(BackendError, match=r"compute capability 8\.7 from another machine"):
        build(Fake("rtx_1_7").module, order(tmp_path, compute_capability="8.7"), lambda phase: None)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("weights", ["replaceable", "left out"])
def test_weights_are_left_out_or_made_replaceable_where_a_version_can(
    weights: str, version: str, tmp_path: Path
) -> None:
    fake = Fake(version)
    plan, _, report = build(fake.module, order(tmp_path, weights=weights), lambda phase: None)
    wanted = {"STRIP_PLAN", "REFIT_IDENTICAL"} if weights == "left out" else {"REFIT"}
    flags = {str(flag.name) for (flag,) in fake.called("set_flag")}
    old = version.startswith("8") and weights == "left out"
    assert plan == SIMULATED
    assert flags & {"STRIP_PLAN", "REFIT_IDENTICAL", "REFIT"} == (set() if old else wanted)
    assert wanted <= (set(report.skipped) if old else set(report.applied))


@pytest.mark.parametrize("version", VERSIONS)
def test_a_plan_is_filled_from_its_file_or_the_reason_is_said(version: str) -> None:
    fake = Fake(version)
    engine = fake.module.Runtime(None).deserialize_cuda_engine(b"plan")
    if version.startswith("8"):
        with pytest.raises(BackendError, match=r"\(8\.[46][.\d]*\) cannot fill a plan"):
            refit(fake.module, engine, b"onnx", [])
        return
    refit(fake.module, engine, b"onnx", [])
    assert fake.called("refit_from_bytes") == [(b"onnx",)]
    assert len(fake.called("refit_cuda_engine")) == 1
    fake.values |= {"refit_from_bytes": False, "get_missing_weights": lambda: ["conv.weight"]}
    with pytest.raises(BackendError, match=r"do not fill the plan \(conv\.weight\)"):
        refit(fake.module, engine, b"other", [])


def test_fakes_refuse_what_a_version_does_not_have() -> None:
    module = Fake("8_4").module
    config = module.Builder(None).create_builder_config()
    with pytest.raises(AttributeError, match="has no progress_monitor"):
        _ = config.progress_monitor
    with pytest.raises(AttributeError, match="not to be written"):
        config.num_optimization_profiles = 2
    with pytest.raises(TypeError, match="fits none of"):
        config.set_memory_pool_limit(pool=0, size=1)


def test_every_attribute_that_is_written_out_exists_in_every_version() -> None:
    tree = ast.parse(inspect.getsource(adapter))
    surfaces = {version: surface(version)["classes"] for version in VERSIONS}
    checked = 0
    for function in (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)):
        guarded = {
            str(call.args[1].value)
            for call in ast.walk(function)
            if isinstance(call, ast.Call)
            and isinstance(call.func, ast.Name)
            and call.func.id in ("hasattr", "getattr")
            and isinstance(call.args[1], ast.Constant)
        }
        for node in ast.walk(function):
            if not isinstance(node, ast.Attribute) or not isinstance(node.value, ast.Name):
                continue
            name = CLASSES.get(node.value.id)
            if node.value.id == "config" and node.attr == "progress_monitor":
                continue  # after the class of the monitor was found, see test above
            for version, classes in surfaces.items() if name else ():
                if name in YOUNGER and name not in classes:
                    continue  # the function asks for the class first
                there = node.attr in classes[str(name)]["attrs"]
                assert there or node.attr in guarded, f"{version}: {name}.{node.attr}"
                checked += 1
    assert checked > 100


def test_every_name_that_is_asked_for_exists_in_some_version() -> None:
    tree = ast.parse(inspect.getsource(adapter))
    known: set[str] = set()
    for version in VERSIONS:
        for name, facts in surface(version)["classes"].items():
            known |= {name, *facts.get("members", ()), *facts.get("attrs", ())}
    asked = {
        str(argument.value)
        for call in ast.walk(tree)
        if isinstance(call, ast.Call)
        and isinstance(call.func, ast.Name)
        and call.func.id in ("_has", "_flag", "_set", "hasattr")
        for argument in call.args
        if isinstance(argument, ast.Constant) and isinstance(argument.value, str)
    }
    assert len(asked) > 10
    assert asked <= known
