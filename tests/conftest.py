"""What every test shares: no clock for property tests, since CI machines are slow, and no home.

Processes that share the cores (pytest-xdist) take one thread each; what they start does the same.
"""

import gc
import os
from collections.abc import Iterator
from functools import cache
from typing import Any

import pytest
from hypothesis import settings

if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")

gc.set_threshold(1_000_000)  # tracing networks makes objects by the million, and they stay

MEASURED = "report: Report"
"""How a test asks for the measurement of tests/benchmarks/conftest.py, which takes long to make."""


SLOW = (
    "test_families.py", "test_bench.py", "test_models.py", "test_diffusion.py", "test_cli_run.py",
    "test_fit.py", "test_life.py", "test_source_faults.py", "test_build_torchrun.py",
    "test_build.py", "test_evidence_figures.py", "test_shorten.py", "test_macs.py", "test_team.py",
)  # fmt: skip
"""The files that take longest, which come first: at the end no process waits for one of them."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let the slow files come first; every process sorts alike."""
    gc.freeze()  # what was imported and collected stays until the end: nobody need look at it again
    places = {name: place for place, name in enumerate(SLOW)}
    items.sort(key=lambda item: places.get(item.path.name, len(SLOW)))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Give a file's tests to one process, and the files that look at the measurement to the same."""
    from xdist.scheduler import LoadFileScheduling  # type: ignore[import-untyped]

    @cache
    def group(file: str) -> str:
        path = config.rootpath / file
        text = path.read_text(encoding="utf-8") if path.is_file() else ""
        return MEASURED if MEASURED in text else file

    if config.getoption("dist") != "loadfile":
        return None
    config.option.loadscopereorder = False  # by how many tests a file has
    scheduler = LoadFileScheduling(config, log)
    scheduler._split_scope = lambda nodeid: group(nodeid.partition("::")[0])
    return scheduler


settings.register_profile("stylepress", deadline=None)
settings.load_profile("stylepress")


@pytest.fixture(scope="session", autouse=True)
def _operators_once() -> Iterator[None]:
    """Build torch.onnx's table of operators once: every export builds it anew, in up to half a second."""
    try:
        from torch.onnx._internal.exporter import _registration
    except ImportError:  # no torch here, or one that keeps the table elsewhere
        yield
        return
    with pytest.MonkeyPatch.context() as patch:
        registry = _registration.ONNXRegistry
        patch.setattr(registry, "from_torchlib", staticmethod(cache(registry.from_torchlib)))
        yield


@pytest.fixture(scope="session", autouse=True)
def _no_users_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep what a test builds or measures out of the user's own cache."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STYLEPRESS_CACHE", str(tmp_path_factory.mktemp("users-cache")))
        yield
