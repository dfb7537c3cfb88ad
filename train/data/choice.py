"""The pictures of a set that are worth training on, copied into a folder of their own."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stylepress.errors import FrameError, OutputError
from stylepress.replace import replacing_folder
from stylepress.train.data.layouts import METADATA
from stylepress.train.data.survey import Sight, Survey

CHOSEN = "chosen.json"
"""What was kept, with digests, and what was left out, with the reason."""


@dataclass(frozen=True, slots=True)
class Bars:
    """What a picture must have to be kept: pixels on its shorter side, sharpness, entropy, shape.

    ``most_aspect`` is the longer side over the shorter one. ``duplicates`` keeps near-duplicates.
    ``least_likeness`` counts where something is looked for.
    """

    least_px: int = 256
    least_sharpness: float = 2.5
    least_entropy: float = 2.0
    most_aspect: float = 3.0
    duplicates: bool = False
    least_likeness: float = 0.25

    def fault(self, sight: Sight, like: Mapping[str, str]) -> str:
        """Say why a picture is left out; "" when it is kept."""
        if sight.fault:
            return "cannot be read"
        short, long = sorted((sight.width, sight.height))
        if short < self.least_px:
            return f"smaller than {self.least_px} px"
        if long > self.most_aspect * short:
            return f"longer than {self.most_aspect:g} times its width"
        if sight.sharpness < self.least_sharpness:
            return "blurred"
        if sight.entropy < self.least_entropy:
            return "nearly flat"
        if sight.likeness is not None and sight.likeness < self.least_likeness:
            return "shows something else"
        return "near-duplicate" if sight.item.name in like and not self.duplicates else ""


@dataclass(frozen=True, slots=True)
class Chosen:
    """What ``filtered`` wrote: how many are kept, and how many are left out for which reason."""

    folder: Path
    kept: int
    left_out: Mapping[str, int]


def filtered(whole: Survey, bars: Bars, out: Path) -> Chosen:
    """Copy the pictures that pass, with their texts, into ``out``, in the layout they have.

    Shards are unpacked, a folder a shard. ``chosen.json`` lists what was kept and why others were
    not. ``out`` appears when all is written.

    Raises:
        FrameError: not one passes.
        OutputError: ``out`` is there already, lies in the set, or cannot be written.
    """
    folder = whole.layout.folder
    if out.exists():
        raise OutputError(f"{out} is there already.", "Name a folder that is not there yet.")
    if folder.resolve() in out.resolve().parents:
        raise OutputError(f"{out} lies in the set itself, {folder}.", "Name a folder beside it.")
    reasons = {one.item.name: bars.fault(one, whole.like) for one in whole.sights}
    kept = [one for one in whole.sights if not reasons[one.item.name]]
    left_out = Counter(reason for reason in reasons.values() if reason)
    if not kept:
        shown = ", ".join(f"{count} {reason}" for reason, count in left_out.items())
        raise FrameError(f"Not one of {len(reasons)} pictures passes: {shown}.", "Lower the bars.")
    with replacing_folder(out) as beside:
        for sight in kept:
            _copy(sight, beside)
        _lists(whole, {one.item.name for one in kept}, beside)
        text = json.dumps(_record(kept, reasons), indent=1)
        (beside / CHOSEN).write_text(text + "\n", "utf-8")
    return Chosen(out, len(kept), dict(left_out))


def _copy(sight: Sight, folder: Path) -> None:
    place = folder / sight.item.name
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(sight.item.data())
    caption = sight.item.caption()
    if caption is not None:
        place.with_suffix(".txt").write_bytes(caption)


def _lists(whole: Survey, kept: set[str], folder: Path) -> None:
    """Write the lines of a metadata.jsonl whose pictures are kept."""
    source = whole.layout.folder / METADATA
    if whole.layout.name != "captions":
        return
    lines = [line for line in source.read_text("utf-8").splitlines() if line.strip()]
    same = [line for line in lines if str(json.loads(line)["file_name"]) in kept]
    (folder / METADATA).write_text("".join(f"{line}\n" for line in same), "utf-8")


def _record(kept: list[Sight], reasons: Mapping[str, str]) -> dict[str, Any]:
    return {
        "kept": [
            {
                "name": one.item.name,
                "sha256": one.sha256,
                "width": one.width,
                "height": one.height,
                "sharpness": round(one.sharpness, 2),
                **({} if one.likeness is None else {"likeness": round(one.likeness, 4)}),
            }
            for one in kept
        ],
        "left_out": {name: reason for name, reason in reasons.items() if reason},
    }
