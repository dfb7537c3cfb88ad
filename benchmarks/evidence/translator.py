"""A CycleGAN's generator made small: how much less work, and how far its pictures go from there."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

import numpy as np
import onnx
import torch

from stylepress.artifact import Artifact
from stylepress.benchmarks.evidence.place import ENGINE, Place, pictures, side_by_side
from stylepress.benchmarks.evidence.row import Row, least, most, promised
from stylepress.benchmarks.quality.features.handcrafted import handcrafted
from stylepress.benchmarks.quality.frechet import features_distance
from stylepress.benchmarks.quality.study import benign, squares
from stylepress.compress.fidelity import parted
from stylepress.compress.pruning.widths import multiply_accumulates
from stylepress.compress.stage import distil
from stylepress.export.bundle import GRAPH, sealed
from stylepress.export.frame_graph import MODEL
from stylepress.export.lowering.fp16 import to_fp16
from stylepress.export.onnx_file import serialized
from stylepress.model_steps import PairsStep
from stylepress.picture import Pixels
from stylepress.step_fields import Preset
from stylepress.steps import DistilStep
from stylepress.train.models.stage import train_model
from stylepress.train.pairs import to_cartoon
from stylepress.train.photos import Photos
from stylepress.train.weights.checkpoint import load_network

SIDE = 256
"""Published multiply-accumulates and distances of this generator are of pictures of that side."""
SQUARE = 64
TIMES = 3
"""Steps of the student for each step of a recovery after pruning; the teacher has half of them."""
PRESET: Preset = "base"
FEW_ROUNDS = 8
"""The generator takes a second a frame."""
NOTHING = 1e-9
"""Least distance that is divided by: a re-run may round to the same levels everywhere."""


def translator_rows(place: Place) -> Iterator[Row]:
    """Yield work, time and drift of a student of CycleGAN's ResNet generator with nine blocks.

    The generator has the published architecture and size; what it draws is learnt here in minutes,
    from pairs that are made of photos. Drift is the Frechet distance of handcrafted features of
    squares of its pictures, over that of the generator itself run again in FP16, and over that of
    a change that nobody minds (one level of tint, JPEG at quality 95). The last row is what papers
    compare: how far each is from pictures of the kind that was taught.
    """
    teacher, student = _teacher(place), _student(place)
    work = [_macs(checkpoint) for checkpoint in (teacher, student)]
    subject = f"ResNet-9 to {PRESET}"
    taught = f"teacher of {place.steps // 2} steps here, student of {TIMES * place.steps}"
    row = partial(Row, subject=subject, precision="fp32", digest=student.digest)
    fewer = row("fewer multiply-accumulates", work[0] / work[1], "x", size=f"{SIDE}x{SIDE}")
    yield promised(fewer, least(22, "x"))
    bundles = place.bundle(teacher), place.bundle(student)
    before, after = side_by_side(*bundles, rounds=FEW_ROUNDS)
    yield row("speed over the generator", before / after, "x", engine=ENGINE, size="512x512")
    for judge in ("vgg", "effnet"):
        if (value := student.numbers.get(f"fidelity_{judge}")) is not None:
            figure = "distance to the teacher's pictures, 0 a copy"
            yield row(figure, value, engine=judge, size="512x512", note=taught)
    frames = _frames(place)
    original, copies = (pictures(bundle, frames) for bundle in bundles)
    again = pictures(_half(bundles[0], place), frames, "onnxruntime")
    drift, rerun, minded = (
        _apart(original, others)
        for others in (copies, again, [benign(picture) for picture in original])
    )
    note = f"{taught}; {len(frames)} photos held out"
    figure = "Frechet drift over that of"
    apart = partial(row, engine=ENGINE, size=f"{SIDE}x{SIDE}", note=note)
    yield promised(
        apart(f"{figure} an FP16 re-run", drift / max(rerun, NOTHING), "x"), most(3, "x")
    )
    yield apart(f"{figure} a change that nobody minds", drift / minded, "x")
    aims = [_cartoon(frame) for frame in frames]
    ours, theirs = (_apart(aims, drawn) for drawn in (copies, original))
    yield apart("Frechet distance to the aim over the generator's", ours / theirs, "x")


def _teacher(place: Place) -> Artifact:
    step = PairsStep(
        task="cartoon", width=64, blocks=9, judge_width=16, crop_px=96, photos=place.photos(),
        steps=max(1, place.steps // 2), learning_rate=5e-4, seed=1,
    )  # fmt: skip
    return train_model(None, step, place.work / "resnet", place.job("pairs"))


def _student(place: Place) -> Artifact:
    step = DistilStep(
        preset=PRESET, steps=TIMES * place.steps, crop_px=160, margin_px=32, pool=64,
        pool_px=SIDE, loss="vgg", photos=place.photos(), seed=1,
    )  # fmt: skip
    source = Artifact.load(place.work / "resnet")
    return distil(source, step, place.work / "resnet-student", place.job("translator"))


@torch.no_grad()
def _macs(checkpoint: Artifact) -> float:
    """Return the multiply-accumulates of a network on one picture; a transposed convolution
    multiplies at its input's positions."""
    module = load_network(checkpoint.folder).module
    return sum(multiply_accumulates(module, torch.zeros(1, 3, SIDE, SIDE)).values())


def _frames(place: Place) -> list[Pixels]:
    """Return photos that nobody learnt from, (1, H, W, 3) uint8, each mirrored too."""
    _, held = parted(Photos.below(place.photos(), place.progress))
    others = Photos.below(place.recipes / "photos" / "heldout", place.progress)
    frames = [
        frame for photos in (held, others) for frame in photos.frames(len(photos), most_side=SIDE)
    ]
    return [*frames, *(np.ascontiguousarray(frame[:, :, ::-1]) for frame in frames)]


def _cartoon(frame: Pixels) -> Pixels:
    """Return what the generator was taught to make of a frame, (H, W, 3) uint8."""
    photo = torch.from_numpy(np.array(frame[0])).permute(2, 0, 1).float() / 255
    _, aim = to_cartoon(photo)
    levels: Pixels = aim.mul(255).round().to(torch.uint8).permute(1, 2, 0).numpy()
    return np.ascontiguousarray(levels)


def _half(bundle: Artifact, place: Place) -> Artifact:
    """Return a float bundle in FP16, weights and what is between the convolutions."""
    model = to_fp16(onnx.load(str(bundle.path(MODEL))))
    made_by = {**bundle.made_by, "precision": "fp16"}
    return sealed(
        place.work / "half", {MODEL: serialized(model)}, name="half",
        graphs={GRAPH: bundle.graphs[GRAPH]}, made_by=made_by, parent=bundle.digest, numbers={},
    )  # fmt: skip


def _apart(pictures: Sequence[Pixels], others: Sequence[Pixels]) -> float:
    """Return the Frechet distance between the squares of two lists of pictures."""
    one, two = (
        handcrafted(np.stack([cut for picture in every for cut in squares(picture, SQUARE)]))
        for every in (pictures, others)
    )
    return features_distance(one, two)
