"""Ctrl-C that waits for the end of the step that is being worked on."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

SAME_PRESS_S = 1.0


@contextmanager
def deferred_interrupt() -> Iterator[Callable[[], bool]]:
    """Yield a function that says whether Ctrl-C was pressed; a second press interrupts at once.

    Within a second it is the same press: torchrun hands the terminal's on a second time.

    Outside the main thread signals cannot be caught, and the function always says no.
    """
    pressed = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield pressed.is_set
        return
    before = signal.getsignal(signal.SIGINT)

    def note(number: int, frame: FrameType | None) -> None:
        if pressed.is_set() and time.monotonic() - pressed_s[0] > SAME_PRESS_S:
            signal.signal(signal.SIGINT, before)
            os.kill(os.getpid(), signal.SIGINT)
        elif not pressed.is_set():
            pressed_s.append(time.monotonic())
            pressed.set()

    pressed_s: list[float] = []
    signal.signal(signal.SIGINT, note)
    try:
        yield pressed.is_set
    finally:
        signal.signal(signal.SIGINT, before)
