"""What all parts of a report have in common."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Part(BaseModel):
    """A value of a report: no unknown key, nothing changed in place, no NaN in the JSON."""

    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="null")


class Skipped(Part):
    """Something that was not measured, and why."""

    what: str
    why: str
