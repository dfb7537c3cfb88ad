"""``python -m stylepress.benchmarks.evidence.clip PHOTOS CLIP``: a camera over photos, with a chord."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from stylepress.benchmarks.quality.motion.course import camera, render
from stylepress.errors import FrameError
from stylepress.picture import PHOTO_SUFFIXES, Pixels
from stylepress.replace import replacing_file

SAMPLE_HZ, PIECE = 48_000, 1024


def make_clip(
    photos: Sequence[Path],
    path: Path,
    *,
    seconds: float = 10,
    size: tuple[int, int] = (720, 1280),
    fps: int = 30,
) -> Path:
    """Write an H.264 mp4 with AAC sound of a closed camera loop over each photo in turn.

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
    with replacing_file(path) as beside, av.open(str(beside), "w") as container:
        _encode(container, frames, size=size, fps=fps, tone=_chord(count / fps))
    return path


def _encode(
    container: Any, frames: Iterator[Pixels], *, size: tuple[int, int], fps: int,
    tone: NDArray[np.float32],
) -> None:  # fmt: skip
    video = container.add_stream("libx264", rate=fps)
    video.height, video.width = size
    video.pix_fmt, video.options = "yuv420p", {"preset": "veryfast", "crf": "20"}
    audio = container.add_stream("aac", rate=SAMPLE_HZ, layout="stereo")
    done = 0
    for number, frame in enumerate(frames):
        picture = av.VideoFrame.from_ndarray(frame, format="rgb24")
        picture.pts, picture.time_base = number, Fraction(1, fps)
        container.mux(video.encode(picture))
        while done < min((number + 1) * SAMPLE_HZ / fps, tone.shape[1]):
            piece = np.ascontiguousarray(tone[:, done : done + PIECE])
            sound = av.AudioFrame.from_ndarray(piece, format="fltp", layout="stereo")
            sound.sample_rate, sound.pts, sound.time_base = SAMPLE_HZ, done, Fraction(1, SAMPLE_HZ)
            container.mux(audio.encode(sound))
            done += piece.shape[1]
    container.mux(video.encode(None))
    container.mux(audio.encode(None))


def _chord(seconds: float) -> NDArray[np.float32]:
    """Synthesize a swelling chord: (2, samples) float32 in [-1, 1] at 48 kHz."""
    time = np.arange(round(seconds * SAMPLE_HZ)) / SAMPLE_HZ
    tones = [np.sin(2 * np.pi * pitch_hz * time) for pitch_hz in (110, 220, 277.18, 329.63)]
    wave = 0.12 * sum(tones) * (1 + 0.5 * np.sin(2 * np.pi * 0.3 * time))
    return np.stack([wave, wave]).astype(np.float32)


if __name__ == "__main__":
    folder, film = map(Path, sys.argv[1:3])
    make_clip([p for p in sorted(folder.iterdir()) if p.suffix.lower() in PHOTO_SUFFIXES], film)
