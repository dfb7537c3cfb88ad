"""Where a user looks: progress, messages and errors on stderr, results on stdout."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from rich.progress import Progress as Bars
    from rich.progress import TaskID
    from typing_extensions import Self

PLAIN_SHARE = 0.1
PLAIN_PAUSE_S = 10.0
PLAIN_LEAST_S = 1.0


@dataclass
class _Task:
    """One piece of work that is going on."""

    title: str
    total: int | None
    began_s: float
    shown_s: float
    done: int = 0
    shown: int = 0
    note: str = ""
    task: TaskID | None = None


class Terminal:
    """A Progress that draws bars with the time left on a terminal, and plain lines elsewhere.

    Use it as a context manager: leaving it takes a half-drawn bar down, so that whatever is
    printed next stands on its own line.
    """

    def __init__(
        self,
        out: TextIO,
        err: TextIO,
        *,
        live: bool = False,
        colour: bool = False,
        quiet: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.out, self.err = out, err
        self.live, self.colour, self.quiet = live and not quiet, colour, quiet
        self._clock = clock
        self._works: list[_Task] = []
        self._bars: Bars | None = None
        self._lock = threading.RLock()

    @classmethod
    def of(
        cls, out: TextIO, err: TextIO, environ: Mapping[str, str], *, quiet: bool = False
    ) -> Terminal:
        """Choose bars and colours by what ``err`` is and what the environment asks for."""
        terminal = err.isatty() and environ.get("TERM") != "dumb"
        colour = terminal and not environ.get("NO_COLOR")
        return cls(out, err, live=terminal, colour=colour, quiet=quiet)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with self._lock:
            self._works.clear()
            if self._bars is not None:
                self._bars.stop()
                self._bars = None

    def start(self, title: str, total: int | None) -> None:
        """Begin one piece of work of ``total`` steps (None when nobody knows)."""
        with self._lock:
            now = self._clock()
            work = _Task(title, total, now, now)
            self._works.append(work)
            if self.live:
                if self._bars is None:
                    self._bars = _bars(self.err, colour=self.colour)
                    self._bars.start()
                work.task = self._bars.add_task(title, total=total, note="")

    def advance(self, steps: int = 1, note: str = "") -> None:
        """Tell that ``steps`` more are done; ``note`` is a short figure, e.g. ``loss 0.12``."""
        with self._lock:
            if not self._works:
                return
            work = self._works[-1]
            work.done += steps
            work.note = note or work.note
            if self._bars is not None and work.task is not None:
                self._bars.update(work.task, advance=steps, note=work.note)
            elif not self.quiet and self._is_time(work):
                now = self._clock()
                self._write(self.err, _line(work, now))
                work.shown, work.shown_s = work.done, now

    def finish(self) -> None:
        """End the piece of work begun last."""
        with self._lock:
            if not self._works:
                return
            work = self._works.pop()
            elapsed_s = self._clock() - work.began_s
            if self._bars is not None and work.task is not None:
                self._bars.remove_task(work.task)
                if not self._works:
                    self._bars.stop()
                    self._bars = None
            note = f", {work.note}" if work.note else ""
            self.say(f"{work.title}: done in {duration(elapsed_s)}{note}")

    def say(self, message: str) -> None:
        """Tell one line that a user should read."""
        if not self.quiet:
            self._write(self.err, message)

    def warn(self, message: str) -> None:
        """Tell one line about something that was skipped or mended on the way."""
        self._write(self.err, f"{self._paint('warning:', 33)} {message}")

    def error(self, wrong: str, mend: str = "") -> None:
        """Print what is wrong on one line, and the mend on the next."""
        self._write(self.err, f"{self._paint('error:', 31)} {wrong}")
        if mend:
            self._write(self.err, f"       {mend}")

    def show(self, text: str) -> None:
        """Print a result."""
        self._write(self.out, text)

    def show_json(self, value: Any) -> None:
        """Print a result for programs."""
        unicode = (getattr(self.out, "encoding", None) or "utf-8").lower().startswith("utf")
        text = json.dumps(value, indent=2, ensure_ascii=not unicode, default=str)
        self._write(self.out, text)

    def _is_time(self, work: _Task) -> bool:
        pause_s = self._clock() - work.shown_s
        if pause_s >= PLAIN_PAUSE_S:
            return True
        share = (work.done - work.shown) / work.total if work.total else 0.0
        return pause_s >= PLAIN_LEAST_S and share >= PLAIN_SHARE

    def _paint(self, text: str, code: int) -> str:
        return f"\x1b[{code}m{text}\x1b[0m" if self.colour else text

    def _write(self, file: TextIO, text: str) -> None:
        with self._lock:
            if self._bars is not None:
                _print_above(self._bars, text)
            else:
                file.write(f"{_written_in(file, text)}\n")
                file.flush()


def _written_in(file: TextIO, text: str) -> str:
    """Escape what the encoding of a file does not hold, as JSON and Python would.

    A name of a file is a text of any script, or no text at all, and to tell it must not fail.
    """
    encoding = getattr(file, "encoding", None) or "utf-8"
    return text.encode(encoding, "backslashreplace").decode(encoding)


def _bars(err: TextIO, *, colour: bool) -> Bars:
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=None),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(compact=True),
        TextColumn("{task.fields[note]}", markup=False),
        console=Console(file=err, no_color=not colour, force_terminal=True),
        transient=True,
        refresh_per_second=4,  # each drawing costs milliseconds that the training wants
        speed_estimate_period=120,
    )


def _print_above(bars: Bars, text: str) -> None:
    from rich.text import Text

    # As Text: no markup is looked for, because a path may hold brackets.
    bars.console.print(Text.from_ansi(text), soft_wrap=True)


def _line(work: _Task, now_s: float) -> str:
    if not work.total:
        text = f"{work.title}: {work.done} after {duration(now_s - work.began_s)}"
    else:
        # By the latest pace: later steps of a training may take several times as long.
        pace_s = (now_s - work.shown_s) / max(1, work.done - work.shown)
        left_s = pace_s * max(0, work.total - work.done)
        text = (
            f"{work.title}: {100 * work.done // work.total} % "
            f"({work.done} of {work.total}), {duration(left_s)} left"
        )
    return f"{text}, {work.note}" if work.note else text


def duration(seconds: float) -> str:
    """Write a time as people say it.

    >>> duration(0.34), duration(75), duration(7384)
    ('0.3 s', '1 min 15 s', '2 h 3 min')
    """
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Lay rows out in columns: text to the left, numbers to the right, never cut.

    >>> print(table(["name", "ms"], [["nano", 3.2], ["base", 11]]))
    name   ms
    nano  3.2
    base   11
    """
    cells = [[str(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(head, *cells, strict=True)]
    right = [
        bool(rows) and all(isinstance(row[index], int | float) for row in rows)
        for index in range(len(head))
    ]
    lines = [
        "  ".join(
            cell.rjust(width) if number else cell.ljust(width)
            for cell, width, number in zip(line, widths, right, strict=True)
        ).rstrip()
        for line in [list(head), *cells]
    ]
    return "\n".join(lines)
