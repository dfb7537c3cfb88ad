"""What others disturbed is measured again, and told when they do not stop."""

from __future__ import annotations

import pytest

from stylepress.benchmarks.machine.timeline import Window
from stylepress.benchmarks.machine.undisturbed import measured
from stylepress.benchmarks.machine.watch import Event, Validity
from stylepress.progress import Silent

BUSY = Event(kind="foreign load", what="others used 40 % of the processor")


class Others:
    """Work for a while, then stop."""

    def __init__(self, *loads: bool) -> None:
        self.loads = list(loads)
        self.windows: list[Window] = []

    def judged(self, window: Window) -> Validity:
        self.windows.append(window)
        busy = self.loads.pop(0)
        return Validity(ok=not busy, events=(BUSY,) if busy else (), samples=1)


@pytest.mark.parametrize(
    ("loads", "values", "disturbed"),
    [
        ([False], (1,), ()),
        ([True, False], (2,), ()),
        ([True, True], (2,), (BUSY.what,)),
    ],
)
def test_a_disturbed_part_is_measured_a_second_time_and_no_third(
    loads: list[bool], values: tuple[int, ...], disturbed: tuple[str, ...]
) -> None:
    others, count = Others(*loads), iter([1, 2, 3])
    found = measured("speed", lambda: [next(count)], others, progress=Silent(), tries=2)
    assert (found.values, found.disturbed) == (values, disturbed)
    assert not others.loads
    assert all(window.seconds >= 0 for window in others.windows)


def test_why_it_is_measured_again_is_told() -> None:
    told: list[str] = []

    class Screen(Silent):
        def warn(self, message: str) -> None:
            told.append(message)

    measured("speed", list, Others(True, False), progress=Screen(), tries=2)
    assert told == [f"speed is measured again: {BUSY.what}."]
