"""Clips whose motion is exactly known: a camera over still photos, as H.264 with sound."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, cast

import av
import numpy as np
from numpy.typing import NDArray

from stylepress.benchmarks.quality.motion.camera import Frame, Matrix, camera, render
from stylepress.errors import FrameError
from stylepress.replace import replacing_file

SAMPLE_HZ = 48_000


@dataclass(frozen=True, slots=True)
class Clip:
    """A rendered clip and the truth about it.

    ``affines`` is (T, 2, 3), frame to still; ``cuts`` names the frames at which another photo
    begins.
    """

    path: Path
    size: tuple[int, int]
    fps: int
    affines: Matrix
    cuts: tuple[int, ...]


def make_clip(
    photos: Sequence[Path],
    path: Path,
    *,
    seconds: float = 10,
    size: tuple[int, int] = (720, 1280),
    fps: int = 30,
    sound: bool = True,
) -> Clip:
    """Write an H.264 mp4 (with AAC sound) of a closed camera loop over each photo in turn.

    ``size`` is (height, width), both even. The same photos give the same pictures.

    Raises:
        FrameError: no photo, one that cannot be read, an odd size, or less than a frame a photo.
    """
    count = round(seconds * fps)
    if not photos or count < len(photos) or any(side % 2 or side < 16 for side in size):
        raise FrameError(
            f"{len(photos)} photos cannot become {count} frames of {size[1]}x{size[0]}.",
            "Give at least one photo, one frame a photo, and an even size of at least 16.",
        )
    cuts = [count * number // len(photos) for number in range(len(photos) + 1)]
    loops = [
        camera(photo, size, end - start)
        for photo, start, end in zip(photos, cuts, cuts[1:], strict=False)
    ]
    frames = (frame for still, matrices in loops for frame in render(still, matrices, size))
    clip = Clip(path, size, fps, np.concatenate([each for _, each in loops]), tuple(cuts[1:-1]))
    with replacing_file(path) as beside:
        _encode(frames, beside, clip=clip, tone=chord(count / fps) if sound else None)
    return clip


def chord(seconds: float) -> NDArray[np.float32]:
    """Synthesize a slow arpeggio over a drone: (2, samples) float32 in [-1, 1] at 48 kHz."""
    time = np.arange(round(seconds * SAMPLE_HZ)) / SAMPLE_HZ
    sides = []
    for side in (0, 1):
        wave = 0.12 * np.sin(2 * np.pi * 110 * time) * (1 + 0.3 * np.sin(2 * np.pi * 0.3 * time))
        for number, pitch_hz in enumerate((220.0, 277.18, 329.63, 440.0)):
            age = (time - number / 2) % 2
            pluck = np.exp(-3 * age) * np.minimum(1, age / 0.01)
            pan = 0.5 + 0.5 * (number % 2 == side)
            wave = wave + 0.12 * pan * pluck * np.sin(2 * np.pi * pitch_hz * time)
        sides.append(wave)
    return np.stack(sides).astype(np.float32)


def _encode(
    frames: Iterator[Frame], path: Path, *, clip: Clip, tone: NDArray[np.float32] | None
) -> None:
    with av.open(str(path), "w") as container:
        video = cast(Any, container.add_stream("libx264", rate=clip.fps))
        video.height, video.width = clip.size
        video.pix_fmt = "yuv420p"
        video.options = {"preset": "veryfast", "crf": "20"}
        audio: Any = None
        if tone is not None:
            audio = container.add_stream("aac", rate=SAMPLE_HZ, layout="stereo")
        done = 0
        for number, frame in enumerate(frames):
            picture = av.VideoFrame.from_ndarray(frame, format="rgb24")
            picture.pts, picture.time_base = number, Fraction(1, clip.fps)
            container.mux(video.encode(picture))
            while tone is not None and done < (number + 1) * SAMPLE_HZ / clip.fps:
                piece = np.ascontiguousarray(tone[:, done : done + 1024])
                if piece.shape[1] == 0:
                    break
                container.mux(audio.encode(_sound(piece, done)))
                done += piece.shape[1]
        container.mux(video.encode(None))
        if audio is not None:
            container.mux(audio.encode(None))


def _sound(piece: NDArray[np.float32], start: int) -> av.AudioFrame:
    sound = av.AudioFrame.from_ndarray(piece, format="fltp", layout="stereo")
    sound.sample_rate, sound.pts = SAMPLE_HZ, start
    sound.time_base = Fraction(1, SAMPLE_HZ)
    return sound
