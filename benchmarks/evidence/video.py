"""Figures about video: frames a second from file to file, how busy the processor is, peak memory."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av

from stylepress.benchmarks.evidence.row import Row, promised
from stylepress.benchmarks.evidence.setting import Setting, wxh
from stylepress.benchmarks.quality.motion.clip import make_clip
from stylepress.errors import VerificationError
from stylepress.runtime.machine import usable_cores

HD, SQUARE = (720, 1280), (512, 512)
SECONDS, LONGER = 10.0, 3
FPS_BARS = {HD: 25.0, SQUARE: 75.0}
BUSY_BAR, MEMORY_BAR_MB, GROWTH_BAR = 90.0, 600.0, 1.05

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
    def processor_ms(self) -> float:
        """Processor time of one frame: what a busy machine does not change much."""
        return 1e3 * self.busy * usable_cores() * self.seconds / self.frames


def video_figures(setting: Setting, *, seconds: float = SECONDS) -> Iterator[Row]:
    """Run the costliest style on clips made of the photos, each in a fresh process."""
    style = max(setting.styles, key=lambda each: each.macs)
    digest, work = style.bundle.digest, setting.work
    played: dict[tuple[int, int], list[Played]] = {}
    for size, bar in FPS_BARS.items():
        clip = work / f"{wxh(size)}.mp4"
        setting.progress.say(f"Making a {seconds:g} s clip of {wxh(size)} with sound.")
        make_clip(setting.paths("heldout"), clip, seconds=seconds, size=size)
        # Compiled engines and the choice of one are kept from the first, short run.
        played[size] = [play(style.bundle.folder, clip, setting) for _ in range(2)]
        best = max(played[size], key=lambda each: each.fps)
        yield promised(
            f"video file to file, {wxh(size)}",
            best.fps,
            "frames/s",
            least=bar,
            note=f"{style.name}, {best.frames} frames in {best.seconds:.1f} s, "
            f"{best.processor_ms:.0f} ms of processor a frame, better of 2 runs",
            digest=digest,
        )
    best, peaks = max(played[HD], key=lambda each: each.fps), [one.peak_mb for one in played[HD]]
    name = "processor time in that run over wall time x cores"
    yield promised(name, 100 * best.busy, "%", least=BUSY_BAR, note=wxh(HD), digest=digest)
    name = f"peak memory of `stylepress run`, {wxh(HD)}"
    note = f"{best.frames} frames; {peaks[0]:.0f} MB in the first run, which compiles, then "
    note += f"{peaks[1]:.0f} MB"
    yield promised(name, max(peaks), "MB", most=MEMORY_BAR_MB, note=note, digest=digest)
    repeat_clip(work / f"{wxh(HD)}.mp4", work / "long.mp4", times=LONGER)
    longer = play(style.bundle.folder, work / "long.mp4", setting)
    growth, note = longer.peak_mb / peaks[1], f"{longer.peak_mb:.0f} MB, {longer.frames} frames"
    name = f"... with {LONGER} times the length, over that"
    yield promised(name, growth, "x", most=GROWTH_BAR, note=note, digest=digest)


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
    told = json.loads(done.stdout)
    (peak,) = (line for line in done.stderr.splitlines() if line.startswith("peak_bytes"))
    return Played(
        fps=float(told["fps"]),
        busy=float(told["busy"]),
        seconds=float(told["seconds"]),
        frames=int(told["written"]),
        peak_mb=int(peak.split()[1]) / 1e6,
    )


def repeat_clip(source: Path, target: Path, *, times: int) -> None:
    """Write a clip's packets several times over, without decoding them."""
    with av.open(str(target), "w") as out:
        streams: dict[int, Any] = {}
        shift_s = Fraction(0)
        for _ in range(times):
            first_s, last_s = Fraction(0), Fraction(0)
            with av.open(str(source)) as clip:
                for stream in clip.streams:
                    if stream.index not in streams:
                        streams[stream.index] = out.add_stream_from_template(stream)
                for packet in clip.demux():
                    if packet.dts is None or packet.pts is None:
                        continue
                    base = packet.time_base
                    # Sound begins a little before 0, as its encoder needs a run-up.
                    first_s = min(first_s, packet.dts * base)
                    last_s = max(last_s, (packet.pts + (packet.duration or 0)) * base)
                    offset = round(shift_s / base)
                    packet.dts, packet.pts = packet.dts + offset, packet.pts + offset
                    packet.stream = streams[packet.stream_index]
                    out.mux(packet)
            shift_s += last_s - first_s
