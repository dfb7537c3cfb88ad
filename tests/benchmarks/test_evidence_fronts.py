"""The fronts and the search beside them: rows and a drawing of what trials are known."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree as Xml

import pytest

from stylepress.benchmarks.evidence import fronts
from stylepress.benchmarks.evidence.place import Place
from stylepress.export.fit.candidate import least, presets
from stylepress.export.fit.result import Budget, Effort, Fit
from stylepress.export.fit.study import Trial
from stylepress.progress import Silent

NAMED = dict(presets(("int8",)))


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    """Searches that know each preset, the next slower and nearer, and a smallest one in between."""
    (tmp_path / "docs").mkdir()
    tried = [
        Trial(candidate, 4.0 + number, 0.9 - 0.1 * number)
        for number, candidate in enumerate(NAMED.values())
    ]
    tried.append(Trial(least(("int8",)), 3.0, 0.75))

    def searched(place: Place, style: str, budget: Budget, effort: Effort) -> Fit:
        return Fit(budget, "openvino", (512, 512), tried, [])

    monkeypatch.setattr(fronts, "_searched", searched)
    return Place(tmp_path, tmp_path / "work", 1, Silent())


def test_each_preset_has_a_time_and_a_drift_a_style_and_is_drawn(place: Place) -> None:
    rows = list(fronts.front_rows(place))
    assert len(rows) == len(NAMED) * (1 + len(fronts.STYLES))
    drawing = Xml.parse(place.checkout / fronts.DRAWING).getroot()
    marks = [each for each in drawing.iter() if each.tag.endswith("circle")]
    assert len(marks) == len(NAMED) * len(fronts.STYLES)


def test_what_is_no_slower_and_nearer_than_a_preset_is_told(place: Place) -> None:
    ratios = [row.value for row in fronts.fit_rows(place)]
    beside = [0.9 - 0.1 * number for number in range(len(NAMED))]
    assert ratios == pytest.approx([min(0.75, drift) / drift for drift in beside])
