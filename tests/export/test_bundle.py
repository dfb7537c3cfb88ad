"""Bundles: what is in them, what they say of themselves, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from torch import nn

from stylepress.artifact import Artifact
from stylepress.errors import ArtifactError, FrameError, VerificationError
from stylepress.export.bundle import write_bundle
from stylepress.export.frame_graph import MODEL, FrameGraph, ImageRange
from stylepress.export.golden import GOLDEN_SIZES
from stylepress.export.int8.bundle import quantize_bundle
from stylepress.export.verify import OnnxFrames
from stylepress.progress import Silent
from stylepress.runtime.bundle import read_bundle
from stylepress.steps import ExportStep, QuantizeStep

Photos = list[NDArray[np.uint8]]
QUICK = ExportStep(verify_sizes=((64, 64), (57, 83)))
EASY = QuantizeStep(keep_float="ends", min_psnr_db=20, verify_sizes=((64, 96),))


@pytest.fixture(scope="module")
def made(
    tmp_path_factory: pytest.TempPathFactory,
    student: Callable[..., nn.Sequential],
    photos: Photos,
) -> tuple[Artifact, Artifact, Artifact]:
    """A checkpoint, its float bundle, and its INT8 bundle, of a quarter million parameters."""
    folder = tmp_path_factory.mktemp("bundles")

    def fill(beside: Path) -> None:
        (beside / "network.json").write_text('{"family": "student"}')

    parent = Artifact.create(
        folder / "checkpoint", fill, kind="checkpoint", name="glass", made_by={"step": "distil"}
    )
    graph = FrameGraph(student(width=64, blocks=5), ImageRange(-128, 127))
    plain = write_bundle(
        parent,
        graph,
        folder / "fp32",
        name="glass",
        photos=photos,
        options=QUICK,
        progress=Silent(),
    )
    small = quantize_bundle(
        plain, folder / "int8", frames=iter(photos), options=EASY, progress=Silent()
    )
    return parent, plain, small


def test_every_number_leads_back_to_the_training(made: tuple[Artifact, ...]) -> None:
    parent, plain, small = (Artifact.load(one.folder) for one in made)
    assert plain.parent == parent.digest
    assert small.parent == plain.digest
    assert (plain.made_by["step"], plain.made_by["precision"]) == ("export", "fp32")
    assert (small.made_by["step"], small.made_by["precision"]) == ("quantize", "int8")
    assert plain.made_by["family"] == small.made_by["family"] == "student"
    assert plain.made_by["opset"] == small.made_by["opset"] == 18


def test_the_manifest_tells_cost_and_agreement(made: tuple[Artifact, ...]) -> None:
    _, plain, small = made
    for bundle in (plain, small):
        assert bundle.numbers["params"] == 233_036
        assert bundle.numbers["macs_512"] == pytest.approx(3.7e9, rel=0.1)
    assert plain.numbers["worst_levels"] <= 1
    assert plain.numbers["golden_tolerance"] == 2
    assert small.numbers["psnr_db"] >= 20
    assert small.numbers["golden_tolerance"] >= 2


def test_the_manifest_tells_how_int8_was_made(made: tuple[Artifact, ...]) -> None:
    record = made[2].made_by
    assert record["photos"] == 3
    assert record["float_layers"] == ["0", "17"]
    assert len(record["steps"]) == len(record["int8_layers"]) == 7
    assert len(record["steps_digest"]) == 64


@pytest.mark.parametrize("which", [1, 2])
def test_golden_pictures_are_what_the_file_makes(made: tuple[Artifact, ...], which: int) -> None:
    bundle = made[which]
    engine = OnnxFrames(bundle.path(MODEL))
    pairs = list(read_bundle(bundle.folder).golden())
    assert len(pairs) == len(GOLDEN_SIZES)
    for pair, (size, strength) in zip(pairs, GOLDEN_SIZES, strict=True):
        assert pair.feeds["frame"].shape == (1, *size, 3)
        assert pair.feeds.get("strength", np.float32(1)) == strength
        assert np.array_equal(engine(pair.feeds["frame"], strength), pair.results["frame_out"])
    assert {strength for _, strength in GOLDEN_SIZES} > {1.0}


@pytest.mark.parametrize("which", [1, 2])
def test_the_runtime_takes_the_bundle(made: tuple[Artifact, ...], which: int) -> None:
    loaded = read_bundle(made[which].folder)
    frame, strength = loaded.graph().inputs
    assert (frame.least, strength.default) == (1, 1)
    assert loaded.graph().kind == "frame"


def test_a_small_int8_bundle_stays_small(made: tuple[Artifact, ...]) -> None:
    _, plain, small = made
    assert small.size_bytes < 450_000
    assert small.files[MODEL].size_bytes < plain.files[MODEL].size_bytes / 3.3


def test_the_same_photos_give_the_same_bundle(
    made: tuple[Artifact, ...], photos: Photos, tmp_path: Path
) -> None:
    again = quantize_bundle(
        made[1], tmp_path / "again", frames=iter(photos), options=EASY, progress=Silent()
    )
    assert again.manifest == made[2].manifest


def test_too_great_a_loss_is_refused_and_nothing_is_written(
    made: tuple[Artifact, ...], photos: Photos, tmp_path: Path
) -> None:
    strict = QuantizeStep(min_psnr_db=90, verify_sizes=((64, 64),), repair=False)
    with pytest.raises(VerificationError, match=r"by [\d.]+ dB PSNR .* at least 90 are wanted"):
        quantize_bundle(made[1], tmp_path / "out", frames=photos, options=strict, progress=Silent())
    assert not list(tmp_path.iterdir())


def test_what_is_quantized_is_not_quantized_again(
    made: tuple[Artifact, ...], photos: Photos, tmp_path: Path
) -> None:
    with pytest.raises(ArtifactError, match="precision int8, not a float bundle"):
        quantize_bundle(made[2], tmp_path / "o", frames=photos, options=EASY, progress=Silent())


def test_photos_smaller_than_the_network_takes_are_enlarged(
    made: tuple[Artifact, ...], tmp_path: Path
) -> None:
    tiny = [np.random.default_rng(0).integers(0, 256, (1, 1, 2, 3), dtype=np.uint8)]
    options = QuantizeStep(min_psnr_db=0, verify_sizes=((32, 32),))
    assert quantize_bundle(
        made[1], tmp_path / "tiny", frames=tiny, options=options, progress=Silent()
    )


def test_no_photos_no_bundle(made: tuple[Artifact, ...], graph: FrameGraph, tmp_path: Path) -> None:
    with pytest.raises(FrameError, match="no photos"):
        write_bundle(
            made[0], graph, tmp_path / "o", name="x", photos=[], options=QUICK, progress=Silent()
        )
    with pytest.raises(FrameError, match="no photos"):
        quantize_bundle(made[1], tmp_path / "o", frames=[], options=EASY, progress=Silent())


def test_the_int8_file_is_a_whole_onnx_model(made: tuple[Artifact, ...]) -> None:
    onnx.checker.check_model(str(made[2].path(MODEL)), full_check=True)
