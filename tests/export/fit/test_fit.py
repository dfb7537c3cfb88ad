"""The search: time is the sum of its parts, trials outlive the process, the page holds them all."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from PIL import Image

from stylepress.artifact import Artifact
from stylepress.build import BuildOptions
from stylepress.cache import Cache
from stylepress.errors import ArtifactError, OutputError, RecipeError
from stylepress.export.fit import search
from stylepress.export.fit.candidate import Candidate, Precision, presets
from stylepress.export.fit.latency import (
    LatencyTable,
    median_error,
    quiet_ms,
    random_bundle,
    read_table,
)
from stylepress.export.fit.page import page, record
from stylepress.export.fit.result import Budget, Effort, Finalist, Fit, front
from stylepress.export.fit.search import fit
from stylepress.export.fit.study import Study, Trial
from stylepress.export.frame_graph import MODEL
from stylepress.progress import Silent
from stylepress.recipe import load_recipe
from stylepress.runtime.backends import EngineOptions, open_engine
from stylepress.runtime.bundle import read_bundle
from stylepress.train.features.judges import find_judges
from stylepress.train.student import PRESETS, StudentSize
from stylepress.train.transformer import TransformerNet
from tests.core.homes import TARGET

BASE = Candidate(PRESETS["base"], "int8")


def additive(size: StudentSize, precision: Precision) -> float:
    """A machine on which each layer takes as long as it has weights."""
    deep = size.deep_width * (size.width + size.deep_blocks * size.deep_width)
    ms = 1 + (size.half * size.width + size.blocks * size.width**2 + deep) / 1e4
    return ms / (2 if precision == "int8" else 1)


def test_where_time_is_a_sum_the_prediction_is_exact(tmp_path: Path) -> None:
    table = LatencyTable("null", (64, 64), additive)
    wanted = [BASE, Candidate(StudentSize(48, 6, 32, deep_width=96, deep_blocks=8), "fp32")]
    for candidate in wanted:
        exact = additive(candidate.size, candidate.precision)
        assert table.predict(candidate) == pytest.approx(exact, rel=1e-9)
    table.save(tmp_path / "latency.json")
    again = read_table(tmp_path / "latency.json")
    assert again.predict(BASE) == table.predict(BASE)
    with pytest.raises(ArtifactError, match="holds no time of"):
        again.predict(Candidate(StudentSize(64, 2, 16), "fp32"))
    assert median_error({"a": 1.1, "b": 2.0}, {"a": 1.0, "b": 2.0}) == pytest.approx(0.05)


def test_a_damaged_table_is_refused(tmp_path: Path) -> None:
    (tmp_path / "latency.json").write_text("[]")
    with pytest.raises(ArtifactError, match="no latency table"):
        read_table(tmp_path / "latency.json")


def test_a_student_with_random_weights_can_be_timed(tmp_path: Path) -> None:
    bundle = random_bundle(StudentSize(8, 0, 8), "mixed", tmp_path / "bundle")
    nodes = onnx.load(str(bundle.path(MODEL))).graph.node
    rounded = [one.input[0].endswith("_rounded") for one in nodes if one.op_type == "Conv"]
    assert rounded == [False, True, True, False]
    engine = open_engine(
        read_bundle(bundle.folder), "onnxruntime", options=EngineOptions(size=(64, 64))
    )
    assert 0 < quiet_ms(engine, (64, 64)) < 1000
    engine.close()


def a_study(storage: str, name: str = "s") -> Study:
    return Study(storage, name, seed=1, precisions=("fp32", "int8"))


@pytest.mark.parametrize("kind", ["sqlite", "journal"])
def test_a_study_goes_on_where_it_stopped(tmp_path: Path, kind: str) -> None:
    place = f"sqlite:///{tmp_path}/s.db" if kind == "sqlite" else str(tmp_path / "s.log")
    first = a_study(place)
    first.next(BASE)
    number, candidate = first.ask()
    assert candidate == BASE
    first.tell(number, Trial(candidate, 5.0, 0.3))
    number, other = first.ask()
    first.tell(number, Trial(other, 50.0, None, "too slow, not trained"))
    again = a_study(place)
    told = {tried.candidate.key: tried for tried in again.tried()}
    assert told[BASE.key].drift == 0.3
    assert told[other.key] == Trial(other, 50.0, None, "too slow, not trained")
    assert again.ask()[1] != BASE


def test_what_a_killed_process_had_begun_is_done_again(tmp_path: Path) -> None:
    place = f"sqlite:///{tmp_path}/s.db"
    program = (
        "import os, signal\n"
        "from stylepress.export.fit.study import Study\n"
        f"study = Study({place!r}, 's', seed=1, precisions=('fp32', 'int8'))\n"
        "print(study.ask()[1].key, flush=True)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    killed = subprocess.run(
        [sys.executable, "-c", program], check=False, capture_output=True, text=True
    )
    assert killed.returncode == -9
    study = a_study(place)
    assert study.take_up() == 1
    assert study.ask()[1].key == killed.stdout.strip()
    assert study.take_up() == 0


def test_a_storage_that_cannot_be_reached_is_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="cannot be used"):
        a_study(f"sqlite:///{tmp_path}/nowhere/s.db")
    with pytest.raises(OutputError, match="cannot be used"):
        a_study("nonsense://host/db")


def a_fit(*finalists: Finalist, budget: tuple[float, float] = (6.0, 0.4)) -> Fit:
    named = [candidate for _, candidate in presets(("fp32", "int8"))]
    tried = [Trial(one, 3.0 + i, 0.6 - 0.1 * i) for i, one in enumerate(named)]
    tried.append(Trial(Candidate(PRESETS["wide"], "fp32"), 30.0, None, "too slow, not trained"))
    return Fit(Budget(*budget), "openvino", (512, 512), tried, finalists)


def test_the_verdict_names_the_best_inside_or_how_near_it_came() -> None:
    near = Finalist(BASE, 5.0, 5.5, 0.35, Path("runs/base/bundle"), "base")
    worse = replace(near, drift=0.39, candidate=Candidate(PRESETS["small"], "int8"))
    assert a_fit(worse, near).best == near
    assert "is inside 6 ms" in a_fit(near).verdict()
    assert "1.10 of what is allowed" in a_fit(near, budget=(5.0, 0.4)).verdict()
    assert "None that was trained is fast enough" in a_fit(near, budget=(5.0, 0.4)).verdict()
    assert "drifts so little" in a_fit(near, budget=(6.0, 0.1)).verdict()
    coarse = replace(near, measured_ms=4.0, drift=0.6)
    assert "no student meets both" in a_fit(near, coarse, budget=(5.0, 0.4)).verdict()
    assert "predicted at 3.00 ms" in a_fit(budget=(1.0, 0.4)).verdict()


def test_the_page_holds_everything_and_loads_nothing() -> None:
    found = a_fit(Finalist(BASE, 5.0, 5.5, 0.35, Path("runs/base/<bundle>"), "base"))
    text = page(found, "Glass")
    assert text.count("<circle") == len(front(found.tried)) + 1
    assert "too slow, not trained" in text
    assert "http" not in text.replace("http-equiv", "")
    assert "<bundle>" not in text
    data = text.partition('id="data">')[2].partition("</script>")[0]
    assert json.loads(data) == record(found)


def test_the_front_is_what_no_other_beats() -> None:
    def at(ms: float, drift: float | None) -> Trial:
        return Trial(BASE, ms, drift)

    tried = [at(1, 0.9), at(2, 0.95), at(3, 0.5), at(3, 0.4), at(4, None)]
    assert [(one.latency_ms, one.drift) for one in front(tried)] == [(1, 0.9), (3, 0.4)]


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    draw = np.random.default_rng(0)
    (tmp_path / "photos").mkdir()
    for index in range(2):
        coarse = Image.fromarray(draw.integers(0, 256, (6, 6, 3), dtype=np.uint8))
        coarse.resize((96, 96), Image.Resampling.BICUBIC).save(tmp_path / f"photos/{index}.png")
    torch.manual_seed(0)
    torch.save(TransformerNet(4, 1).state_dict(), tmp_path / "net.pth")
    (tmp_path / "target.yaml").write_text(TARGET)
    (tmp_path / "small.yaml").write_text(
        "name: small\nphotos: photos\ntarget: target.yaml\nsteps:\n  - {step: load, checkpoint: net.pth}\n"
        "  - {step: distil, steps: 3, batch: 1, crop_px: 64, pool: 2, pool_px: 64, loss: swd}\n"
        "  - {step: export, verify_sizes: [[64, 64]]}\n"
    )
    return tmp_path / "small.yaml"


def test_a_search_builds_the_best_it_found_and_repeats_nothing(
    recipe: Path, tmp_path: Path
) -> None:
    if "effnet" not in find_judges(env={}, home=Path.home()):
        pytest.skip("no judge is installed: pip install 'stylepress[judge]'")
    loaded, effort = load_recipe(recipe), Effort(trials=3, short_steps=1, best=1)
    kept = Cache(tmp_path / "cache")
    options = BuildOptions(out=tmp_path / "fit", home=Path.home(), cache=kept)

    def slow(size: StudentSize, precision: Precision) -> float:
        return 1000 * additive(size, precision)

    def found(budget: Budget) -> Fit:
        return fit(loaded, budget, effort, options=options, timer=slow, progress=Silent())

    # A budget below the smallest is hopeless at once; a larger one tries again what that left out.
    hopeless = found(Budget(1.0, 10.0))
    assert len(hopeless.tried) == 1
    assert "predicted at 1025.60 ms" in hopeless.verdict()
    # The smallest and the first preset pass, larger ones are left out until another passes.
    first = found(Budget(1500.0, 10.0))
    assert [tried.drift is None for tried in first.tried][:3] == [False, False, True]
    assert sum(tried.drift is not None for tried in first.tried) == 3
    assert first.best is not None
    assert (first.best.bundle / "model.onnx").is_file()
    again = found(Budget(1500.0, 1e-6))
    assert again.best is None
    assert {tried.candidate.key for tried in again.tried} == {
        tried.candidate.key for tried in first.tried
    }


def test_where_the_recipe_prunes_shares_of_channels_are_searched_too(
    recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = recipe.read_text().replace(
        "  - {step: export",
        "  - {step: prune, multiple_of: 4, rounds: 1, steps: 3, batch: 1, crop_px: 64, loss: swd}\n"
        "  - {step: export",
    )
    recipe.write_text(text)
    halved = Candidate(StudentSize(16, 0, 16), "fp32", keep=0.5)
    monkeypatch.setattr(search, "presets", lambda _precisions: [("nano", halved)])
    monkeypatch.setattr(search, "least", lambda _precisions: halved)
    effort = Effort(trials=1, short_steps=1, best=1)
    options = BuildOptions(out=tmp_path / "fit", home=Path.home())
    found = search.fit(
        load_recipe(recipe),
        Budget(3000.0, 1e6),
        effort,
        options=options,
        timer=additive,
        progress=Silent(),
    )
    (tried,) = found.tried
    assert tried.candidate == halved
    assert tried.note == "timed, not predicted"
    assert found.best is not None
    shipped = Artifact.load(found.best.bundle)
    whole = random_bundle(halved.size, "fp32", tmp_path / "whole")
    assert shipped.files[MODEL].size_bytes < 0.8 * whole.files[MODEL].size_bytes


def test_a_recipe_without_a_student_has_nothing_to_search(recipe: Path, tmp_path: Path) -> None:
    text = recipe.read_text().replace("  - {step: distil", "  # - {step: distil")
    recipe.write_text(text)
    with pytest.raises(RecipeError, match="distils 0 times"):
        fit(
            load_recipe(recipe),
            Budget(1, 1),
            Effort(),
            options=BuildOptions(out=tmp_path / "fit"),
            progress=Silent(),
        )
