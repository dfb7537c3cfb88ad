"""The command line: exit codes, help, and what a user reads when something is wrong."""

from __future__ import annotations

import errno
import json
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from stylepress import __version__, commands_look
from stylepress.__main__ import main
from stylepress.cli import _usage_error
from stylepress.errors import StylepressError, VerificationError

ROOT = Path(__file__).parents[2]
COMMANDS = (
    "build",
    "train",
    "compress",
    "export",
    "fit",
    "run",
    "bench",
    "compare",
    "inspect",
    "doctor",
)
Capture = pytest.CaptureFixture[str]


def failing(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> int:
    """Run a command whose work raises ``error``."""

    def fail(path: Path) -> None:
        raise error

    monkeypatch.setattr("stylepress.inspection.inspect", fail)
    return main(["inspect", "x"])


def test_the_version_is_told_without_loading_the_command_line() -> None:
    code = (
        "import sys; from stylepress.__main__ import main; main(['--version']);"
        "print([m for m in ('typer', 'rich', 'pydantic', 'numpy', 'yaml') if m in sys.modules])"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True, cwd=ROOT
    )
    assert ran.stdout == f"stylepress {__version__}\n[]\n"


def test_the_version_is_told_beside_other_options_too(capsys: Capture) -> None:
    assert main(["--traceback", "--version"]) == 0
    assert capsys.readouterr().out == f"stylepress {__version__}\n"


def test_nothing_asked_for_is_wrong_usage_and_shows_the_help(capsys: Capture) -> None:
    assert main([]) == 64
    assert "Usage: stylepress" in capsys.readouterr().out


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_a_help_with_an_example(command: str, capsys: Capture) -> None:
    assert main([command, "--help"]) == 0
    out = capsys.readouterr().out
    assert "Example" in out
    assert f"stylepress {command}" in out


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["bild"], "No such command 'bild'"),
        (["inspect"], "Missing argument 'FILE'"),
        (["inspect", "x", "--jsn"], "No such option"),
        (["schema", "recipes"], "'recipes' is not one of"),
        (["bench", "a", "--size", "12"], "'12' is no frame size."),
        (["styles", "draw", "glass", "a.png", "--seed", "-1"], "Invalid value for '--seed'"),
    ],
)
def test_wrong_usage_is_64_and_two_lines(arguments: list[str], told: str, capsys: Capture) -> None:
    assert main(arguments) == 64
    error = capsys.readouterr().err
    assert told in error
    assert "--help`." in error.splitlines()[-1]
    assert error.startswith("error: ")


def test_bad_input_is_2_and_names_the_mend(capsys: Capture) -> None:
    assert main(["targets", "show", "x86cpu"]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert lines == ["error: There is no target 'x86cpu'.", "       Did you mean 'x86-cpu'?"]


@pytest.mark.parametrize(
    ("error", "code", "told"),
    [
        (VerificationError("It differs. Build again."), 1, "error: It differs."),
        (KeyboardInterrupt(), 130, "warning: interrupted."),
        (ModuleNotFoundError("x", name="torch"), 2, "pip install 'stylepress[train]'"),
        (OSError(errno.ENOSPC, "No space left on device", "a.png"), 2, "Free some space."),
        (PermissionError(errno.EACCES, "Permission denied", "a.png"), 2, "a.png: Permission"),
        (ValueError("what?"), 70, "This is a bug in stylepress"),
        (ModuleNotFoundError("x", name="nobody"), 70, "This is a bug in stylepress"),
    ],
)
def test_each_kind_of_error_has_its_code_and_no_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: Capture, error: BaseException, code: int, told: str
) -> None:
    assert failing(monkeypatch, error) == code
    shown = capsys.readouterr().err
    assert told in shown
    assert "Traceback" not in shown


def test_every_error_of_the_tree_has_a_code_of_its_own() -> None:
    waiting = [StylepressError]
    while waiting:
        kind = waiting.pop()
        assert kind.exit_code in (1, 2)
        waiting += kind.__subclasses__()


def test_the_traceback_is_shown_when_asked_for(
    monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    monkeypatch.setattr("stylepress.inspection.inspect", lambda path: 1 / 0)
    assert main(["inspect", "x", "--traceback"]) == 70
    assert "ZeroDivisionError" in capsys.readouterr().err.partition("Traceback")[2]
    monkeypatch.setenv("STYLEPRESS_TRACEBACK", "1")
    assert main(["inspect", "x"]) == 70
    assert "Traceback" in capsys.readouterr().err


def test_what_follows_two_dashes_is_never_taken_for_an_option(capsys: Capture) -> None:
    assert main(["inspect", "--", "--traceback"]) == 2
    assert "--traceback cannot be read" in capsys.readouterr().err


SIGTERM_SCRIPT = """
import os, signal, sys, time
import stylepress.inspection
from stylepress.__main__ import main
signal.signal(signal.SIGINT, signal.%s)
before = signal.getsignal(signal.SIGTERM)
def wait(path):
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(30)
stylepress.inspection.inspect = wait
code = main(["inspect", "x"])
sys.exit(code if signal.getsignal(signal.SIGTERM) is before else 99)
"""


@pytest.mark.parametrize("ctrl_c", ["default_int_handler", "SIG_IGN"])
def test_sigterm_stops_like_ctrl_c_and_leaves_the_handlers_as_they_were(ctrl_c: str) -> None:
    # In a process of its own: with all of pytest's native libraries loaded it once crashed, and why
    # is not known. `stylepress run` with OpenVINO and PyAV loaded stops as it should.
    command = [sys.executable, "-c", SIGTERM_SCRIPT % ctrl_c]
    ran = subprocess.run(command, check=False, capture_output=True, text=True, cwd=ROOT, timeout=60)
    assert (ran.returncode, ran.stderr) == (130, "warning: interrupted.\n")


def test_a_reader_that_goes_away_is_no_bug() -> None:
    command = f"{sys.executable} -m stylepress schema recipe | head -c 10"
    ran = subprocess.run(command, shell=True, check=True, capture_output=True, text=True, cwd=ROOT)
    assert (len(ran.stdout), ran.stderr) == (10, "")


@pytest.mark.parametrize(
    "arguments",
    [
        ["doctor", "--json"],
        ["targets", "list", "--json"],
        ["targets", "show", "cpu", "--json"],
        ["targets", "detect", "--json"],
        ["schema", "recipe"],
        ["schema", "target"],
        ["schema", "report"],
    ],
)
def test_what_is_for_programs_is_json_and_nothing_else(
    arguments: list[str], capsys: Capture
) -> None:
    assert main(arguments) == 0
    assert json.loads(capsys.readouterr().out)


@pytest.mark.parametrize("group", ["targets", "styles"])
def test_a_group_alone_lists_what_is_in_it(group: str, capsys: Capture) -> None:
    assert main([group]) == 0
    alone = capsys.readouterr().out
    assert main([group, "list"]) == 0
    assert capsys.readouterr().out == alone != ""


def test_a_drawn_style_is_the_picture_of_its_seed(tmp_path: Path) -> None:
    draw = ["styles", "draw", "glass", "--size", "64", "--seed"]
    for name, seed in (("a", "1"), ("b", "1"), ("c", "2")):
        assert main([*draw, seed, str(tmp_path / f"{name}.png")]) == 0
    a, b, c = ((tmp_path / f"{name}.png").read_bytes() for name in "abc")
    assert a == b != c


def test_a_picture_format_that_nobody_knows_is_refused(tmp_path: Path, capsys: Capture) -> None:
    assert main(["styles", "draw", "glass", str(tmp_path / "a.xyz"), "--size", "64"]) == 2
    assert "a.xyz" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_facts_show_empty_things_as_none() -> None:
    assert (
        commands_look.facts({"inputs": [], "made from": None}) == "inputs     none\nmade from  none"
    )


def test_usage_errors_are_recognised_whatever_click_typer_brings() -> None:
    assert issubclass(typer.BadParameter, _usage_error())
