"""The table of RTX cards: what is green, and what counts as the same plan."""

from __future__ import annotations

from dataclasses import replace

from stylepress.benchmarks.evidence.rtx import Cell, alike
from stylepress.export.rtx import PlanProof

PROOF = PlanProof(b"a __mye12 b", "8.9", "1.7", (), 10, 5, {}, {}, ())
CELL = Cell("glass", "8.9", 10, 9, "stem", 2, 20, 1.0, 1.0, 1.0, "same bytes")


def test_a_card_with_int8_needs_nine_of_ten_convolutions_in_it() -> None:
    assert CELL.green
    assert not replace(CELL, int8=8).green
    assert replace(CELL, capability="7.5", int8=0).green


def test_plans_differ_by_names_by_bytes_or_by_memory() -> None:
    assert alike(PROOF, PROOF) == "same bytes"
    assert alike(PROOF, replace(PROOF, plan=b"a __mye7 b")) == "same but for names of temporaries"
    assert alike(PROOF, replace(PROOF, plan=b"c __mye12 b")) == "same kernels"
    assert alike(PROOF, replace(PROOF, plan=b"c", activation_bytes=11)) == "differ"
