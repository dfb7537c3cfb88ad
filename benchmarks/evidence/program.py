"""Figures about the program: start, video from file to file, memory, optimising a picture."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from statistics import median

from stylepress.benchmarks.evidence.clip import make_clip
from stylepress.benchmarks.evidence.row import Row
from stylepress.benchmarks.evidence.setting import SQUARE, Setting, wxh
from stylepress.errors import RecipeError, VerificationError
from stylepress.runtime.machine import usable_cores
from stylepress.train.gatys.optimise import OptimiseOptions
from stylepress.train.gatys.picture_file import optimise_file

STARTS = 7
IMPORT, START = "import stylepress.runtime", "stylepress --version, from start to end"
CLOCKED = f"import time; t = time.perf_counter(); {IMPORT}; print(time.perf_counter() - t)"
OPTIMISE, OPTIMISED = "`stylepress optimise` at 512x512", "... its VGG style distance"
HD = (720, 1280)
SECONDS, LONGER = 4.0, 3
RATE, BUSY = "video file to file", "processor time in that run over wall time x cores"
MEMORY = "peak memory of `stylepress run`, 1280x720"
GROWTH = f"... with {LONGER} times the length, over that"

# What `stylepress run` needs at most is asked of the process itself, at its end: what the system
# tells a parent of its child includes the parent's own memory at the moment of the fork.
WORKER = """
import json, sys
from stylepress.benchmarks.timing.worker import peak_bytes
from stylepress.cli import run
code = run(sys.argv[1:])
print(json.dumps({"peak_mb": (peak_bytes() or 0) / 1e6}), file=sys.stderr)
sys.exit(code)
"""


def starts(setting: Setting, *, times: int = STARTS) -> Iterator[Row]:
    """Time the import of the runtime, and the shortest command as a whole; medians."""
    note = f"median of {times} fresh processes"
    inside = [float(_python("-c", CLOCKED).stdout) for _ in range(times)]
    yield Row(IMPORT, median(inside), note=note)
    whole = []
    for _ in range(times):
        began = time.perf_counter()
        _python("-m", "stylepress", "--version")
        whole.append(time.perf_counter() - began)
    yield Row(START, median(whole), note=note)


def _python(*words: str, env: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, *words], capture_output=True, text=True, check=False, env=env
    )
    if done.returncode:
        raise VerificationError(
            f"`python {' '.join(words)[-200:]}` ended with {done.returncode}: "
            f"{done.stderr.strip()[-300:]}.",
            "Run it by hand to see more.",
        )
    return done


def video(setting: Setting, *, seconds: float = SECONDS) -> Iterator[Row]:
    """Run a style on clips made of the photos, each in a fresh process.

    Compiled engines and the choice of one are kept from the first, short run.
    """
    bundle, paths = setting.style.bundle, setting.paths("heldout")
    clips = {}
    for name, size, times in (("square", SQUARE, 1), ("short", HD, 1), ("long", HD, LONGER)):
        clips[name] = setting.work / f"{name}.mp4"
        setting.progress.say(f"Making a clip of {times * seconds:g} s at {wxh(size)} with sound.")
        make_clip(paths, clips[name], seconds=times * seconds, size=size)
    _, square, first, again, long = (
        play(bundle.folder, clips[name], setting)
        for name in ("square", "square", "short", "short", "long")
    )
    peaks = [one["peak_mb"] for one in (first, again, long)]
    said = "{:.0f} MB in the first run, which compiles, then {:.0f} MB; {:.0f} MB of the long clip"
    for figure, value, note in (
        (f"{RATE}, {wxh(HD)}", long["fps"], _note(long)),
        (f"{RATE}, {wxh(SQUARE)}", square["fps"], _note(square)),
        (BUSY, 100 * long["busy"], wxh(HD)),
        (MEMORY, max(peaks[:2]), said.format(*peaks)),
        (GROWTH, peaks[2] / peaks[1], ""),
    ):
        yield Row(figure, value, digest=bundle.digest, note=note)


def play(bundle: Path, clip: Path, setting: Setting) -> Mapping[str, float]:
    """Run ``stylepress run`` on a clip in a process of its own; return what it tells, and its peak."""
    target, cache = setting.work / f"{clip.stem}.out.mp4", setting.work / "cache"
    arguments = ["run", str(bundle), str(clip), str(target), "--json", "--quiet", "--overwrite"]
    env = {**setting.environ, "STYLEPRESS_CACHE": str(cache)}
    done = _python("-c", WORKER, *arguments, env=env)
    return {**json.loads(done.stdout), **json.loads(done.stderr.splitlines()[-1])}


def _note(run: Mapping[str, float]) -> str:
    """Say how much it was, and the processor time of a frame, which others hardly change."""
    frames, seconds = run["written"], run["seconds"]
    frame_ms = 1e3 * run["busy"] * usable_cores() * seconds / frames
    return f"{frames:.0f} frames in {seconds:.1f} s, {frame_ms:.0f} ms of processor a frame"


def optimising(setting: Setting) -> Iterator[Row]:
    """Optimise the pixels of a held-out photo, as the command does."""
    files = setting.paths("heldout")[0], setting.style.picture, setting.work / "optimised.png"
    try:
        done = optimise_file(
            files, OptimiseOptions(), setting.progress,
            weights=None, watch=False, env=setting.environ, home=setting.home,
        )  # fmt: skip
    except RecipeError as error:
        setting.progress.warn(f"Optimising is left out. {error}")
        return
    note = f"{setting.style.name}, {done['width']}x{done['height']}, {setting.threads} threads"
    yield Row(OPTIMISE, done["seconds"], note=note)
    note = f"the photo {done['photo_style_distance']:.2f}"
    yield Row(OPTIMISED, done["style_distance"], note=note)
