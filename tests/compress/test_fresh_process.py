"""A network that was pruned, distilled and made INT8 draws the same bits in another process."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

import numpy as np
import torch

from stylepress.compress.pruning.prune import prune
from stylepress.export.stage import export, quantize
from stylepress.runtime.backends import EngineOptions, open_engine
from stylepress.runtime.bundle import read_bundle
from stylepress.steps import ExportStep, LoadStep, PruneStep, QuantizeStep
from stylepress.train.stage import load
from stylepress.train.student import FoldedStudent, StudentSize
from stylepress.work import Work
from tests.processes import bound

PHOTOS = Path(__file__).parents[2] / "recipes" / "photos" / "train"
SIZE = StudentSize(width=16, blocks=1, half=16)
PROGRAM = """
import hashlib, sys
from pathlib import Path
import numpy as np
from stylepress.runtime.backends import EngineOptions, open_engine
from stylepress.runtime.bundle import read_bundle
frame = np.random.default_rng(0).integers(0, 256, (1, 48, 56, 3), np.uint8)
engine = open_engine(read_bundle(Path(sys.argv[1])), "onnxruntime", options=EngineOptions())
print(hashlib.sha256(engine.run({"frame": frame})["frame_out"].tobytes()).hexdigest())
engine.close()
"""


def test_a_pruned_distilled_int8_bundle_draws_the_same_bits_in_a_fresh_process(
    tmp_path: Path,
) -> None:
    work = Work("net", tmp_path / "state", tmp_path / "board", device="cpu", home=tmp_path)
    torch.manual_seed(0)
    torch.save(FoldedStudent(SIZE).state_dict(), tmp_path / "student.pth")
    source = load(None, LoadStep(checkpoint=tmp_path / "student.pth"), tmp_path / "s", work)
    cut = PruneStep(
        keep=0.7, multiple_of=4, rounds=1, steps=1, crop_px=64, batch=1, pictures=1, loss="swd",
        photos=PHOTOS, seed=1, max_drift=10,
    )  # fmt: skip
    pruned = prune(source, cut, tmp_path / "pruned", work)
    sizes = ((64, 64),)
    plain = export(pruned, ExportStep(verify_sizes=sizes), tmp_path / "float", work)
    int8 = QuantizeStep(
        photos=PHOTOS, calibration_photos=1, calibration_px=64, verify_sizes=sizes, min_psnr_db=0
    )
    bundle = quantize(plain, int8, tmp_path / "int8", work)
    frame = np.random.default_rng(0).integers(0, 256, (1, 48, 56, 3), np.uint8)
    engine = open_engine(read_bundle(bundle.folder), "onnxruntime", options=EngineOptions())
    here = hashlib.sha256(engine.run({"frame": frame})["frame_out"].tobytes()).hexdigest()
    engine.close()
    command = bound([sys.executable, "-c", PROGRAM, str(bundle.folder)])
    there = subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
    assert there == here
