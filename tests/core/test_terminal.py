"""What a user reads: bars on a terminal, few plain lines elsewhere, errors with their mend."""

from __future__ import annotations

import contextlib
import io
import json
import re

import pytest

from stylepress.terminal import Terminal, duration, table


class Screen(io.StringIO):
    """A stream that calls itself a terminal."""

    def isatty(self) -> bool:
        return True


class Clock:
    """A clock that the test moves."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def plain(*, quiet: bool = False) -> tuple[Terminal, io.StringIO, Clock]:
    err, clock = io.StringIO(), Clock()
    return Terminal(io.StringIO(), err, quiet=quiet, clock=clock), err, clock


def work(terminal: Terminal, clock: Clock, steps: int, step_s: float) -> None:
    terminal.start("Training", steps)
    for _ in range(steps):
        clock.now_s += step_s
        terminal.advance(1, "loss 0.1")
    terminal.finish()


def test_slow_work_tells_its_share_and_the_time_left() -> None:
    terminal, err, clock = plain()
    work(terminal, clock, steps=20, step_s=1.0)
    lines = err.getvalue().splitlines()
    assert lines[0] == "Training: 10 % (2 of 20), 18 s left, loss 0.1"
    assert len(lines) == 11
    assert lines[-1] == "Training: done in 20 s, loss 0.1"


def test_the_time_left_follows_the_latest_pace() -> None:
    terminal, err, clock = plain()
    terminal.start("Training", 100)
    for step in range(60):
        clock.now_s += 1 if step < 50 else 10
        terminal.advance()
    assert err.getvalue().splitlines()[-1] == "Training: 60 % (60 of 100), 6 min 40 s left"


def test_very_slow_work_speaks_every_ten_seconds() -> None:
    terminal, err, clock = plain()
    work(terminal, clock, steps=100, step_s=5.0)
    assert len(err.getvalue().splitlines()) == 51


def test_fast_work_says_one_line() -> None:
    terminal, err, clock = plain()
    work(terminal, clock, steps=1000, step_s=0.0005)
    assert err.getvalue() == "Training: done in 0.5 s, loss 0.1\n"


def test_work_without_an_end_tells_how_far_it_came() -> None:
    terminal, err, clock = plain()
    terminal.start("Reading", None)
    clock.now_s = 11
    terminal.advance(7)
    assert err.getvalue() == "Reading: 7 after 11 s\n"


def test_more_steps_than_announced_do_no_harm() -> None:
    terminal, err, clock = plain()
    terminal.start("Frames", 2)
    for _ in range(4):
        clock.now_s += 2
        terminal.advance()
    assert "200 % (4 of 2), 0.0 s left" in err.getvalue()


def test_quiet_keeps_warnings_errors_and_results() -> None:
    terminal, err, clock = plain(quiet=True)
    work(terminal, clock, steps=20, step_s=1.0)
    terminal.say("hello")
    assert err.getvalue() == ""
    terminal.warn("a.jpg was skipped.")
    terminal.show("result")
    assert err.getvalue() == "warning: a.jpg was skipped.\n"
    assert isinstance(terminal.out, io.StringIO)
    assert terminal.out.getvalue() == "result\n"


def test_an_error_is_two_lines_without_colour_where_none_is_wanted() -> None:
    err = Screen()
    Terminal.of(io.StringIO(), err, {"NO_COLOR": "1"}).error("a.pth is empty.", "Save it again.")
    assert err.getvalue() == "error: a.pth is empty.\n       Save it again.\n"


def test_an_error_is_red_on_a_terminal() -> None:
    err = Screen()
    Terminal.of(io.StringIO(), err, {}).error("No.")
    assert err.getvalue() == "\x1b[31merror:\x1b[0m No.\n"


def test_what_is_wrong_and_the_mend_stand_on_two_lines_whatever_dots_they_hold() -> None:
    err = io.StringIO()
    Terminal(io.StringIO(), err).error("J. Smith/a.yaml is empty.", "Write a name. Or two.")
    assert err.getvalue().splitlines() == [
        "error: J. Smith/a.yaml is empty.",
        "       Write a name. Or two.",
    ]


@pytest.mark.parametrize("encoding", ["cp1252", "ascii", "utf-8"])
@pytest.mark.parametrize(
    "name", ["caf\u00e9.jpg", "\u5199\u771f.jpg", "\U0001f600.jpg", "\udcff.jpg"]
)
def test_a_name_that_a_terminal_cannot_write_never_fails(name: str, encoding: str) -> None:
    out, err = (io.TextIOWrapper(io.BytesIO(), encoding=encoding) for _ in range(2))
    terminal = Terminal.of(out, err, {})
    for tell in (terminal.say, terminal.warn, terminal.error, terminal.show):
        tell(name)
    assert out.buffer.getvalue() == name.encode(encoding, "backslashreplace") + b"\n"
    out.seek(0)
    out.truncate()
    terminal.show_json({"target": name})
    assert json.loads(out.buffer.getvalue().decode(encoding)) == {"target": name}


def test_bars_show_title_share_and_note_and_messages_stand_above_them() -> None:
    err = Screen()
    with Terminal.of(io.StringIO(), err, {"NO_COLOR": "1", "TERM": "xterm"}) as terminal:
        terminal.start("Training [x]", 4)
        terminal.advance(2, "loss 0.5")
        terminal.say("[red]a/b[/red]")
        terminal.finish()
        terminal.say("after")
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", err.getvalue())
    assert "Training [x]" in text
    assert "/4" in text
    assert "[red]a/b[/red]" in text
    assert text.rstrip().endswith("after")


def test_leaving_takes_a_half_drawn_bar_down() -> None:
    err = Screen()
    terminal = Terminal.of(io.StringIO(), err, {"TERM": "xterm"})
    with contextlib.suppress(KeyboardInterrupt), terminal:
        terminal.start("Training", 4)
        raise KeyboardInterrupt
    assert err.getvalue().count("\x1b[?25l") == err.getvalue().count("\x1b[?25h")  # the cursor
    terminal.error("No.")
    assert err.getvalue().endswith(" No.\n")


def test_json_stays_readable_in_any_language() -> None:
    terminal, _, _ = plain()
    terminal.show_json({"name": "ö", "n": [1]})
    assert isinstance(terminal.out, io.StringIO)
    assert json.loads(terminal.out.getvalue()) == {"name": "ö", "n": [1]}
    assert "ö" in terminal.out.getvalue()


def test_columns_are_aligned_and_never_cut() -> None:
    text = table(["name", "ms"], [["x" * 200, 1.5], ["y", 10]])
    assert [len(line) for line in text.splitlines()] == [205, 205, 205]


def test_an_empty_table_is_its_head() -> None:
    assert table(["a", "b"], []) == "a  b"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0.0 s"), (9.99, "10.0 s"), (59.6, "1 min 0 s"), (60, "1 min 0 s"), (3600, "1 h 0 min")],
)
def test_durations_at_the_edges(seconds: float, text: str) -> None:
    assert duration(seconds) == text
