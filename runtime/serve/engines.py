"""The engines that are loaded: one for each bundle and frame size, opened beside the frame path."""

from __future__ import annotations

import logging
import queue
import threading
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from stylepress.cache import Cache
from stylepress.errors import BackendError, StylepressError
from stylepress.ports import Port
from stylepress.progress import Progress
from stylepress.runtime.backends import Engine, EngineOptions
from stylepress.runtime.bundle import Bundle, read_bundle
from stylepress.runtime.choice import fastest
from stylepress.runtime.prepared import compiles, ready
from stylepress.runtime.serve.config import Style
from stylepress.runtime.style_code import chosen_style

Size = tuple[int, int]
Key = tuple[Path, Size | None]
KEPT = 16
CHOICE_SIZE = (360, 640)
MODERATE_BATCH = 8

log = logging.getLogger("stylepress.serve.engines")


@dataclass(frozen=True, slots=True)
class Look:
    """A style that can be chosen: its bundle, and the code of its style within the bundle."""

    name: str
    style: Style
    bundle: Bundle
    code: NDArray[np.float32] | None = field(default=None, compare=False)

    @property
    def place(self) -> Path:
        """What tells bundles apart."""
        return self.style.bundle

    @property
    def scalars(self) -> tuple[Port, ...]:
        """The controls that are one number a frame: sliders."""
        return tuple(port for port in self.bundle.graph().controls if len(port.shape) == 1)

    @property
    def code_port(self) -> Port | None:
        """The input that is a row of numbers a frame: a code of styles."""
        inputs = self.bundle.graph().inputs
        return next((p for p in inputs if len(p.shape) == 2 and p.dtype == "float32"), None)

    @property
    def mask_port(self) -> Port | None:
        """The control that is a gray picture: where and how much."""
        controls = self.bundle.graph().controls
        return next((p for p in controls if p.dtype == "uint8" and len(p.shape) == 4), None)


def read_look(name: str, style: Style) -> Look:
    """Read and check the bundle of a style.

    Raises:
        ArtifactError: it is no bundle, or was altered.
        BackendError: it does not map pictures to pictures.
        RecipeError, FrameError: as ``style_code``.
    """
    bundle = read_bundle(style.bundle)
    graph = bundle.graph()
    if graph.picture is None or graph.picture_out is None:
        raise BackendError(
            f"The style {name} is the bundle {style.bundle}, which maps no picture to a picture.",
            "Name a bundle that holds a frame graph.",
        )
    return Look(name, style, bundle, style_code(style, bundle))


def style_code(style: Style, bundle: Bundle) -> NDArray[np.float32] | None:
    """Return the row of numbers that a style is: as written, by names, or made of its picture.

    Raises:
        RecipeError: the bundle knows no such style, or draws any and is told none.
        FrameError: the picture cannot be read.
    """
    if style.code is not None and not isinstance(style.code, str):
        return np.asarray(style.code, np.float32)
    named = style.code if style.take is None else str(style.take)
    for row in chosen_style(bundle, named).values():
        return np.asarray(row[0], np.float32)
    return None


class Engines:
    """The loaded engines, and the thread that opens more."""

    def __init__(
        self,
        styles: Mapping[str, Style],
        *,
        cache: Cache | None,
        most: int | None,
        progress: Progress,
    ) -> None:
        """Read every bundle; nothing is opened yet."""
        self.looks = {name: read_look(name, style) for name, style in styles.items()}
        self.cache, self.most, self.progress = cache, most, progress
        self._open: OrderedDict[Key, Engine] = OrderedDict()
        self._refused: dict[Key, str] = {}
        self._backends: dict[Path, str] = {}
        self._asked: set[Key] = set()
        self._wishes: queue.SimpleQueue[tuple[Look, Size | None] | None] = queue.SimpleQueue()
        self._lock, self._opening = threading.Lock(), threading.Lock()
        self._thread = threading.Thread(target=self._work, name="engines", daemon=True)
        self._thread.start()

    def get(self, look: Look, size: Size | None) -> Engine | None:
        """Return an engine for frames of (height, width), any size if None.

        None is returned while it is being opened: ask again with the next frame.

        Raises:
            BackendError: it cannot be opened.
        """
        key = self._key(look, size)
        with self._lock:
            if key in self._open:
                self._open.move_to_end(key)
                return self._open[key]
            if key in self._refused:
                raise BackendError(self._refused[key])
            if key not in self._asked:
                self._asked.add(key)
                self._wishes.put((look, size))
        return None

    def loaded(self, look: Look, size: Size | None) -> Engine | None:
        """Return an engine if it is there, without asking for it."""
        with self._lock:
            return self._open.get(self._key(look, size))

    def open_now(self, look: Look, size: Size | None) -> Engine:
        """Open an engine and wait for it.

        Raises:
            BackendError: it cannot be opened.
        """
        with self._opening:  # one at a time, and none twice
            if (engine := self.loaded(look, size)) is None:
                engine = self._opened(look, size)
                self._keep(self._key(look, size), engine)
            return engine

    def replace_looks(self, styles: Mapping[str, Style]) -> None:
        """Take another set of styles; engines of bundles that are gone are closed.

        Raises:
            ArtifactError: a new bundle cannot be used; the old set stays.
        """
        looks = {
            name: self.looks[name]
            if name in self.looks and self.looks[name].style == style
            else read_look(name, style)
            for name, style in styles.items()
        }
        kept = {look.place for look in looks.values()}
        with self._lock:
            self.looks = looks
            for key in [key for key in self._open if key[0] not in kept]:
                self._open.pop(key).close()
            self._asked = {key for key in self._asked if key in self._open}
            self._refused.clear()

    def batch_of(self, engine: Engine, size: Size | None) -> int:
        """Return how many frames go through an engine at once.

        Engines that are compiled for one size are so for one batch too, and on a processor more
        frames at once are not faster: one, unless the configuration names a number.
        """
        if self.most is not None:
            return 1 if engine.graph.state else self.most
        if size is not None or engine.graph.state:
            return 1
        return MODERATE_BATCH

    def facts(self) -> list[dict[str, object]]:
        """Tell what is loaded."""
        with self._lock:
            return [
                {"bundle": key[0].name, "size": key[1], **engine.describe()}
                for key, engine in self._open.items()
            ]

    def close(self) -> None:
        """Close every engine and end the thread."""
        self._wishes.put(None)
        with self._lock:
            for engine in self._open.values():
                engine.close()
            self._open.clear()

    def _key(self, look: Look, size: Size | None) -> Key:
        backend = self._backends.get(look.place)
        if look.style.remote or (backend and not compiles(backend)):
            size = None  # one engine takes every size
        return look.place, size

    def _opened(self, look: Look, size: Size | None) -> Engine:
        if look.style.remote:
            from stylepress.runtime.serve.remote import open_remote

            return open_remote(look.bundle, look.style.remote)
        least = look.bundle.least
        usual = (max(size[0], least), max(size[1], least)) if size else None
        backend = look.style.backend or self._backends.get(look.place)
        if backend is None:
            wanted = EngineOptions(size=CHOICE_SIZE)
            choice, first = fastest(look.bundle, size=CHOICE_SIZE, options=wanted, cache=self.cache, progress=self.progress)  # fmt: skip
            first.close()
            backend = choice.backend
        self._backends[look.place] = backend
        engine = ready(
            look.bundle, backend, options=EngineOptions(size=usual), cache=self.cache,
            progress=self.progress,
        )  # fmt: skip
        for frames in range(1, (self.batch_of(engine, size) if usual else 1) + 1):
            self._warm(engine, usual or CHOICE_SIZE, frames)
        return engine

    def _warm(self, engine: Engine, size: Size, frames: int) -> None:
        port = engine.graph.picture
        if port is not None:
            engine.run({port.name: np.zeros((frames, *size, 3), np.uint8)})

    def _keep(self, key: Key, engine: Engine) -> None:
        with self._lock:
            self._open[key] = engine
            self._asked.discard(key)
            old = [self._open.popitem(last=False)[1] for _ in range(len(self._open) - KEPT)]
        for gone in old:
            gone.close()

    def _work(self) -> None:
        while (wish := self._wishes.get()) is not None:
            look, size = wish
            key = self._key(look, size)
            try:
                self.open_now(look, size)
                log.info("%s is loaded for %s", look.name, size or "any size")
            except StylepressError as error:
                log.error("%s", error)
                with self._lock:
                    self._refused[key] = str(error)
            finally:
                with self._lock:
                    self._asked.discard(key)
