"""Hostile requests against a real daemon; `python -m tests.runtime.serve.hostile` sends ten thousand of the same kinds."""

from __future__ import annotations

from tests.runtime.serve.hostile import attack
from tests.runtime.serve.running import Daemon


def test_hostile_requests_change_nothing(daemon: Daemon) -> None:
    found = attack(daemon, 140, seed=1)
    assert found["alive"]
    assert found["still_right"]
    assert not {"hang", "LEAK", "500"} & found["answers"].keys(), found
