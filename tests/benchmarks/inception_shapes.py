"""The shapes of the published Inception weights, for a stand-in with weights of our own."""

from __future__ import annotations

STEM = "1a_3x3 32 3x3, 2a_3x3 32 3x3, 2b_3x3 64 3x3, 3b_1x1 80 1x1, 4a_3x3 192 3x3"
FIVE = (
    "1x1 64 1x1 | 5x5_1 48 1x1, 5x5_2 64 5x5 | "
    "3x3dbl_1 64 1x1, 3x3dbl_2 96 3x3, 3x3dbl_3 96 3x3 | _pool {} 1x1"
)
SIX = (
    "1x1 192 1x1 | 7x7_1 {0} 1x1, 7x7_2 {0} 1x7, 7x7_3 192 7x1 | 7x7dbl_1 {0} 1x1, "
    "7x7dbl_2 {0} 7x1, 7x7dbl_3 {0} 1x7, 7x7dbl_4 {0} 7x1, 7x7dbl_5 192 1x7 | _pool 192 1x1"
)
SEVEN = (
    "1x1 320 1x1 | 3x3_1 384 1x1 + 3x3_2a 384 1x3 + 3x3_2b 384 3x1 | 3x3dbl_1 448 1x1, "
    "3x3dbl_2 384 3x3 + 3x3dbl_3a 384 1x3 + 3x3dbl_3b 384 3x1 | _pool 192 1x1"
)
BLOCKS = {
    **{
        f"5{letter}": FIVE.format(pooled)
        for letter, pooled in zip("bcd", (32, 64, 64), strict=True)
    },
    "6a": "3x3 384 3x3 | 3x3dbl_1 64 1x1, 3x3dbl_2 96 3x3, 3x3dbl_3 96 3x3 |",
    **{
        f"6{letter}": SIX.format(inner)
        for letter, inner in zip("bcde", (128, 160, 160, 192), strict=True)
    },
    "7a": "3x3_1 192 1x1, 3x3_2 320 3x3 | 7x7x3_1 192 1x1, 7x7x3_2 192 1x7, 7x7x3_3 192 7x1, "
    "7x7x3_4 192 3x3 |",
    **dict.fromkeys(("7b", "7c"), SEVEN),
}


def shapes() -> dict[str, tuple[int, ...]]:
    """Return every key of the weights file and its shape."""
    found: dict[str, tuple[int, ...]] = {}

    def add(prefix: str, text: str, inputs: int) -> int:
        name, channels, kernel = text.split()
        found[f"{prefix}{name}.conv.weight"] = int(channels), inputs, *map(int, kernel.split("x"))
        for part in ("weight", "bias", "running_mean", "running_var"):
            found[f"{prefix}{name}.bn.{part}"] = (int(channels),)
        return int(channels)

    inputs = 3
    for text in STEM.split(","):
        inputs = add("Conv2d_", text, inputs)
    for block, branches in BLOCKS.items():
        outputs = 0
        for branch in branches.split("|"):
            chain, *ends = branch.split("+")
            channels, prefix = inputs, f"Mixed_{block}.branch"
            for text in filter(str.strip, chain.split(",")):
                channels = add(prefix, text, channels)
            outputs += sum(add(prefix, text, channels) for text in ends) or channels
        inputs = outputs
    return {**found, "fc.weight": (1008, inputs), "fc.bias": (1008,)}
