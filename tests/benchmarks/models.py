"""A model of a report, as tests of pictures need it: all its facts but the name do not matter."""

from __future__ import annotations

from stylepress.benchmarks.report import Model, Role


def model(name: str, role: Role) -> Model:
    return Model(
        name=name,
        role=role,
        family="student",
        precision="fp32",
        digest=name,
        parent=None,
        weights_bytes=1,
    )
