"""Comparisons of two small bundles in no time: the arms are run once, their times are made up."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from stylepress.benchmarks.timing.worker import Answer, Request, run_arm
from stylepress.benchmarks.verdict.comparison import Comparison, Run
from stylepress.benchmarks.verdict.duel import duel
from stylepress.benchmarks.verdict.session import PairPlan
from stylepress.benchmarks.verdict.terms import DuelOptions
from stylepress.progress import Silent

TINY = PairPlan(pairs=8, min_s=0, min_count=5, warm_s=0, warm_count=1, rest_s=0)
ENVIRON = {**os.environ, "OMP_NUM_THREADS": "1"}


REAL: dict[tuple[str, str], Answer] = {}
SLOW = "slow"


def told(request: Request, environ: Mapping[str, str]) -> Answer:
    """One real run of each bundle; its times are 10 ms, 12 ms in a folder called slow."""
    key = request.bundle, request.backend
    if key not in REAL:
        REAL[key] = run_arm(request)
    step = 12_000_000 if Path(request.bundle).name == SLOW else 10_000_000
    count = range(len(REAL[key].samples_ns))
    return replace(REAL[key], samples_ns=tuple(step + n for n in count))


def options(made: Mapping[str, Path], **changes: Any) -> DuelOptions:
    return DuelOptions(
        **{
            "size": (64, 80),
            "threads": 1,
            "backends": ("onnxruntime",),
            "plan": TINY,
            "photos": made["photos"],
            "created": "2026-01-02T03:04:05+00:00",
            "environ": ENVIRON,
            **changes,
        }
    )


def compared(made: Mapping[str, Path], new: str = "bundle", **changes: Any) -> Comparison:
    asked = options(made, **changes)
    return duel(made["bundle"], made[new], options=asked, progress=Silent(), ask=told)


class Heard(Silent):
    """A Progress that remembers what it was told."""

    def __init__(self) -> None:
        self.said, self.warned = list[str](), list[str]()

    def say(self, message: str) -> None:
        self.said.append(message)

    def warn(self, message: str) -> None:
        self.warned.append(message)


def run(pair: int, arm: str, ms: Sequence[float], invalid: Sequence[str] = ()) -> Run:
    return Run.model_validate(
        {
            "part": "first", "pair": pair, "place": 0, "backend": "onnxruntime", "arm": arm,
            "samples_ns": [round(1e6 * one) for one in ms], "load_ns": 1, "first_call_ns": 1,
            "warm_calls": 0, "stable": True, "peak_rss_bytes": None, "invalid": invalid,
        }
    )  # fmt: skip
