"""Who goes first: ABBA and BAAB in a seeded order, so that a drifting machine favours no arm."""

from __future__ import annotations

import random
from typing import Literal

Arm = Literal["base", "new"]
Order = tuple[Arm, Arm]
AB: Order = ("base", "new")
BA: Order = ("new", "base")


def orders(pairs: int, *, seed: int, part: str = "first") -> tuple[Order, ...]:
    """Draw the order of each pair; of two neighbours the second reverses the first.

    A drift that is linear over four runs then cancels within them. ``part`` names the part of the
    measurement, so that each has its own draw. The same on every machine and Python.

    >>> all(one[::-1] == two for one, two in zip(*[iter(orders(10, seed=0))] * 2))
    True
    """
    coin = random.Random(f"{part} {seed}")
    drawn: list[Order] = []
    while len(drawn) < pairs:
        first, second = (AB, BA) if coin.random() < 0.5 else (BA, AB)
        drawn += [first, second]
    return tuple(drawn[:pairs])
