"""A clip through an engine, file to file, one frame after the other: what the split is taken of."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack, contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from stylepress.benchmarks.timing.split import Pipeline
from stylepress.benchmarks.timing.systems import Pixels
from stylepress.errors import FrameError
from stylepress.runtime.media.colour import to_rgb
from stylepress.runtime.media.decoder import Reader, Shot
from stylepress.runtime.media.encoder import Look, Quality, filming
from stylepress.runtime.media.lanes import Stages
from stylepress.runtime.media.streams import opened


@contextmanager
def film_pipeline(
    run: Callable[[Pixels], Pixels], clip: Path, out: Path, *, threads: int = 1
) -> Iterator[Pipeline]:
    """Open a clip and a film to write; yield the pipeline between them, with ``run`` inside.

    ``decode`` reads the next frame (the clip begins anew at its end), ``pre`` makes it RGB,
    ``infer`` stylizes, ``post`` makes it 4:2:0, ``encode`` hands it to the encoder, which has
    ``threads`` of its own. A sample is not looked at: the frames are the clip's.

    Raises:
        FrameError: the clip cannot be read.
        OutputError: ``out`` cannot be written.
    """
    with ExitStack() as stack:
        with opened(clip) as first:
            width, height = first.pictures.width, first.pictures.height
            rate = first.rate
        look = Look(width, height, time_base=1 / Fraction(rate), rate=rate)
        film = stack.enter_context(filming(out, look, tags={}, target=out))
        film.add_pictures(Quality(), threads=threads, tags={})
        shots = _endless(clip)
        stack.callback(shots.close)
        count = 0

        def pre(shot: Shot) -> Pixels:
            rgb = to_rgb(shot.frame, width=width, height=height)
            return np.ascontiguousarray(rgb)[np.newaxis]

        def encode(frame: Any) -> None:
            nonlocal count
            film.write(frame, pts=count, duration=1)
            count += 1

        yield Pipeline(
            {
                "decode": lambda _: next(shots),
                "pre": pre,
                "infer": run,
                "post": lambda made: film.to_yuv(made[0]),
                "encode": encode,
            }
        )
        film.finish()


def _endless(clip: Path) -> Generator[Shot, None, None]:
    """Yield a clip's frames over and over."""
    while True:
        with opened(clip) as source:
            reader = Reader(source, stop=threading.Event(), stages=Stages(time.perf_counter))
            for item in reader:
                if isinstance(item, Shot):
                    yield item
        if not reader.frames:
            raise FrameError(
                f"Not one frame of {clip} can be decoded.", "Check that it plays elsewhere."
            )
