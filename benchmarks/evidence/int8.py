"""What INT8 of the student that ships gains and costs, beside the tools that others would take."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial

import onnx

from stylepress.artifact import Artifact
from stylepress.benchmarks.evidence.onnxruntime_peer import static_quantized
from stylepress.benchmarks.evidence.place import ENGINE, STYLE, Place, pictures, side_by_side
from stylepress.benchmarks.evidence.row import Row, least, mean, promised
from stylepress.benchmarks.quality.pixels import psnr_db, scaled
from stylepress.export.bundle import GRAPH, sealed
from stylepress.export.fit.latency import random_bundle
from stylepress.export.frame_graph import MODEL
from stylepress.export.onnx_file import serialized
from stylepress.picture import Pixels
from stylepress.train.photos import Photos
from stylepress.train.student import StudentSize

CALIBRATED_ON = 16
"""Photos, at most; what ships is calibrated on the same."""
LIMITS = {
    "speed over float": least(2.5, "x"),
    "bytes saved": least(70, "%"),
    "distance to float": least(35, "dB"),
}
WIDE = StudentSize(32, 2, 16, deep_width=128, deep_blocks=6)

Quantized = Callable[[onnx.ModelProto, Sequence[Pixels]], onnx.ModelProto]
"""From a float frame graph and photos, (1, H, W, 3) uint8, to the same graph with Q/DQ."""


def int8_rows(place: Place) -> Iterator[Row]:
    """Yield speed, bytes and distance of INT8: ours, ONNX Runtime's own, and NNCF's.

    All quantize the same float graph, look at the same photos, run on OpenVINO in turns, and are
    held against float on the same photos, which nobody was calibrated on. Last comes the speed of
    a student twice as large, with random weights.
    """
    student = Artifact.load(place.recipes / STYLE / "student")
    plain, ours = place.bundle(student), Artifact.load(place.recipes / STYLE / "bundle")
    yield Row("parameters", plain.numbers["params"], subject=f"student {STYLE}")
    bundles = {f"student {STYLE}": ours, **_by_others(plain, place)}
    every = side_by_side(plain, *bundles.values())
    frames = list(_photos(place, "heldout").frames(16, most_side=512))
    original = pictures(plain, frames)
    for (subject, bundle), taken in zip(bundles.items(), every[1:], strict=True):
        pairs = zip(original, pictures(bundle, frames), strict=True)
        apart = mean(psnr_db(scaled(one), scaled(two)) for one, two in pairs)
        kept = _bytes(bundle) / _bytes(plain)
        figures = {
            "speed over float": (every[0] / taken, "x"),
            "bytes saved": (100 * (1 - kept), "%"),
            "distance to float": (apart, "dB"),
        }
        for figure, (value, unit) in figures.items():
            row = Row(figure, value, unit, subject, ENGINE, "int8", "512x512", digest=bundle.digest)
            yield promised(row, LIMITS[figure]) if bundle is ours else row
    large = [random_bundle(WIDE, own, place.work / f"wide-{own}") for own in ("fp32", "int8")]
    first, second = side_by_side(*large)
    yield Row("speed over float", first / second, "x", "student wide", ENGINE, "int8", "512x512")


def _by_others(plain: Artifact, place: Place) -> Mapping[str, Artifact]:
    """Return the bundles that other tools make of a float bundle, by who and how."""
    model = onnx.load(str(plain.path(MODEL)))
    photos = list(_photos(place, "train").frames(CALIBRATED_ON))
    tools: dict[str, Quantized] = {
        f"ONNX Runtime, {method}": partial(static_quantized, method=method)
        for method in ("MinMax", "Percentile")
    }
    try:
        from stylepress.benchmarks.evidence.nncf_peer import quantized
    except ImportError:
        place.progress.warn("NNCF is not installed, so it is not beside. Run `pip install nncf`.")
    else:
        tools["NNCF"] = quantized
    return {
        name: sealed(
            place.work / name, {MODEL: serialized(tool(model, photos))}, name="peer",
            graphs={GRAPH: plain.graphs[GRAPH]}, made_by={**plain.made_by, "precision": "int8"},
            parent=plain.digest, numbers={},
        )
        for name, tool in tools.items()
    }  # fmt: skip


def _photos(place: Place, name: str) -> Photos:
    return Photos.below(place.recipes / "photos" / name, place.progress)


def _bytes(bundle: Artifact) -> int:
    return bundle.path(MODEL).stat().st_size
