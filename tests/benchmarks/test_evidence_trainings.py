"""What a step costs beside a bare loop: both really train, and both are timed."""

from pathlib import Path

import torch

from stylepress.benchmarks.evidence import trainings
from stylepress.benchmarks.evidence.setting import Setting
from stylepress.progress import Silent

RECIPES = Path(__file__).parents[2] / "recipes"


def test_two_trainings_are_timed_beside_bare_loops(tmp_path: Path) -> None:
    threads = torch.get_num_threads()
    few = {"steps": 2, "batch": 2, "width": 4}
    rows = trainings.rows(
        Setting([], RECIPES, tmp_path, Silent()),
        turns=1,
        dcgan=trainings.DCGAN.model_copy(update=few),
        pairs=trainings.PAIRS.model_copy(update=few | {"blocks": 1, "judge_width": 2}),
    )
    figures = {(row.figure, row.subject): row.value for row in rows}
    torch.set_num_threads(threads)
    assert {subject for _, subject in figures} == {"DCGAN", "pix2pix"}
    assert all(value > 0 for (figure, _), value in figures.items() if figure == trainings.STEP)
