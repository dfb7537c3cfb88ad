"""Some neighbouring frames of a user's video, at the size of a measurement."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from time import perf_counter

from av.error import FFmpegError

from stylepress.artifact import file_digest
from stylepress.benchmarks.part import FileFact
from stylepress.benchmarks.quality.photos import fitted
from stylepress.errors import FrameError
from stylepress.picture import Pixels
from stylepress.progress import Progress
from stylepress.runtime.media.colour import to_rgb
from stylepress.runtime.media.decoder import Reader, Shot
from stylepress.runtime.media.lanes import Stages
from stylepress.runtime.media.streams import Clip, opened

FRAMES = 24
"""A second of film."""


@dataclass(frozen=True, slots=True)
class Footage:
    """Which video, and frames of it that follow each other: (H, W, 3) uint8, two at least."""

    fact: FileFact
    frames: Sequence[Pixels]


def read_footage(
    path: Path, size: tuple[int, int], *, count: int = FRAMES, progress: Progress
) -> Footage:
    """Read up to ``count`` frames in a row, scaled to cover ``size`` (height, width) and cropped.

    They begin with the last key frame before the middle of the video, early enough that ``count``
    are left after it; with the first frame where a file does not tell how long it is.

    Raises:
        FrameError: missing, no video, or fewer than two frames that can be decoded.
    """
    progress.start(f"Reading {path.name}", None)
    frames, findings = _read(path, size, count=count, middle=True)
    if len(frames) < 2:  # a header that promises more than the file holds
        frames, findings = _read(path, size, count=count, middle=False)
    progress.advance(len(frames))
    progress.finish()
    if len(frames) < 2:
        raise FrameError(
            f"{path} has {len(frames) or 'no'} frame that can be decoded, but motion needs two.",
            "Give a longer video with `--clip`.",
        )
    for finding in findings:
        progress.warn(f"{path.name}: {finding}.")
    return Footage(FileFact(name=path.name, sha256=file_digest(path)), frames)


def _read(
    path: Path, size: tuple[int, int], *, count: int, middle: bool
) -> tuple[list[Pixels], list[str]]:
    with opened(path) as clip:
        if middle:
            _seek_middle(clip, count)
        reader = Reader(clip, stop=threading.Event(), stages=Stages(perf_counter))
        shots = (item.frame for item in reader if isinstance(item, Shot))
        frames = [
            fitted(to_rgb(frame, width=frame.width, height=frame.height), size)[0]
            for frame in islice(shots, count)
        ]
        return frames, reader.findings()


def _seek_middle(clip: Clip, count: int) -> None:
    stream, whole = clip.pictures, clip.frames
    if whole is None or whole <= count or stream.time_base is None:
        return
    skipped_s = (whole - count) // 2 / clip.rate
    # Some containers cannot be sought in: then the frames are its first.
    with suppress(FFmpegError):
        offset = (stream.start_time or 0) + int(skipped_s / stream.time_base)
        clip.container.seek(offset, stream=stream)
