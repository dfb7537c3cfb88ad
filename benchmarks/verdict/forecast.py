"""How long it will take, told before it begins."""

from __future__ import annotations

from stylepress.benchmarks.verdict.rule import looks
from stylepress.benchmarks.verdict.session import PairPlan

START_S = 1.5
"""What a fresh process takes to start, to load the bundle and to end, about."""


def forecast(plan: PairPlan, backends: int) -> str:
    """Say how long a plan takes in so many backends, and how much longer at most.

    A run that is spoiled, a warm-up that does not settle and slow frames come on top.

    >>> forecast(PairPlan(), 2)
    '2 backends x 10 pairs x 2 runs: about 7 minutes, up to 21 minutes more for what stays open or fails; longer where 100 calls take more than 5 s.'
    """
    pair_s = 2 * backends * (plan.warm_s + plan.min_s + plan.rest_s + START_S)
    last = looks(plan.pairs, extend=plan.extend)[-1].pairs
    most = last - plan.pairs + (last if plan.confirm else 0)
    more = f", up to {about(most * pair_s)} more for what stays open or fails" if most else ""
    return (
        f"{backends} {'backend' if backends == 1 else 'backends'} x {plan.pairs} pairs x 2 runs: "
        f"about {about(plan.pairs * pair_s)}{more}; "
        f"longer where {plan.min_count} calls take more than {plan.min_s:g} s."
    )


def about(seconds: float) -> str:
    """Write a time as roughly as it is known.

    >>> about(7.6), about(140), about(7384)
    ('8 s', '2 minutes', '2.1 hours')
    """
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 90 * 60:
        return f"{seconds / 60:.0f} minutes"
    return f"{seconds / 3600:.1f} hours"
