"""A module that others find missing while they are imported."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def without_module(name: str) -> Iterator[None]:
    """Let ``import name`` fail inside the block; a module that is loaded already comes back after."""
    before = sys.modules.get(name)
    sys.modules[name] = None  # type: ignore[assignment]  # as Python marks a missing one
    try:
        yield
    finally:
        del sys.modules[name]
        if before is not None:
            sys.modules[name] = before
