"""A bundle open in an engine: the few lines that a Python program needs."""

from __future__ import annotations

from os import PathLike
from pathlib import Path
from types import TracebackType
from typing import Any, Literal

import numpy as np
from typing_extensions import Self

from stylepress.cache import Cache, user_cache
from stylepress.errors import BackendError, FrameError
from stylepress.picture import Picture, Pixels, read_picture
from stylepress.progress import Progress, Silent
from stylepress.runtime.backends import Engine, EngineOptions
from stylepress.runtime.bundle import Bundle, read_bundle
from stylepress.runtime.choice import fastest
from stylepress.runtime.media.images import write_picture
from stylepress.runtime.prepared import ready

USUAL_SIZE = (512, 512)


def open_model(
    folder: str | PathLike[str],
    *,
    backend: str | None = None,
    size: tuple[int, int] | None = None,
    lanes: int = 1,
    cache: Cache | Literal["user"] | None = "user",
    progress: Progress | None = None,
) -> Model:
    """Open a bundle in the backend of that name, or in the fastest one here, by measurement.

    ``size`` is the (height, width) that most pictures will have; every size works. ``lanes`` calls
    may be under way at once. ``cache`` keeps the choice and what was compiled, so that the next
    call measures nothing: the user's, unless another is named. None keeps nothing, and one that
    cannot be written is done without: then every call compiles and measures anew.

    Raises:
        ArtifactError: it is no bundle, or was altered.
        BackendError: no engine can run it here.
    """
    bundle, listener = read_bundle(Path(folder)), progress or Silent()
    if isinstance(cache, str):
        cache = Cache(user_cache())
    options = EngineOptions(lanes=lanes, size=size)
    if backend is not None:
        engine = ready(bundle, backend, options=options, cache=cache, progress=listener)
    else:
        _, engine = fastest(
            bundle, size=size or USUAL_SIZE, options=options, cache=cache, progress=listener
        )
    return Model(bundle, engine)


class Model:
    """Pictures in, pictures out: a bundle's main graph in an engine.

    Called with one picture (H, W, 3) or several (N, H, W, 3), uint8 RGB, it gives stylized ones of
    the same shape. The graph's controls go by name: ``model(photo, strength=0.5)``.
    """

    def __init__(self, bundle: Bundle, engine: Engine) -> None:
        graph = engine.graph
        if graph.picture is None or graph.picture_out is None:
            raise BackendError(
                f"The main graph of {bundle.artifact.folder} maps no picture to a picture.",
                "Use its engine: `model.engine.run({...})` takes any ports.",
            )
        self.bundle, self.engine = bundle, engine
        self._source, self._sink = graph.picture.name, graph.picture_out.name

    def __call__(self, picture: Pixels, **controls: Any) -> Pixels:
        """Stylize a picture, or several of one size.

        Raises:
            FrameError: the picture or a control is not what the graph takes.
        """
        single = picture.ndim == 3
        frames = picture[np.newaxis] if single else picture
        result: Pixels = self.engine.run({self._source: frames, **controls})[self._sink]
        return result[0] if single else result

    def read(self, path: str | PathLike[str]) -> Pixels:
        """Read a picture file as (H, W, 3) uint8 RGB, upright, transparent parts on white.

        Raises:
            FrameError: it cannot be read.
        """
        return read_picture(Path(path)).on_white()

    def write(self, picture: Pixels, path: str | PathLike[str]) -> None:
        """Write a (H, W, 3) uint8 RGB picture; the suffix says in which format.

        Raises:
            FrameError: not a picture of that shape.
            OutputError: the place cannot be written to.
        """
        if picture.dtype != np.uint8 or picture.ndim != 3:
            raise FrameError(
                f"A picture is {picture.dtype} {picture.shape}, a file holds uint8 (H, W, 3).",
                "Write the pictures of a batch one by one.",
            )
        write_picture(Path(path), Picture(picture))

    def close(self) -> None:
        """Let go of the engine's threads and memory."""
        self.engine.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
