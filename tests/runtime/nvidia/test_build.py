"""What goes wrong while a plan is built ends as a sentence, and leaves the caches whole."""

from __future__ import annotations

from pathlib import Path
from threading import Thread

import pytest

from stylepress.errors import ArtifactError, BackendError, OutputError
from stylepress.runtime.nvidia.build import _broken, _refused, build_plan
from stylepress.runtime.nvidia.driver import first_load, probe
from stylepress.runtime.nvidia.order import BuildOrder, BuildReport
from stylepress.runtime.nvidia.plan import check_version, read_header
from stylepress.runtime.nvidia.timing import TimingCache

SHAPES = {"frame": ((1, 16, 16, 3), (1, 64, 64, 3), (1, 64, 64, 3))}


def plan_bytes(magic: bytes, version: tuple[int, int, int, int]) -> bytes:
    return magic + bytes(20) + bytes(version) + bytes(36)


@pytest.fixture
def order(tmp_path: Path) -> BuildOrder:
    (tmp_path / "model.onnx").write_bytes(b"model")
    return BuildOrder("json", str(tmp_path / "model.onnx"), SHAPES)  # a module that is there


@pytest.fixture
def cache(tmp_path: Path) -> TimingCache:
    cache = TimingCache.of(
        tmp_path / "timing", package="tensorrt", version="10.3", sm="8.7", device="Orin", mode="15W"
    )
    cache.write(b"measured")
    return cache


def compiler(folder: Path, monkeypatch: pytest.MonkeyPatch, body: str) -> None:
    """Put a module `broken_trt` where child processes import it from."""
    (folder / "broken_trt.py").write_text(f"import os, signal, sys\n{body}\n", encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", str(folder))
    monkeypatch.syspath_prepend(str(folder))


def broken_order(order: BuildOrder) -> BuildOrder:
    return BuildOrder("broken_trt", order.onnx, order.shapes)


def test_a_compiler_that_is_not_installed_is_named(order: BuildOrder) -> None:
    with pytest.raises(BackendError, match=r"no_such_trt is not installed.*docs/jetson\.md"):
        build_plan(BuildOrder("no_such_trt", order.onnx, SHAPES))


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        ("os.kill(os.getpid(), signal.SIGSEGV)", r"broke on model\.onnx \(signal 11"),
        ("os.kill(os.getpid(), signal.SIGKILL)", r"ran out of memory on model\.onnx .*signal 9"),
        ("sys.exit('std::bad_alloc')", r"ran out of memory on model\.onnx"),
    ],
)
def test_a_build_that_crashes_or_is_killed_leaves_the_cache_whole(
    body: str,
    sentence: str,
    order: BuildOrder,
    cache: TimingCache,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    compiler(tmp_path, monkeypatch, body)
    with pytest.raises(BackendError, match=sentence) as told:
        build_plan(broken_order(order), timing=cache)
    assert told.value.exit_code == 2
    assert cache.read() == b"measured"
    assert [path.suffix for path in cache.path.parent.iterdir() if path.suffix != ".lock"] == [
        ".timing"
    ]


def test_a_build_that_takes_too_long_is_ended(
    order: BuildOrder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compiler(tmp_path, monkeypatch, "import time; time.sleep(600)")
    with pytest.raises(BackendError, match="did not finish"):
        build_plan(broken_order(order), timeout_s=0.5)


def test_memory_that_runs_out_is_told_under_its_disguise(order: BuildOrder) -> None:
    disguise = "Could not find any implementation for node {ForeignNode[a...b]}"
    report = BuildReport("10.3", "no plan came out", log=(("INTERNAL_ERROR", disguise),))
    assert "ran out of memory" in str(_refused(order, report))
    assert "refuses" in str(_refused(order, BuildReport("10.3", "no such operator")))
    assert "broke" in str(_broken(order, 1, "no such file"))


def test_without_a_driver_there_is_a_sentence() -> None:
    with pytest.raises(BackendError, match=r"no NVIDIA driver here \(libno_such\.so"):
        probe("libno_such.so")
    with pytest.raises(BackendError, match="no NVIDIA driver here"):
        probe("libc.so.6")  # a library, and none of a driver


def test_a_library_that_crashes_while_it_is_loaded_does_not_end_this_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    crash = "os.kill(os.getpid(), signal.SIGSEGV)"
    body = f"class Runtime:\n    def __init__(self, log): {crash}\nclass Logger:\n    ERROR = 1\n"
    compiler(tmp_path, monkeypatch, body + "    def __init__(self, level): pass")
    with pytest.raises(BackendError, match="Loading broken_trt ended with signal 11"):
        first_load("broken_trt")


def test_a_first_load_that_works_says_the_version() -> None:
    pytest.importorskip("tensorrt_rtx", reason="the compiler is not installed: stylepress[rtx]")
    assert first_load("tensorrt_rtx").count(".") == 3


def test_builders_at_once_leave_one_whole_timing_cache(cache: TimingCache) -> None:
    contents = [bytes([number]) * 100_000 for number in range(4)]

    def build(content: bytes) -> None:
        for _ in range(5):
            cache.write(content)
            assert len(set(cache.read())) == 1

    threads = [Thread(target=build, args=(content,)) for content in contents]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert cache.read() in contents


def test_timing_caches_of_other_machines_have_other_names(tmp_path: Path) -> None:
    usual = {
        "package": "tensorrt",
        "version": "10.3.0",
        "sm": "8.7",
        "device": "Orin",
        "mode": "15W",
    }
    others = [{"version": "10.13.3"}, {"sm": "8.9"}, {"device": "RTX 4090"}, {"mode": "7W"}]
    paths = {TimingCache.of(tmp_path, **(usual | other)).path for other in [{}, *others]}
    assert len(paths) == 5


def test_a_place_that_cannot_be_written_is_an_error_of_the_user(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(OutputError, match="cannot be written"):
        TimingCache(tmp_path / "file" / "x.timing").write(b"data")
    assert TimingCache(tmp_path / "none" / "x.timing").read() == b""


def test_a_plan_says_who_built_it() -> None:
    header = read_header(plan_bytes(b"ftrt", (10, 3, 0, 30)))
    assert (header.package, header.release) == ("tensorrt", "10.3.0.30")
    assert check_version(plan_bytes(b"ftrt", (10, 3, 0, 30)), "tensorrt", "10.3.0.30") == header
    assert check_version(plan_bytes(b"ftrt", (10, 13, 3, 9)), "tensorrt", "10.13.3")


@pytest.mark.parametrize(
    ("data", "error", "sentence"),
    [
        (b"", ArtifactError, "no plan of TensorRT"),
        (b"ftrt" + bytes(10), ArtifactError, "14 bytes that begin with b'ftrt'"),
        (b"ONNX" * 20, ArtifactError, "Build it again on this device"),
        (
            plan_bytes(b"ftrt", (11, 4, 0, 106)),
            BackendError,
            r"built by TensorRT 11\.4\.0\.106, and",
        ),
        (plan_bytes(b"ftrt", (10, 3, 0, 31)), BackendError, r"this is TensorRT 10\.3\.0\.30"),
        (plan_bytes(b"vtrt", (10, 3, 0, 30)), BackendError, "built by TensorRT for RTX 10"),
    ],
)
def test_a_corrupt_foreign_or_newer_plan_is_refused_before_it_is_loaded(
    data: bytes, error: type[Exception], sentence: str
) -> None:
    with pytest.raises(error, match=sentence):
        check_version(data, "tensorrt", "10.3.0.30")
