"""What each figure of a comparison means, in a line, for a reader who meets it the first time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from stylepress.benchmarks.drift.titles import TITLES
from stylepress.benchmarks.verdict.comparison import Judgement

MEANINGS: Mapping[str, str] = {
    "latency p50": "median time of a call, the usual one",
    "latency p90": "nine of ten calls are faster",
    "latency p99": "99 of 100 calls are faster, all runs of an arm together",
    "throughput": "frames a second, one after the other",
    "peak memory": "most memory that a run held at once (resident)",
    "load": "from the bundle's file to an engine that can be called",
    "first call": "the first frame through a new engine",
    "PSNR against base": (
        "likeness of new's pictures to base's, pixel by pixel, in dB: more is more alike, 40 is "
        "hardly seen"
    ),
    "SSIM against base": "likeness of local structure, 1 is equal",
    "style distance": "how far the pictures are from the style picture",
    "content distance": "how far the shapes in the pictures are from those of the photo",
    "grid energy": "1 as in a photo; more is a pattern that repeats every 4 pixels",
    TITLES["drift"]: (
        "by how much farther than base's new's pictures are from references; nearer is a change too"
    ),
    TITLES["direct"]: (
        "Frechet distance between what both made of the same photos: colours, edges and textures "
        "of the whole set; over benign: how many times that of a change nobody minds"
    ),
    TITLES["kernel"]: "the same by another distance (KID's kernel), which few pictures suffice for",
    TITLES["patches"]: "distance between small patches of pixels: colours and fine detail",
    TITLES["psnr_db"]: "likeness pixel by pixel, of the mean and of the worst picture",
    f"{TITLES['ssim']},": "likeness of local structure, of the mean and of the worst picture",
    TITLES["lpips"]: "difference as a network sees it that was trained on what people see",
    TITLES["cast_levels"]: "by how many of 255 levels the mean colour of a picture is off",
    TITLES["place_levels"]: "the same of the square of 64 pixels where it is most",
}
"""By how the name of a figure begins."""


def meanings(judgements: Sequence[Judgement]) -> Iterator[tuple[str, str]]:
    """Yield the figures that are there, and what each of them is."""
    for begin, meaning in MEANINGS.items():
        if any(one.metric.startswith(begin) for one in judgements):
            yield begin.rstrip(","), meaning
