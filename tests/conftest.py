"""What every test shares: no clock for property tests, since CI machines are slow, and no home.

Processes that share the cores (pytest-xdist) take one thread each; what they start does the same.
"""

import gc
import os
from collections.abc import Iterator

import pytest
from hypothesis import settings

if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")

gc.set_threshold(50_000)  # tracing networks makes objects by the million, and they stay

SHARED = ("report",)
"""Fixtures that take long to make: the files that use one stay with the process that made it."""


@pytest.hookimpl(tryfirst=True)  # before pytest-xdist reads the groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let one process do all tests of a file, and of the files that share what takes long to make."""
    files = {item: item.nodeid.partition("::")[0] for item in items}
    sharing: dict[str, str] = {}
    for item, file in files.items():
        for name in SHARED:
            if name in getattr(item, "fixturenames", ()):
                sharing[file] = name
    for item, file in files.items():
        item.add_marker(pytest.mark.xdist_group(sharing.get(file, file)))


settings.register_profile("stylepress", deadline=None)
settings.load_profile("stylepress")


@pytest.fixture(scope="session", autouse=True)
def _no_users_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep what a test builds or measures out of the user's own cache."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STYLEPRESS_CACHE", str(tmp_path_factory.mktemp("users-cache")))
        yield
