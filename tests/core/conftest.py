"""What the tests of the core share: a home to build from, and a cache of what was built there."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from stylepress.cache import Cache


@pytest.fixture(scope="session")
def one_thread() -> Iterator[None]:
    """One thread for torch: nets this small only wait for each other."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory, one_thread: None) -> Path:
    """Photos, recipes, a target and somebody's checkpoint, as a user has them side by side."""
    from tests.core.homes import furnish

    return furnish(tmp_path_factory.mktemp("home"))


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Cache:
    """What one test built, no other builds again."""
    return Cache(tmp_path_factory.mktemp("cache"))


@pytest.fixture
def at_home(home: Path, cache: Cache, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the command line is called, with the same cache."""
    monkeypatch.setenv("STYLEPRESS_CACHE", str(cache.folder))
    monkeypatch.chdir(home)
    return home
