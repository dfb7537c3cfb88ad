"""What several commands share: their options, and the terminal they speak through."""

from __future__ import annotations

import io
import os
import platform
import re
import sys
import tempfile
from collections.abc import Collection, Sequence
from contextlib import suppress
from importlib import util
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from stylepress.cache import Cache, user_cache
from stylepress.errors import BackendError, RecipeError
from stylepress.terminal import Terminal

if TYPE_CHECKING:
    from stylepress.targets.detect import Detected
    from stylepress.targets.target import Target

Quiet = Annotated[
    bool, typer.Option("--quiet", "-q", help="Say nothing but warnings, errors and results.")
]
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON on stdout.")]
TargetName = Annotated[
    str | None,
    typer.Option(
        "--target", "-t", metavar="NAME", help="Device profile; see `stylepress targets`."
    ),
]
Fresh = Annotated[
    bool, typer.Option("--no-cache", help="Build every step again, and keep nothing for later.")
]
USUAL_SIZE = (512, 512)
"""(height, width) of the frames where neither the user nor a target names one."""
ForeignLoad = Annotated[
    float,
    typer.Option(
        "--foreign-load",
        metavar="PERCENT",
        min=0,
        max=100,
        help="Others may use so much of the processor before a run may not count.",
    ),
]


MeasuredSize = Annotated[
    str | None,
    typer.Option("--size", metavar="WxH", help="Frame size; default the target's, 512x512."),
]
Threads = Annotated[
    int | None,
    typer.Option("--threads", metavar="N", min=1, help="Default: as many as there are cores."),
]
StylePicture = Annotated[
    Path | None,
    typer.Option("--style", metavar="IMG", help="Style picture, for the style distance."),
]
GateFile = Annotated[
    Path | None,
    typer.Option(
        "--gate-file",
        metavar="YAML",
        help="Limits, one line a figure; see `stylepress schema gate`.",
    ),
]
Extractor = Annotated[
    Path | None,
    typer.Option(
        "--extractor",
        metavar="FILE",
        help="effnet-lite0, vgg19, or a file: the Inception weights of FID.",
    ),
]


def terminal(*, quiet: bool = False) -> Terminal:
    """Return the terminal of this process; of several under torchrun only the first speaks."""
    first = os.environ.get("RANK", "0") == "0"
    out = sys.stdout if first else io.StringIO()
    return Terminal.of(out, sys.stderr, os.environ, quiet=quiet or not first)


def build_cache(*, fresh: bool) -> Cache | None:
    """Return the user's build cache, or None when it is not wanted."""
    return None if fresh else Cache(user_cache())


def home() -> Path:
    """Return the user's folder; in a container the user may have none."""
    try:
        return Path.home()
    except RuntimeError:
        return Path(tempfile.gettempdir())


def this_machine() -> Detected:
    """Return the target of this machine; NVML is asked for its cards where it can be."""
    from stylepress.targets.detect import detect

    cards: list[str] = []
    if util.find_spec("pynvml") is not None:
        from stylepress.targets.gpus import open_gpus

        with suppress(LookupError):
            cards = [str(card["name"]) for card in open_gpus().facts()]
    return detect(Path("/"), machine=platform.machine(), gpus=cards)


def refuse_idle(context: typer.Context, names: Collection[str], why: str) -> None:
    """Refuse those of the options ``names`` that were given: they would do nothing.

    ``why`` ends the sentence, e.g. "without `--scenario`".

    Raises:
        RecipeError: one was given, even with its default as value.
    """
    idle = []
    for parameter in context.command.params:
        name = parameter.name or ""
        source = context.get_parameter_source(name) if name in names else None
        if source is not None and source.name != "DEFAULT":
            negated = context.params.get(name) is False and parameter.secondary_opts
            idle.append(f"`{(negated or parameter.opts)[0]}`")
    if idle:
        them = "it" if len(idle) == 1 else "them"
        raise RecipeError(f"{', '.join(idle)} would do nothing {why}.", f"Leave {them} out.")


def frame_size(text: str) -> tuple[int, int]:
    """Read a frame size as users write it, width first; return (height, width).

    >>> frame_size("1280x720")
    (720, 1280)
    """
    match = re.fullmatch(r"(\d{1,9})x(\d{1,9})", text)
    if match is None:
        raise typer.BadParameter(f"{text!r} is no frame size. Write it as 1280x720.")
    return int(match[2]), int(match[1])


def measured_size(text: str | None, target: Target | None) -> tuple[int, int]:
    """Return the (height, width) to measure at: the user's, else the target's, else the usual.

    Raises:
        RecipeError: nothing can be measured at the user's.
    """
    from stylepress.benchmarks.quality.photos import check_frame

    if text:
        size = frame_size(text)
        check_frame(size)
        return size
    return target.size if target else USUAL_SIZE


def chosen_backends(names: Sequence[str] | None, target: Target | None) -> tuple[str, ...] | None:
    """Return the backends to measure in: the user's, else the target's, else None for all.

    Raises:
        BackendError: there is none of a name, or the target has none that is run here.
    """
    from stylepress.runtime.backends import find

    for name in names or ():
        find(name)
    if names:
        return tuple(dict.fromkeys(names))
    return _runnable(target) if target else None


def _runnable(target: Target) -> tuple[str, ...]:
    """Return the target's engines that can be measured on this machine."""
    from stylepress.runtime.backends import obstacle
    from stylepress.targets.target import usable_engines

    reasons = {engine: obstacle(engine) for engine in usable_engines(target)}
    backends = tuple(engine for engine, reason in reasons.items() if not reason)
    if not backends:
        raise BackendError(
            f"No engine of target {target.name!r} runs on this machine: "
            f"{' '.join(dict.fromkeys(reasons.values()))}",
            "Measure another --target.",
        )
    return backends
