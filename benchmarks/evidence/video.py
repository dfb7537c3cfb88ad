"""Figures about video: frames a second from file to file, how busy the processor is, peak memory."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from stylepress.benchmarks.evidence.clip import make_clip
from stylepress.benchmarks.evidence.row import Row
from stylepress.benchmarks.evidence.setting import Setting, wxh
from stylepress.errors import VerificationError
from stylepress.runtime.machine import usable_cores

HD, SQUARE = (720, 1280), (512, 512)
SECONDS, LONGER = 4.0, 3
RATE, BUSY = "video file to file", "processor time in that run over wall time x cores"
MEMORY = "peak memory of `stylepress run`, 1280x720"
GROWTH = f"... with {LONGER} times the length, over that"

# What `stylepress run` needs at most is asked of the process itself, at its end: what the system
# tells a parent of its child includes the parent's own memory at the moment of the fork.
WORKER = """
import sys
from stylepress.cli import run
code = run(sys.argv[1:])
try:
    lines = open("/proc/self/status").read().splitlines()
    peak = next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))
except OSError:
    import resource
    unit = 1 if sys.platform == "darwin" else 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
sys.stdout.flush()
print("peak_bytes", peak, file=sys.stderr)
sys.exit(code)
"""


@dataclass(frozen=True, slots=True)
class Played:
    """What one ``stylepress run`` on a clip took; ``busy`` is processor over wall x cores."""

    fps: float
    busy: float
    seconds: float
    frames: int
    peak_mb: float

    @property
    def note(self) -> str:
        """How much it was, and the processor time of a frame, which others hardly change."""
        frame_ms = 1e3 * self.busy * usable_cores() * self.seconds / self.frames
        return (
            f"{self.frames} frames in {self.seconds:.1f} s, {frame_ms:.0f} ms of processor a frame"
        )


def figures(setting: Setting, *, seconds: float = SECONDS) -> Iterator[Row]:
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
    peak = f"{first.peak_mb:.0f} MB in the first run, which compiles, then {again.peak_mb:.0f} MB"
    for figure, value, note in (
        (f"{RATE}, {wxh(HD)}", long.fps, long.note),
        (f"{RATE}, {wxh(SQUARE)}", square.fps, square.note),
        (BUSY, 100 * long.busy, wxh(HD)),
        (MEMORY, max(first.peak_mb, again.peak_mb), peak),
        (GROWTH, long.peak_mb / again.peak_mb, f"{long.peak_mb:.0f} MB, {long.frames} frames"),
    ):
        yield Row(figure, value, digest=bundle.digest, note=note)


def play(bundle: Path, clip: Path, setting: Setting) -> Played:
    """Run ``stylepress run`` on a clip in a process of its own.

    Raises:
        VerificationError: the command failed; its last words are told.
    """
    target, cache = setting.work / f"{clip.stem}.out.mp4", setting.work / "cache"
    arguments = ["run", str(bundle), str(clip), str(target), "--json", "--quiet", "--overwrite"]
    done = subprocess.run(
        [sys.executable, "-c", WORKER, *arguments],
        capture_output=True,
        text=True,
        check=False,
        env={**setting.environ, "STYLEPRESS_CACHE": str(cache)},
    )
    if done.returncode:
        raise VerificationError(
            f"`stylepress run` on {clip.name} ended with {done.returncode}: "
            f"{done.stderr.strip()[-300:]}.",
            "Run it by hand to see more.",
        )
    facts = json.loads(done.stdout)
    (peak,) = (line for line in done.stderr.splitlines() if line.startswith("peak_bytes"))
    return Played(
        fps=float(facts["fps"]),
        busy=float(facts["busy"]),
        seconds=float(facts["seconds"]),
        frames=int(facts["written"]),
        peak_mb=int(peak.split()[1]) / 1e6,
    )
