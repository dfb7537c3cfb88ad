"""No process that a test started outlives the run of the tests."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from tests.processes import SETPRIV, bound

PATIENCE_S = 30.0
PARENT = """
import subprocess, sys
from tests.processes import bound
print(subprocess.Popen(bound(["sleep", "600"])).pid, flush=True)
sys.stdin.read()
"""


@pytest.mark.skipif(SETPRIV is None, reason="needs util-linux")
def test_a_child_ends_when_the_run_that_started_it_is_killed() -> None:
    with subprocess.Popen(
        bound([sys.executable, "-c", PARENT]),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[1],
    ) as parent:
        assert parent.stdout is not None
        child = psutil.Process(int(parent.stdout.readline()))
        deadline = time.monotonic() + PATIENCE_S
        while child.name() != "sleep" and time.monotonic() < deadline:
            time.sleep(0.01)  # until setpriv has become it, the rule does not hold
        parent.kill()
    try:
        ended = child.status() == psutil.STATUS_ZOMBIE or child.wait(PATIENCE_S) is None
    except psutil.NoSuchProcess:
        ended = True
    assert ended
