"""From captured frames to stylized ones: which engines, fed with what, and what is done after."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stylepress.picture import Pixels
from stylepress.runtime.backends import Engine
from stylepress.runtime.feeds import carried
from stylepress.runtime.media.lanes import padded
from stylepress.runtime.serve.blend import fitted_mask, masked, mixed, smoothed
from stylepress.runtime.serve.engines import Engines, Look
from stylepress.runtime.serve.stream import Frame, Memory, Stream

STRENGTH = "strength"
"""The control that every stream has; where a bundle lacks it, the daemon mixes itself."""


@dataclass(frozen=True, slots=True)
class Part:
    """One engine's share of a stream's picture: looks of one bundle, by weight."""

    look: Look
    engine: Engine
    weight: float
    code: NDArray[np.float32] | None


@dataclass(frozen=True, slots=True)
class Plan:
    """How the next frame of a stream is stylized."""

    stream: Stream
    parts: tuple[Part, ...]
    style: str

    @property
    def key(self) -> tuple[Any, ...] | None:
        """What streams must have in common to go through an engine together; None: alone."""
        if len(self.parts) != 1:
            return None
        return id(self.parts[0].engine), self.stream.size


class NotReadyError(Exception):
    """An engine is still being opened."""


class Stylist:
    """Plans and runs; it belongs to the inference thread."""

    def __init__(self, engines: Engines) -> None:
        self.engines = engines

    def plan(self, stream: Stream, frame: Frame) -> Plan:
        """Say how a stream's next frame is stylized.

        Raises:
            NotReadyError: an engine is still being opened.
            BackendError: an engine cannot be opened.
        """
        if not stream.settings.enabled:
            return Plan(stream, (), "")
        looks = self.engines.looks
        weights = {k: w for k, w in stream.fade.weights(time.monotonic()).items() if k in looks}
        by_bundle: dict[Any, list[tuple[Look, float]]] = {}
        for name, weight in weights.items():
            by_bundle.setdefault(looks[name].place, []).append((looks[name], weight))
        parts = [self._part(stream, frame, shares) for shares in by_bundle.values()]
        style = "+".join(sorted(weights))
        self._remember(stream, tuple(sorted(map(str, by_bundle))), frame)
        return Plan(stream, tuple(parts), style)

    def _part(self, stream: Stream, frame: Frame, shares: list[tuple[Look, float]]) -> Part:
        look = shares[0][0]
        size = frame.pixels.shape[0], frame.pixels.shape[1]
        engine = self.engines.get(look, size)
        if engine is None:
            raise NotReadyError
        total = sum(weight for _, weight in shares)
        codes = [one.code * (weight / total) for one, weight in shares if one.code is not None]
        code = np.asarray(np.sum(codes, 0), np.float32) if codes else None
        return Part(look, engine, total, code)

    def _remember(self, stream: Stream, style: tuple[str, ...], frame: Frame) -> None:
        key = (stream.epoch, style, frame.pixels.shape)
        if stream.memory.key != key:
            stream.memory = Memory(key)

    def run(self, work: Sequence[tuple[Plan, Frame]]) -> list[Pixels]:
        """Stylize frames that go through one engine together, or a single one of several engines."""
        if len(work) > 1:
            plans = [plan for plan, _ in work]
            rows = self._engine(
                plans[0].parts[0].engine, plans, [plan.parts[0] for plan in plans],
                np.stack([frame.pixels for _, frame in work]),
            )  # fmt: skip
            return [
                self._after(plan, frame, row) for (plan, frame), row in zip(work, rows, strict=True)
            ]
        plan, frame = work[0]
        if not plan.parts:
            return [frame.pixels.copy()]
        pictures = []
        for part in plan.parts:
            height, width = frame.pixels.shape[:2]
            batch = padded(frame.pixels, part.look.bundle.least)[None]
            picture = self._engine(part.engine, [plan], [part], batch)[0]
            pictures.append(picture[:height, :width])
        return [self._after(plan, frame, mixed(pictures, [part.weight for part in plan.parts]))]

    def _engine(
        self, engine: Engine, plans: Sequence[Plan], parts: Sequence[Part], batch: Pixels
    ) -> Pixels:
        graph = engine.graph
        assert graph.picture is not None
        assert graph.picture_out is not None
        feeds: dict[str, Any] = {graph.picture.name: batch}
        for port in parts[0].look.scalars:
            values = [_scalar(plan.stream, port.name, port.default) for plan in plans]
            feeds[port.name] = np.array(values, port.dtype)
        code_port, mask_port = parts[0].look.code_port, parts[0].look.mask_port
        if code_port is not None and all(part.code is not None for part in parts):
            feeds[code_port.name] = np.stack([part.code for part in parts if part.code is not None])
        if mask_port is not None and any(plan.stream.mask is not None for plan in plans):
            size = batch.shape[1], batch.shape[2]
            feeds[mask_port.name] = np.stack([_mask(plan.stream, size) for plan in plans])[
                ..., None
            ]
        memory = plans[0].stream.memory
        if graph.state and len(plans) == 1 and len(plans[0].parts) == 1:
            feeds |= memory.graph
        results = engine.run(feeds)
        if graph.state and len(plans) == 1:
            memory.graph = carried(graph, results)
        return results[graph.picture_out.name]

    def _after(self, plan: Plan, frame: Frame, pixels: Pixels) -> Pixels:
        stream, before = plan.stream, frame.pixels
        names = {port.name for port in plan.parts[0].look.scalars}
        if STRENGTH not in names and stream.settings.strength < 1:
            share = stream.settings.strength
            pixels = mixed([before, pixels], [1 - share, share])
        if stream.settings.smoothing > 0:
            pixels = smoothed(before, pixels, stream.memory, stream.settings.smoothing)
        if stream.mask is not None and plan.parts[0].look.mask_port is None:
            pixels = masked(before, pixels, _mask(stream, (before.shape[0], before.shape[1])))
        return pixels


def _scalar(stream: Stream, name: str, default: float | None) -> float:
    if name == STRENGTH:
        return stream.settings.strength
    return stream.settings.controls.get(name, default or 0.0)


def _mask(stream: Stream, size: tuple[int, int]) -> Pixels:
    mask = stream.mask
    if mask is None:
        return np.full(size, 255, np.uint8)
    if mask.shape != size:
        mask = fitted_mask(mask, size)
        stream.mask = mask
    return mask
