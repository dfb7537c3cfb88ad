"""What Prometheus reads: counts of frames, ages, sources and requests, taken when it asks."""

from __future__ import annotations

import time
from collections.abc import Iterator

from aiohttp import web
from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import (
    CounterMetricFamily as Counter,
)
from prometheus_client.core import (
    GaugeMetricFamily as Gauge,
)
from prometheus_client.core import (
    HistogramMetricFamily as Histogram,
)
from prometheus_client.core import (
    InfoMetricFamily as Info,
)
from prometheus_client.core import (
    Metric,
    UnknownMetricFamily,
)

from stylepress import __version__
from stylepress.runtime.serve.infer.waiting import Waiting
from stylepress.runtime.serve.parts import Parts

STATES = ("starting", "live", "lost", "ended", "off")
TEXT = "text/plain; version=0.0.4"


class Metrics:
    """The handlers, and what they collect."""

    def __init__(self, parts: Parts, waiting: Waiting) -> None:
        self.parts, self.waiting = parts, waiting
        self._own = CollectorRegistry()
        self._own.register(_Frames(parts))
        ProcessCollector(registry=self._own)
        self._triton = CollectorRegistry()
        self._triton.register(_Requests(waiting))

    async def own(self, request: web.Request) -> web.Response:
        """Send the daemon's own metrics."""
        return web.Response(body=generate_latest(self._own), headers={"Content-Type": TEXT})

    async def triton(self, request: web.Request) -> web.Response:
        """Send the metrics of requests under the names that Triton gives them."""
        return web.Response(body=generate_latest(self._triton), headers={"Content-Type": TEXT})


class _Frames:
    """``stylepress_*``."""

    def __init__(self, parts: Parts) -> None:
        self.parts = parts

    def collect(self) -> Iterator[Metric]:
        """Yield every family with the values of now."""
        yield Info("stylepress_build", "Version of the daemon.", value={"version": __version__})
        inference = self.parts.inference
        yield Gauge("stylepress_uptime_seconds", "Since the daemon began.", time.monotonic() - self.parts.begun_s)  # fmt: skip
        yield Gauge("stylepress_ready", "1 while requests are welcome.", float(self.parts.warm and not self.parts.stopping))  # fmt: skip
        yield Counter("stylepress_inference_busy_seconds", "Time in engines.", inference.busy_s)
        batches = Counter("stylepress_inference_batches", "Runs of engines.", labels=["frames"])
        for size, count in sorted(inference.batches.items()):
            batches.add_metric([str(size)], count)
        yield batches
        yield from self._streams()
        yield from self._outputs()

    def _streams(self) -> Iterator[Metric]:
        up = Gauge("stylepress_stream_up", "1 while frames come in.", labels=["stream"])
        state = Gauge("stylepress_stream_state", "1 at the state it is in.", labels=["stream", "state"])  # fmt: skip
        lost = Counter("stylepress_stream_reconnects", "How often a source was lost.", labels=["stream", "reason"])  # fmt: skip
        frames = Counter("stylepress_frames", "Frames that passed a stage.", labels=["stream", "stage"])  # fmt: skip
        drops = Counter("stylepress_frames_dropped", "Frames that went no further.", labels=["stream", "stage", "reason"])  # fmt: skip
        corrupt = Counter("stylepress_frames_corrupt", "Damaged pieces of a source's data.", labels=["stream"])  # fmt: skip
        slates = Counter("stylepress_slates", "Pictures shown in place of the camera's.", labels=["stream"])  # fmt: skip
        age = Histogram("stylepress_frame_age_seconds", "From capture until a frame is published.", labels=["stream"])  # fmt: skip
        last = Gauge("stylepress_last_frame_timestamp_seconds", "When a frame was last published.", labels=["stream"])  # fmt: skip
        for name, stream in tuple(self.parts.streams.items()):
            facts, ledger = stream.ledger.facts(), stream.ledger
            up.add_metric([name], float(stream.state == "live"))
            for known in STATES:
                state.add_metric([name, known], float(stream.state == known))
            for reason, count in facts["reconnects"].items():
                lost.add_metric([name, reason], count)
            frames.add_metric([name, "captured"], facts["captured"])
            frames.add_metric([name, "published"], facts["published"])
            for reason, count in facts["dropped"].items():
                drops.add_metric([name, "stylize", reason], count)
            for output in stream.outputs:
                # One label for all outputs of a kind: no address becomes a label.
                kind = output.name.partition(":")[0]
                for reason, count in output.facts()["dropped"].items():
                    drops.add_metric([name, f"output_{kind}", reason], count)
            corrupt.add_metric([name], facts["corrupt"])
            slates.add_metric([name], facts["slates"])
            buckets, total = ledger.age_buckets()
            age.add_metric([name], buckets, total)
            if ledger.last_s:
                last.add_metric([name], time.time() - (time.monotonic() - ledger.last_s))
        yield from (up, state, lost, frames, drops, corrupt, slates, age, last)

    def _outputs(self) -> Iterator[Metric]:
        viewers = Gauge("stylepress_viewers", "Who looks now.", labels=["stream"])
        delivered = Counter("stylepress_output_frames", "Frames that an output took.", labels=["stream", "output"])  # fmt: skip
        for name, stream in tuple(self.parts.streams.items()):
            sums: dict[str, int] = {}
            for output in stream.outputs:
                facts, kind = output.facts(), output.name.partition(":")[0]
                sums[kind] = sums.get(kind, 0) + facts["delivered"]
                if "viewers" in facts:
                    viewers.add_metric([name], facts["viewers"])
            for kind, count in sums.items():
                delivered.add_metric([name, kind], count)
        yield from (viewers, delivered)


class _Requests:
    """``nv_*``, so that dashboards and perf_analyzer read what they know."""

    def __init__(self, waiting: Waiting) -> None:
        self.waiting = waiting

    def collect(self) -> Iterator[Metric]:
        """Yield every family with the values of now."""
        labels = ["model", "version"]
        plain = {
            name: UnknownMetricFamily(f"nv_{name}", text, labels=labels)
            for name, text in (
                ("inference_request_success", "Requests that were answered."),
                ("inference_count", "Frames that were stylized."),
                ("inference_exec_count", "Runs of the engine."),
                ("inference_pending_request_count", "Requests that wait."),
                ("inference_request_duration_us", "From arrival to answer."),
                ("inference_queue_duration_us", "Waiting."),
                ("inference_compute_input_duration_us", "Putting requests together."),
                ("inference_compute_infer_duration_us", "In the engine."),
                ("inference_compute_output_duration_us", "Taking results apart."),
            )
        }
        failures = UnknownMetricFamily("nv_inference_request_failure", "Requests that were not answered.", labels=[*labels, "reason"])  # fmt: skip
        for name, known in tuple(self.waiting.statistics.items()):
            who = [name, "1"]
            times = {part: ns / 1e3 for part, ns in known.times_ns.items()}
            values = {
                "inference_request_success": known.counts["success"],
                "inference_count": known.images,
                "inference_exec_count": known.runs,
                "inference_pending_request_count": len(self.waiting),
                "inference_request_duration_us": times.get("success", 0),
            }
            for part in ("queue", "compute_input", "compute_infer", "compute_output"):
                values[f"inference_{part}_duration_us"] = times.get(part, 0)
            for metric, value in values.items():
                plain[metric].add_metric(who, value)
            for reason, count in known.failures.items():
                failures.add_metric([*who, reason], count)
        yield from plain.values()
        yield failures
