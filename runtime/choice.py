"""Which backend is fastest for a bundle on this machine: measured once, then remembered."""

from __future__ import annotations

import hashlib
import json
import math
import platform
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import median
from time import perf_counter

import numpy as np

from stylepress.errors import BackendError, OutputError, StylepressError, VerificationError
from stylepress.progress import Progress
from stylepress.replace import replacing_file
from stylepress.runtime.backends import (
    BACKENDS,
    Engine,
    EngineOptions,
    find,
    obstacle,
    open_engine,
    usable_cores,
    versions,
)
from stylepress.runtime.bundle import Bundle, Pixels

WARM_UP = 2
LEAST_ROUNDS, MOST_ROUNDS = 3, 15
ENOUGH_S = 2.0
"""Measuring stops after so many seconds, once ``LEAST_ROUNDS`` are done."""
FRAMES_A_LANE = 2
SCHEMA = 1


@dataclass(frozen=True, slots=True)
class Choice:
    """The fastest backend, and what that was judged by.

    ``median_ms`` is the wall time a frame with all lanes busy, for each backend that agreed with
    the golden pairs; ``refused`` says of the others why they were left out.
    """

    backend: str
    median_ms: Mapping[str, float]
    refused: Mapping[str, str]
    machine: Mapping[str, str | int]


def fastest(
    bundle: Bundle,
    *,
    size: tuple[int, int],
    options: EngineOptions,
    cache: Path | None,
    candidates: Sequence[str] | None = None,
    progress: Progress,
) -> Choice:
    """Choose among ``candidates`` (all but null) for frames of ``size`` (height, width).

    Each candidate must first reproduce the golden pairs within the bundle's tolerance; then all
    are timed in turns. With a ``cache`` folder the answer is kept there, and the next call with
    the same bundle, size, lanes, threads, processor and versions measures nothing.

    Raises:
        BackendError: a candidate is no backend, or none can run here.
        FrameError: ``size`` is smaller than the bundle takes.
        VerificationError: those that can run do not agree with the golden pairs.
    """
    names = tuple(candidates or (name for name in BACKENDS if name != "null"))
    for name in names:
        find(name)
    options = replace(options, size=size)
    key = _key(bundle, names, options)
    if cache is not None and (known := _recall(cache, key)):
        return known
    frame = _frame(bundle, size, progress)
    engines: dict[str, Engine] = {}
    refused: dict[str, StylepressError] = {}
    try:
        for name in names:
            admitted = _admit(bundle, name, options, frame)
            if isinstance(admitted, StylepressError):
                refused[name] = admitted
                progress.warn(f"{name} is left out. {admitted}")
            else:
                engines[name] = admitted
        if not engines:
            raise _none(refused)
        times = _measure(engines, frame, options.lanes, progress)
    finally:
        for engine in engines.values():
            engine.close()
    medians = {name: round(median(taken), 4) for name, taken in times.items()}
    reasons = {name: str(error) for name, error in refused.items()}
    choice = Choice(min(medians, key=medians.__getitem__), medians, reasons, machine())
    shown = ", ".join(f"{name} {ms:.1f} ms" for name, ms in medians.items())
    progress.say(f"{choice.backend} is fastest here at {size[1]}x{size[0]}, by frame: {shown}.")
    if cache is not None:
        _remember(cache, key, choice, progress)
    return choice


def machine() -> dict[str, str | int]:
    """Tell what a measurement depends on: processor, usable cores, system."""
    return {
        "cpu": _processor(),
        "cores": usable_cores(),
        "architecture": platform.machine(),
        "system": platform.system(),
    }


def _admit(
    bundle: Bundle, name: str, options: EngineOptions, frame: Pixels
) -> Engine | StylepressError:
    # An engine that passed the self-test, or why there is none.
    try:
        if reason := obstacle(name):
            return BackendError(reason)
        engine = open_engine(bundle, name, options=options)
    except BackendError as error:
        return error
    try:
        _self_test(bundle, engine, frame)
    except (BackendError, VerificationError) as error:
        engine.close()
        return error
    return engine


def _self_test(bundle: Bundle, engine: Engine, frame: Pixels) -> None:
    for name, before, expected in bundle.golden():
        seen = engine.run(before)
        worst = int(np.abs(seen.astype(np.int16) - expected).max())
        if worst > bundle.tolerance:
            raise VerificationError(
                f"It differs from golden picture {name} of {bundle.artifact.folder} by {worst} "
                f"levels, {bundle.tolerance:g} are allowed. "
                f"Update the backend, or build the bundle again with `stylepress build`."
            )
    engine.run(frame)


def _none(refused: Mapping[str, StylepressError]) -> StylepressError:
    kinds = {type(error) for error in refused.values()}
    kind = VerificationError if VerificationError in kinds else BackendError
    return kind(
        "No backend can run this bundle here. "
        + " ".join(f"{name}: {error}" for name, error in refused.items())
    )


def _frame(bundle: Bundle, size: tuple[int, int], progress: Progress) -> Pixels:
    # A golden picture, cut or mirrored to the size: real content, so real branches and ranges.
    height, width = size
    for _, picture, _ in bundle.golden():
        more = [
            (0, 0),
            (0, max(0, height - picture.shape[1])),
            (0, max(0, width - picture.shape[2])),
        ]
        return np.ascontiguousarray(
            np.pad(picture, [*more, (0, 0)], mode="symmetric")[:, :height, :width]
        )
    progress.warn(
        f"{bundle.artifact.folder} has no golden pictures, so no backend can be checked. "
        f"Build it again with `stylepress build`."
    )
    return np.random.default_rng(0).integers(0, 256, (1, height, width, 3), np.uint8)


def _measure(
    engines: Mapping[str, Engine], frame: Pixels, lanes: int, progress: Progress
) -> dict[str, list[float]]:
    """Time all engines in turns, ABBA, so that drift of the machine falls on all alike."""
    times: dict[str, list[float]] = {name: [] for name in engines}
    progress.start("Measuring " + " against ".join(engines), MOST_ROUNDS)
    began = perf_counter()
    with ThreadPoolExecutor(lanes) as pool:
        for number in range(WARM_UP + MOST_ROUNDS):
            order = list(engines) if number % 2 else list(engines)[::-1]
            for name in order:
                taken = _frame_ms(engines[name], frame, lanes, pool)
                if number >= WARM_UP:
                    times[name].append(taken)
            if number >= WARM_UP:
                progress.advance()
            if number + 1 == WARM_UP:
                began = perf_counter()
            elif number + 1 >= WARM_UP + LEAST_ROUNDS and perf_counter() - began > ENOUGH_S:
                break
    progress.finish()
    return times


def _frame_ms(engine: Engine, frame: Pixels, lanes: int, pool: ThreadPoolExecutor) -> float:
    frames = 1 if lanes == 1 else lanes * FRAMES_A_LANE
    began = perf_counter()
    if frames == 1:
        engine.run(frame)
    else:
        list(pool.map(lambda _: engine.run(frame), range(frames)))
    return 1e3 * (perf_counter() - began) / frames


def _key(bundle: Bundle, names: Sequence[str], options: EngineOptions) -> dict[str, object]:
    installed = versions()
    return {
        "schema": SCHEMA,
        "bundle": bundle.artifact.digest,
        "tolerance": bundle.tolerance,
        "size": list(options.size or ()),
        "lanes": options.lanes,
        "threads": options.all_threads,
        "machine": machine(),
        "backends": {name: installed.get(name, "missing") for name in names},
    }


def _place(cache: Path, key: Mapping[str, object]) -> Path:
    text = json.dumps(key, sort_keys=True)
    return cache / f"choice-{hashlib.sha256(text.encode()).hexdigest()[:16]}.json"


def _recall(cache: Path, key: Mapping[str, object]) -> Choice | None:
    # Whatever is wrong with a record, measuring again mends it.
    with suppress(OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        record = json.loads(_place(cache, key).read_text(encoding="utf-8"))
        choice = Choice(
            backend=str(record["choice"]["backend"]),
            median_ms={str(k): float(v) for k, v in record["choice"]["median_ms"].items()},
            refused={str(k): str(v) for k, v in record["choice"]["refused"].items()},
            machine=machine(),
        )
        sane = all(math.isfinite(ms) and ms >= 0 for ms in choice.median_ms.values())
        if record["key"] == key and sane and choice.backend in choice.median_ms:
            return choice
    return None


def _remember(cache: Path, key: Mapping[str, object], choice: Choice, progress: Progress) -> None:
    record = {"key": dict(key), "choice": asdict(choice)}
    try:
        with replacing_file(_place(cache, key)) as beside:
            beside.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    except OutputError as error:
        progress.warn(f"The choice of backend is not remembered. {error}")


def _processor() -> str:
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            name, _, value = line.partition(":")
            if name.strip() in ("model name", "Model"):
                return value.strip()
    with suppress(OSError):
        text = Path("/proc/device-tree/model").read_text(encoding="utf-8")
        return text.strip("\0\n ")
    return platform.processor() or "unknown"
