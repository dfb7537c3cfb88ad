"""The command line: which commands there are, and what becomes of their errors."""

from __future__ import annotations

import errno
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import import_module
from types import FrameType
from typing import Annotated, Any

import typer

from stylepress import __version__
from stylepress.errors import StylepressError
from stylepress.options import terminal
from stylepress.terminal import Terminal

USAGE, INTERRUPTED, BAD_INPUT, BUG, CLOSED_PIPE = 64, 130, 2, 70, 141
TRACEBACK = "--traceback"

MAKE, USE, LOOK = "Make a model", "Use it", "Look at things"
COMMANDS: Mapping[str, tuple[str, str]] = {
    "build": ("build", MAKE),
    "train": ("build", MAKE),
    "compress": ("build", MAKE),
    "export": ("build", MAKE),
    "fit": ("fit", MAKE),
    "convert": ("build", MAKE),
    "install": ("run", USE),
    "run": ("run", USE),
    "optimise": ("picture", USE),
    "serve": ("serve", USE),
    "bench": ("bench", USE),
    "compare": ("compare", USE),
    "inspect": ("look", LOOK),
    "doctor": ("look", LOOK),
    "schema": ("look", LOOK),
}
"""Of each command the file, ``commands_FILE.py``, whose function has its name; and its panel."""
GROUPS: Mapping[str, tuple[str, str, tuple[str, ...]]] = {
    "targets": ("look", "Look at device profiles: list, show, detect.", ("list", "show", "detect")),
    "styles": ("look", "Draw style pictures by arithmetic: list, draw.", ("list", "draw")),
    "photos": ("picture", "Photos to train on: fetch.", ("fetch",)),
    "data": ("data", "Sets of pictures to train on: inspect, filter.", ("inspect", "filter")),
}
"""Of each group the file, what it is for, and its commands: ``GROUP_COMMAND`` in that file."""
LISTING = ("targets", "styles")
"""Groups that list what they hold when nothing else is asked."""


def app_for(first: str | None) -> typer.Typer:
    """Return the command line; of one whose ``first`` word is a command, only that.

    The other commands would be imported and described for nothing.
    """
    known = first in COMMANDS or first in GROUPS
    app = typer.Typer(
        name="stylepress",
        help="From a PyTorch stylization model to a small, fast engine, with the cost measured.",
        epilog="Exit codes: 0 fine, 1 it failed, 2 bad input, 3 inconclusive, 64 wrong usage.",
        rich_markup_mode="rich",
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(root)
    for name, (file, panel) in COMMANDS.items():
        if not known or name == first:
            app.command(name, rich_help_panel=panel)(_function(file, name))
    for name, (file, purpose, members) in GROUPS.items():
        if not known or name == first:
            group = typer.Typer(help=purpose, no_args_is_help=name not in LISTING)
            if name in LISTING:
                group.callback(invoke_without_command=True)(
                    _lister(_function(file, f"{name}_list"))
                )
            for member in members:
                group.command(member)(_function(file, f"{name}_{member}"))
            app.add_typer(group, name=name, rich_help_panel=LOOK)
    return app


def _function(file: str, name: str) -> Callable[..., Any]:
    function: Callable[..., Any] = getattr(import_module(f"stylepress.commands_{file}"), name)
    return function


def _lister(listing: Callable[[], None]) -> Callable[[typer.Context], None]:
    def alone(context: typer.Context) -> None:
        if context.invoked_subcommand is None:
            listing()

    return alone


def show_version(wanted: bool) -> None:
    """Print the version and leave, whatever else was asked for."""
    if wanted:
        terminal().show(f"stylepress {__version__}")
        raise typer.Exit


def root(
    version: Annotated[
        bool,
        typer.Option(
            "--version", "-V", is_eager=True, callback=show_version, help="Print the version."
        ),
    ] = False,
    trace: Annotated[
        bool,
        typer.Option(TRACEBACK, help="Show where in the code an error came from; works anywhere."),
    ] = False,
) -> None:
    """From a PyTorch stylization model to a small, fast engine, with the cost measured."""


def run(arguments: Sequence[str]) -> int:
    """Run one command line; return 0, 1, 2, 3, 64 for wrong usage, 70 for a bug, 130 when interrupted."""
    words, trace = _without_traceback_flag(list(arguments))
    trace = trace or os.environ.get("STYLEPRESS_TRACEBACK", "") not in ("", "0")
    try:
        with _terminated_as_interrupted():
            app = app_for(words[0] if words else None)
            code = app(args=words or ["--help"], prog_name="stylepress", standalone_mode=False)
    except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001 - the last place to tell it
        if trace:
            traceback.print_exc()
        return _told(error, terminal())
    except SystemExit as error:  # typer's answer to a closed pipe
        return error.code if isinstance(error.code, int) else CLOSED_PIPE
    if not words:
        return USAGE
    if code == INTERRUPTED:
        return _told(KeyboardInterrupt(), terminal())
    return code if isinstance(code, int) else 0


def _told(error: BaseException, screen: Terminal) -> int:
    """Tell an error to the user; return the exit code."""
    if isinstance(error, StylepressError):
        screen.error(error.wrong, error.mend)
        return error.exit_code
    if isinstance(error, KeyboardInterrupt | typer.Abort):
        screen.warn("interrupted.")
        return INTERRUPTED
    if isinstance(error, _usage_error()):
        context = getattr(error, "ctx", None)
        command = context.command_path if context else "stylepress"
        wrong = error.format_message().rstrip(".")
        screen.error(wrong if wrong.endswith("?") else f"{wrong}.", f"Try `{command} --help`.")
        return USAGE
    if isinstance(error, ModuleNotFoundError) and (mend := _missing_module(error)):
        screen.error(mend)
        return BAD_INPUT
    if isinstance(error, BrokenPipeError):
        _close_stdout()
        return CLOSED_PIPE
    if isinstance(error, OSError) and error.errno:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        mend = "Free some space." if full else "Check the path and its permissions."
        place = f"{error.filename}: " if error.filename else ""
        screen.error(f"{place}{error.strerror}. {mend}")
        return BAD_INPUT
    screen.error(
        f"{type(error).__name__}: {error} "
        f"This is a bug in stylepress; run again with {TRACEBACK} and report what it prints."
    )
    return BUG


def _missing_module(error: ModuleNotFoundError) -> str:
    from stylepress.doctor import extra_for, install

    extra = extra_for(error.name or "")
    return f"The package {error.name} is not installed. Run `{install(extra)}`." if extra else ""


def _usage_error() -> Any:
    # Typer 0.2x carries its own copy of click, older ones import it: ask typer for the class.
    return next(kind for kind in typer.BadParameter.__mro__ if kind.__name__ == "ClickException")


def _without_traceback_flag(arguments: list[str]) -> tuple[list[str], bool]:
    end = arguments.index("--") if "--" in arguments else len(arguments)
    kept = [argument for argument in arguments[:end] if argument != TRACEBACK]
    return kept + arguments[end:], len(kept) < end


@contextmanager
def _terminated_as_interrupted() -> Iterator[None]:
    """Make SIGTERM do what Ctrl-C does, also where Ctrl-C waits for the end of a step."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupt(number: int, frame: FrameType | None) -> None:
        if not callable(signal.getsignal(signal.SIGINT)):
            raise KeyboardInterrupt  # started with `&` by a script, Ctrl-C is ignored
        signal.raise_signal(signal.SIGINT)

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _close_stdout() -> None:
    # Python would complain once more when it flushes at exit.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
