"""The fronts and the search beside them: rows and a drawing of what trials are known."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree as Xml

import pytest

from stylepress.benchmarks.evidence import search
from stylepress.benchmarks.evidence.setting import Setting
from stylepress.export.fit.candidate import least, presets
from stylepress.export.fit.result import Budget, Effort, Fit
from stylepress.export.fit.study import Trial
from stylepress.progress import Silent

NAMED = dict(presets(("int8",)))


@pytest.fixture
def setting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Setting:
    """Searches that know each preset, the next slower and nearer, and a smallest one in between."""
    (tmp_path / "docs").mkdir()
    tried = [
        Trial(candidate, 4.0 + number, 0.9 - 0.1 * number)
        for number, candidate in enumerate(NAMED.values())
    ]
    tried.append(Trial(least(("int8",)), 3.0, 0.75))

    def searched(setting: Setting, style: str, budget: Budget, effort: Effort) -> Fit:
        return Fit(budget, "openvino", (512, 512), tried, [])

    monkeypatch.setattr(search, "_searched", searched)
    return Setting([], tmp_path / "recipes", tmp_path / "work", Silent())


def test_each_preset_has_a_time_and_a_drift_a_style_and_is_drawn(setting: Setting) -> None:
    rows = list(search.fronts(setting))
    assert len(rows) == len(NAMED) * (1 + len(search.STYLES))
    drawing = Xml.parse(setting.recipes.parent / search.DRAWING).getroot()
    marks = [each for each in drawing.iter() if each.tag.endswith("circle")]
    assert len(marks) == len(NAMED) * len(search.STYLES)


def test_what_is_no_slower_and_nearer_than_a_preset_is_told(setting: Setting) -> None:
    ratios = [row.value for row in search.beside(setting)]
    beside = [0.9 - 0.1 * number for number in range(len(NAMED))]
    assert ratios == pytest.approx([min(0.75, drift) / drift for drift in beside])
