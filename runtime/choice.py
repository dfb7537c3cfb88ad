"""Which backend is fastest for a bundle on this machine: measured once, then remembered."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from statistics import median
from time import perf_counter

import numpy as np

from stylepress.cache import Cache, build_key
from stylepress.errors import BackendError, OutputError, StylepressError, VerificationError
from stylepress.progress import Progress
from stylepress.replace import writable
from stylepress.runtime.backends import (
    Engine,
    EngineOptions,
    find,
    obstacle,
    usual,
    versions,
)
from stylepress.runtime.bundle import Bundle
from stylepress.runtime.feeds import Array, check_size
from stylepress.runtime.machine import machine
from stylepress.runtime.nvidia.driver import present
from stylepress.runtime.prepared import ready

WARM_UP, WARM_UP_S = 2, 0.3
"""Rounds that do not count, as far as they end within so many seconds: each engine has run before,
on the golden pairs and on one frame."""
LEAST_ROUNDS, MOST_ROUNDS = 2, 15
ENOUGH_S = 1.0
"""Measuring stops after so many seconds, once ``LEAST_ROUNDS`` are done."""
CLEARLY = 1.5
"""An engine leaves when all of two rounds or more took it so many times the winner's longest."""
FRAMES_A_LANE = 2
SCHEMA = 2
LARGEST_GROUP = 21


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
    cache: Cache | None,
    candidates: Sequence[str] | None = None,
    progress: Progress,
) -> tuple[Choice, Engine]:
    """Choose among ``candidates`` (all that compute) for frames of ``size`` (height, width).

    Each candidate must first reproduce the golden pairs within the bundle's tolerance; then all
    are timed in turns. The winner comes back open, for ``options.size``. With a ``cache`` the
    answer is kept there, and the next call with the same bundle, lanes, threads, processor and
    versions, and a size of the same group (``size_group``), measures nothing.

    Raises:
        BackendError: a candidate is no backend, or none can run here.
        FrameError: ``size`` is smaller than the bundle takes.
        VerificationError: those that can run do not agree with the golden pairs.
    """
    names = tuple(candidates or usual())
    for name in names:
        find(name)
    picture = bundle.graph().picture
    if picture is not None:
        check_size(picture, size)
    key = _key(bundle, names, options, size)
    if known := _recall(cache, key):
        with suppress(BackendError):  # what was measured before may be gone: then measure again
            return known, ready(
                bundle, known.backend, options=options, cache=cache, progress=progress
            )
    cache = _usable(cache, progress)
    measured = replace(options, size=measured_size(size))
    frame = _frame(bundle, measured.size or size, progress)
    engines: dict[str, Engine] = {}
    refused: dict[str, StylepressError] = {}
    winner = ""
    try:
        for name in names:
            admitted = _admit(bundle, name, measured, frame, cache=cache, progress=progress)
            if isinstance(admitted, StylepressError):
                refused[name] = admitted
                progress.warn(f"{name} is left out. {admitted}")
            else:
                engines[name] = admitted
        if not engines:
            raise _none(refused)
        times = _measure(engines, frame, options.lanes, progress)
        medians = {name: round(median(taken), 4) for name, taken in times.items()}
        winner = min(medians, key=medians.__getitem__) if options.size == measured.size else ""
    finally:
        for name, engine in engines.items():
            if name != winner:
                engine.close()
    reasons = {name: str(error) for name, error in refused.items()}
    choice = Choice(min(medians, key=medians.__getitem__), medians, reasons, machine())
    shown = ", ".join(f"{name} {ms:.1f} ms" for name, ms in medians.items())
    height, width = measured.size or size
    progress.say(f"{choice.backend} is fastest here at {width}x{height}, by frame: {shown}.")
    if cache is not None:
        _remember(cache, key, choice, progress)
    if winner:
        return choice, engines[winner]
    return choice, ready(bundle, choice.backend, options=options, cache=cache, progress=progress)


def remembered(
    bundle: Bundle,
    *,
    size: tuple[int, int],
    options: EngineOptions,
    cache: Cache | None,
    candidates: Sequence[str] | None = None,
) -> Choice | None:
    """Return what ``fastest`` measured before for the same; None where it would have to measure.

    No engine is loaded.
    """
    return _recall(cache, _key(bundle, tuple(candidates or usual()), options, size))


def _usable(cache: Cache | None, progress: Progress) -> Cache | None:
    # What cannot be written is said once, not by every engine that would have been kept there.
    try:
        writable(cache.folder if cache else None)
    except (OutputError, OSError) as error:
        progress.warn(f"{error} The choice is not remembered, and engines are compiled each time.")
        return None
    return cache


def size_group(size: tuple[int, int]) -> int:
    """Return the group of a (height, width): sizes of one group have one fastest backend.

    The area to the nearest power of two, up to 2 megapixels, beyond which the order of backends
    stays as it is.

    >>> size_group((512, 512)), size_group((500, 600)), size_group((4000, 6000))
    (18, 18, 21)
    """
    return min(LARGEST_GROUP, round(math.log2(size[0] * size[1])))


def measured_size(size: tuple[int, int]) -> tuple[int, int]:
    """Return the (height, width) to measure at for frames of ``size``: itself, or 2 megapixels.

    >>> measured_size((720, 1280)), measured_size((4000, 6000))
    ((720, 1280), (1180, 1770))
    """
    share = min(1.0, math.sqrt(2**LARGEST_GROUP / (size[0] * size[1])))
    if share == 1.0:
        return size
    return max(1, int(size[0] * share) // 10 * 10), max(1, int(size[1] * share) // 10 * 10)


def _admit(
    bundle: Bundle,
    name: str,
    options: EngineOptions,
    frame: Array,
    *,
    cache: Cache | None,
    progress: Progress,
) -> Engine | StylepressError:
    # An engine that passed the self-test, or why there is none.
    try:
        if reason := obstacle(name):
            return BackendError(reason)
        engine = ready(bundle, name, options=options, cache=cache, progress=progress)
    except BackendError as error:
        return error
    try:
        self_test(bundle, engine, bundle.placed_for(name))
        _run(engine, frame)
    except (BackendError, VerificationError) as error:
        engine.close()
        return error
    return engine


def self_test(bundle: Bundle, engine: Engine, graph: str | None = None) -> float | None:
    """Hold an engine against the golden pairs of its graph.

    Return the farthest that a value is from the golden one, None where the bundle brings no pair.

    Raises:
        VerificationError: an output is further from the golden one than the bundle's tolerance.
    """
    farthest: float | None = None
    for pair in bundle.golden(graph):
        results = engine.run(pair.feeds)
        for port, expected in pair.results.items():
            gap = np.abs(results[port].astype(np.float64) - expected.astype(np.float64))
            finite = bool(np.isfinite(gap).all())
            worst = float(gap.max()) if finite else math.inf
            rms = math.sqrt(float((gap**2).mean())) if finite else math.inf
            farthest = max(worst, farthest or 0.0)
            if worst > bundle.tolerance or rms > bundle.tolerance_rms:
                raise VerificationError(
                    f"It differs from golden {port} {pair.name} of {bundle.artifact.folder} by "
                    f"{worst:g} ({rms:.2g} root mean square), {bundle.tolerance:g} "
                    f"({bundle.tolerance_rms:.2g}) are allowed.",
                    "Update the backend, or build the bundle again with `stylepress build`.",
                )
    return farthest


def _run(engine: Engine, frame: Array) -> None:
    port = engine.graph.picture
    fed: dict[str, Array] = {port.name: frame} if port is not None else {}
    for other in engine.graph.inputs:  # a style, or noise: what it holds costs no time
        if other.default is None and other.name not in fed:
            shape = [size if isinstance(size, int) else 1 for size in other.shape]
            fed[other.name] = np.ones(shape, other.dtype)
    engine.run(fed)


def _none(refused: Mapping[str, StylepressError]) -> StylepressError:
    kinds = {type(error) for error in refused.values()}
    kind = VerificationError if VerificationError in kinds else BackendError
    return kind(
        "No backend can run this bundle here. "
        + " ".join(f"{name}: {error}" for name, error in refused.items())
    )


def _frame(bundle: Bundle, size: tuple[int, int], progress: Progress) -> Array:
    # A golden picture, cut or mirrored to the size: real content, so real branches and ranges.
    height, width = size
    port = bundle.graph().picture
    if port is None:
        return np.zeros((1, 1, 1, 3), np.uint8)  # it draws from noise, and takes none
    for pair in bundle.golden():
        picture = pair.feeds[port.name]
        more = (max(0, height - picture.shape[1]), max(0, width - picture.shape[2]))
        margins = [(0, 0), (0, more[0]), (0, more[1]), (0, 0)]
        padded = np.pad(picture, margins, mode="symmetric")
        return np.ascontiguousarray(padded[:, :height, :width])
    progress.warn(
        f"{bundle.artifact.folder} has no golden pictures, so no backend can be checked. "
        f"Build it again with `stylepress build`."
    )
    return np.random.default_rng(0).integers(0, 256, (1, height, width, 3), np.uint8)


def _measure(
    engines: Mapping[str, Engine], frame: Array, lanes: int, progress: Progress
) -> dict[str, list[float]]:
    """Time all engines in turns, ABBA, so that drift of the machine falls on all alike."""
    times: dict[str, list[float]] = {name: [] for name in engines}
    running = list(engines)
    progress.start("Measuring " + " against ".join(engines), MOST_ROUNDS)
    began = perf_counter()
    with ThreadPoolExecutor(lanes) as pool:
        for number in range(WARM_UP + MOST_ROUNDS):
            round_ms = {name: _frame_ms(engines[name], frame, lanes, pool) for name in running}
            running.reverse()
            passed_s = perf_counter() - began
            if number < WARM_UP and passed_s < WARM_UP_S:
                continue
            progress.advance()
            for name, taken_ms in round_ms.items():
                times[name].append(taken_ms)
            rounds = len(times[running[0]])
            running = [name for name in running if not _beaten(times, name)]
            decided = len(running) == 1 < len(engines)
            if decided or rounds == MOST_ROUNDS or (rounds >= LEAST_ROUNDS and passed_s > ENOUGH_S):
                break
    progress.finish()
    return times


def _beaten(times: Mapping[str, Sequence[float]], name: str) -> bool:
    """Say whether an engine is so much slower than another that more rounds would change nothing."""
    least = min(max(taken) for taken in times.values())
    return len(times[name]) > 1 and min(times[name]) > CLEARLY * least


def _frame_ms(engine: Engine, frame: Array, lanes: int, pool: ThreadPoolExecutor) -> float:
    frames = 1 if lanes == 1 else lanes * FRAMES_A_LANE
    began = perf_counter()
    if frames == 1:
        _run(engine, frame)
    else:
        list(pool.map(lambda _: _run(engine, frame), range(frames)))
    return 1e3 * (perf_counter() - began) / frames


def _key(
    bundle: Bundle, names: Sequence[str], options: EngineOptions, size: tuple[int, int]
) -> str:
    installed = versions(names)
    step = {
        "step": "choice",
        "size_group": size_group(size),
        "lanes": options.lanes,
        "threads": options.all_threads,
        "machine": machine(),
        "gpu": present(),
    }
    tools = {name: installed.get(name, "missing") for name in names}
    return build_key([bundle.artifact.digest], step, str(SCHEMA), tools)


def _recall(cache: Cache | None, key: str) -> Choice | None:
    # Whatever is wrong with a record, measuring again mends it.
    with suppress(KeyError, TypeError, ValueError, AttributeError):
        record = cache.recall(key) if cache is not None else None
        if record is None:
            return None
        choice = Choice(
            backend=str(record["backend"]),
            median_ms={str(k): float(v) for k, v in record["median_ms"].items()},
            refused={str(k): str(v) for k, v in record["refused"].items()},
            machine=machine(),
        )
        sane = all(math.isfinite(ms) and ms >= 0 for ms in choice.median_ms.values())
        if sane and choice.backend in choice.median_ms:
            return choice
    return None


def _remember(cache: Cache, key: str, choice: Choice, progress: Progress) -> None:
    try:
        cache.remember(key, asdict(choice))
    except (OutputError, OSError) as error:
        progress.warn(f"The choice of backend is not remembered. {error}")
