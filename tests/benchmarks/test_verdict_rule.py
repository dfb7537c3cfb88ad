"""The rule has three answers, and its error stays below what it says, whatever is judged."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats  # type: ignore[import-untyped]

from stylepress.benchmarks.check import Check, together
from stylepress.benchmarks.intervals import least_samples, overlong, upper_percentile
from stylepress.benchmarks.verdict.rule import (
    STUCK,
    UNCONFIRMED,
    Key,
    Paired,
    Rule,
    check_power,
    decide,
    holm,
    judge,
    least_pairs,
    looks,
)
from stylepress.benchmarks.verdict.session import LookName, PairPlan, agree, orders, p50_ms
from stylepress.errors import RecipeError
from tests.benchmarks.duels import run

KEY: Key = ("engine", "p50")


def pairs(factor: float, noise: float, count: int, seed: int = 0) -> Paired:
    rng = np.random.default_rng(seed)
    base = np.exp(noise * rng.normal(size=count))
    new = factor * np.exp(noise * rng.normal(size=count))
    return Paired(tuple(base), tuple(new), Rule())


@pytest.mark.parametrize(
    ("factor", "noise", "verdict"),
    [
        (1.00, 0.005, "PASS"),
        (0.50, 0.005, "PASS"),
        (1.03, 0.003, "PASS"),
        (1.08, 0.005, "FAIL"),
        (1.00, 0.200, "INCONCLUSIVE"),
        (1.05, 0.020, "INCONCLUSIVE"),
    ],
)
def test_a_figure_fails_passes_or_stays_open(factor: float, noise: float, verdict: str) -> None:
    found = judge({KEY: pairs(factor, noise, 10)}, 0.05)[KEY]
    assert found.verdict == verdict
    assert (found.needed is not None) == (verdict == "INCONCLUSIVE")


def test_what_is_not_gated_has_no_verdict_and_does_not_weaken_the_others() -> None:
    one = pairs(1.08, 0.005, 8)
    shown = {("engine", str(n)): Paired(one.base, one.new, one.rule, gated=False) for n in range(9)}
    found = judge({KEY: one, **shown}, 0.05)
    assert found[KEY].p_holm == found[KEY].p
    assert {found[key].verdict for key in shown} == {None}


def test_six_pairs_fail_alone_but_not_among_twenty() -> None:
    one = pairs(1.2, 0.005, 6)
    assert judge({KEY: one}, 0.05)[KEY].verdict == "FAIL"
    many = {("engine", str(n)): one for n in range(20)}
    assert {found.verdict for found in judge(many, 0.05).values()} == {"INCONCLUSIVE"}


@given(st.lists(st.floats(0, 1), min_size=1, max_size=20))
def test_holm_is_between_doing_nothing_and_bonferroni(values: list[float]) -> None:
    adjusted = holm(values)
    for p, q in zip(values, adjusted, strict=True):
        assert p <= q <= min(1.0, len(values) * p) or q == max(adjusted)
        assert q >= min(1.0, p)
    order = np.argsort(values, kind="stable")
    assert list(np.asarray(adjusted)[order]) == sorted(adjusted)


@pytest.mark.parametrize(("figures", "alpha"), [(1, 0.05), (4, 0.05), (7, 0.04), (1, 0.01)])
def test_the_fewest_pairs_are_those_whose_smallest_p_can_be_rejected(
    figures: int, alpha: float
) -> None:
    least = least_pairs(figures, alpha)
    assert figures * 2.0**-least <= alpha / 2 < figures * 2.0 ** -(least - 1)


@pytest.mark.parametrize(("share", "count"), [(0.9, 64), (0.95, 130), (0.99, 662), (0.999, 6636)])
def test_a_percentile_needs_as_many_samples_as_loadgen_asks_for(share: float, count: int) -> None:
    assert least_samples(share) == count
    assert upper_percentile(range(count - 1), share) is None
    assert upper_percentile(range(count), share) == count - 1


@given(st.integers(1, 5000), st.sampled_from([0.5, 0.9, 0.95, 0.99]))
def test_the_samples_above_a_percentile_are_those_of_the_binomial(n: int, share: float) -> None:
    allowed = overlong(n, share)
    assert stats.binom.cdf(allowed, n, 1 - share) <= 0.01 * (1 + 1e-9) or allowed == 0
    assert stats.binom.cdf(allowed + 1, n, 1 - share) > 0.01 * (1 - 1e-9)


def test_the_upper_estimate_holds_as_often_as_it_says() -> None:
    rng, truth = np.random.default_rng(0), stats.expon.ppf(0.9)
    upper = [upper_percentile(list(rng.exponential(size=100)), 0.9) for _ in range(500)]
    assert np.mean([value >= truth for value in upper if value is not None]) >= 0.985


@given(st.integers(1, 30), st.integers(0, 1000))
def test_neighbouring_pairs_are_abba_or_baab(count: int, seed: int) -> None:
    drawn = orders(count, seed=seed)
    assert len(drawn) == count
    assert all(drawn[n] == drawn[n + 1][::-1] for n in range(0, count - 1, 2))


def test_an_order_belongs_to_its_seed_and_part() -> None:
    assert orders(30, seed=1) == orders(30, seed=1)
    assert orders(30, seed=1) != orders(30, seed=2)
    assert orders(30, seed=1) != orders(30, seed=1, part="confirmation")


def test_a_limit_below_twice_the_floor_is_refused() -> None:
    with pytest.raises(RecipeError, match=r"twice the 2 %.*--delta 4"):
        Rule(delta=0.03, floor=0.02)


@given(st.floats(0.0001, 0.5))
def test_the_limit_that_a_refusal_names_is_taken(floor: float) -> None:
    with pytest.raises(RecipeError) as refused:
        Rule(delta=1.9 * floor, floor=floor)
    named = str(refused.value).partition("--delta ")[2].partition("`")[0]
    assert Rule(float(named) / 100, floor).delta <= 2 * floor + 0.0011


@pytest.mark.parametrize(("count", "seen"), [(5, [(5, 0.05)]), (10, [(10, 0.01), (20, 0.04)])])
def test_the_looks_are_planned_before_anything_is_measured(
    count: int, seen: list[tuple[int, float]]
) -> None:
    assert [(look.pairs, look.alpha) for look in looks(count)] == seen
    assert [(look.pairs, look.alpha) for look in looks(count, extend=False)] == [(count, 0.05)]


def test_a_plan_that_could_never_fail_at_its_first_look_is_refused() -> None:
    with pytest.raises(RecipeError, match="--pairs 8"):
        check_power(6, 6)
    check_power(6, 8)


@given(st.integers(1, 40))
def test_the_fewest_pairs_that_are_suggested_can_fail_at_their_first_look(figures: int) -> None:
    least = least_pairs(figures, 0.05)
    planned = looks(least, figures=figures)
    slow = Paired((1.0,) * least, tuple(1.3 + 0.001 * n for n in range(least)), Rule())
    found = judge({("engine", str(n)): slow for n in range(figures)}, planned[0].alpha)
    assert {one.verdict for one in found.values()} == {"FAIL"}
    assert sum(look.alpha for look in planned) == pytest.approx(0.05)


def test_what_is_obvious_needs_no_second_time_and_stops_the_rest() -> None:
    slow, calm = ("one", "p50"), ("two", "p50")
    source = Subjects({"first": {slow: pairs(1.39, 0.02, 10), calm: pairs(1, 0.005, 10)}})
    made = decide(source, [slow, calm], plan=PairPlan(pairs=10))
    assert source.asked == [("first", [slow])]
    assert (made[slow].verdict, made[slow].note) == ("FAIL", "obvious")
    whole = decide(source, [slow, calm], plan=PairPlan(pairs=10, complete=True))
    assert (whole[slow].verdict, whole[calm].verdict) == ("FAIL", "PASS")


def test_what_seems_obvious_is_looked_at_closer_before_the_next_subject_is_begun() -> None:
    loud, calm, memory = ("one", "p50"), ("two", "p50"), ("one", "memory")
    noisy = Paired((1.0,) * 10, (1.4, 1.3, 1.5, 1.45, 1.35, 1.42, 1.38, 0.9, 0.95, 0.97), Rule())
    parts = {
        "first": {loud: noisy, memory: pairs(1, 0.005, 10), calm: pairs(1, 0.005, 10)},
        "extension": {loud: pairs(1.39, 0.02, 10)},
    }
    source = Subjects(parts)
    made = decide(source, [loud, memory, calm], plan=PairPlan(pairs=10))
    assert source.asked == [("first", [loud, memory]), ("extension", [loud])]
    assert (made[loud].verdict, made[loud].note, made[loud].pairs) == ("FAIL", "obvious", 20)
    parts["extension"][loud] = pairs(1, 0.02, 10)
    made = decide(Subjects(parts), [loud, memory, calm], plan=PairPlan(pairs=10))
    assert made[loud].verdict == "INCONCLUSIVE", "it had both of its looks"
    assert made[calm].verdict == "PASS"


@given(st.lists(st.floats(0.2, 5), min_size=5, max_size=5))
def test_whether_rounds_agree_is_the_same_for_both_arms_exchanged(ratios: list[float]) -> None:
    one = run(0, "base", (10.0,) * 10, turns=(1,) * 10)
    two = run(0, "new", [10 * ratio for ratio in ratios for _ in "AB"], turns=(1,) * 10)
    assert agree(one, two) == agree(two, one)
    assert p50_ms(one, two)[1] == pytest.approx(10 * sorted(ratios)[2])


def test_a_burst_that_meets_two_rounds_of_five_moves_a_pair_by_nothing() -> None:
    usual = [10.0] * 10
    burst = [10.0, 10, 40, 90, 10, 60, 10, 10, 10, 10]
    met = run(0, "base", usual, turns=(1,) * 10), run(0, "new", burst, turns=(1,) * 10)
    assert p50_ms(*met) == (10, 10)
    assert agree(*met) is False


class Script:
    """A Source that gives prepared pairs, and remembers what it was asked."""

    def __init__(self, **parts: Paired) -> None:
        self.parts, self.asked = parts, list[tuple[str, int]]()

    def __call__(self, part: LookName, keys: Sequence[Key], pairs: int) -> dict[Key, Paired]:
        self.asked.append((part, pairs))
        return dict.fromkeys(keys, self.parts[part])


def test_a_clear_pass_measures_nothing_more() -> None:
    script = Script(first=pairs(1, 0.005, 10))
    assert decide(script, [KEY], plan=PairPlan(pairs=10))[KEY].verdict == "PASS"
    assert script.asked == [("first", 10)]


def test_an_open_look_is_extended_once_and_judged_on_all_pairs() -> None:
    script = Script(first=pairs(1, 0.05, 10), extension=pairs(1, 0.001, 10, seed=1))
    made = decide(script, [KEY], plan=PairPlan(pairs=10))[KEY]
    assert script.asked == [("first", 10), ("extension", 10)]
    assert (made.pairs, made.verdict) == (20, "PASS")
    assert made.confidence == pytest.approx(0.96)


class Subjects:
    """A Source with prepared pairs by part and subject, that remembers what it was asked."""

    def __init__(self, parts: Mapping[str, Mapping[Key, Paired]]) -> None:
        self.parts, self.asked = parts, list[tuple[str, list[Key]]]()

    def __call__(self, part: LookName, keys: Sequence[Key], pairs: int) -> dict[Key, Paired]:
        self.asked.append((part, list(keys)))
        return {key: self.parts[part][key] for key in keys}


def test_only_subjects_with_something_open_are_extended_and_a_pass_keeps_its_pairs() -> None:
    calm, loud, memory = ("calm", "p50"), ("loud", "p50"), ("loud", "memory")
    first = {calm: pairs(1, 0.005, 10), loud: pairs(1, 0.05, 10), memory: pairs(1, 0.005, 10)}
    more = {loud: pairs(1, 0.001, 10, seed=1)}
    source = Subjects({"first": first, "extension": more})
    made = decide(source, [calm, loud, memory], plan=PairPlan(pairs=10))
    assert source.asked == [("first", [calm]), ("first", [loud, memory]), ("extension", [loud])]
    assert {one.verdict for one in made.values()} == {"PASS"}
    assert [made[key].pairs for key in (calm, loud, memory)] == [10, 20, 10]
    assert all(len(one.values) == one.pairs for one in made.values())


def test_nothing_is_extended_once_something_failed() -> None:
    bad, loud = ("one", "p50"), ("two", "p50")
    first = {bad: pairs(1.08, 0.005, 10), loud: pairs(1, 0.05, 10)}
    source = Subjects({"first": first, "confirmation": {bad: pairs(1.08, 0.005, 10, seed=1)}})
    made = decide(source, [bad, loud], plan=PairPlan(pairs=10))
    assert [part for part, _ in source.asked] == ["first", "first", "confirmation"]
    assert (made[bad].verdict, made[loud].verdict) == ("FAIL", "INCONCLUSIVE")


@given(st.integers(6, 12), st.integers(0, 10**6))
def test_one_figure_fails_exactly_where_its_interval_is_above_the_floor(
    count: int, seed: int
) -> None:
    one = pairs(1.08, 0.06, count, seed)
    found = judge({KEY: one}, 0.05)[KEY]
    assert found.low is not None
    assert found.worse is not None
    beyond = found.worse > 1 + one.rule.delta and found.low > 1 + one.rule.floor
    assert (found.verdict == "FAIL") == beyond


def test_the_pairs_that_might_decide_grow_with_the_square_of_what_is_missing() -> None:
    one = pairs(1.0, 0.2, 10)
    found = judge({KEY: one}, 0.05)[KEY]
    assert found.low is not None
    assert found.high is not None
    assert found.worse is not None
    half = math.log(found.high / found.low) / 2
    margin = abs(math.log(found.worse) - math.log1p(one.rule.delta))
    assert found.needed == math.ceil(10 * (half / margin) ** 2)


def test_a_failure_is_measured_again_alone() -> None:
    good, bad = ("one", "p50"), ("two", "p50")
    first = {good: pairs(1, 0.005, 10), bad: pairs(1.08, 0.005, 10)}
    source = Subjects({"first": first, "confirmation": {bad: pairs(1.08, 0.005, 10, seed=1)}})
    made = decide(source, [good, bad], plan=PairPlan(pairs=10))
    assert source.asked[2:] == [("confirmation", [bad])]
    assert (made[good].verdict, made[bad].verdict) == ("PASS", "FAIL")


def test_without_confirmation_a_failure_counts_at_once() -> None:
    script = Script(first=pairs(1.08, 0.005, 10))
    assert decide(script, [KEY], plan=PairPlan(pairs=10, confirm=False))[KEY].verdict == "FAIL"
    assert script.asked == [("first", 10)]


def test_a_worse_figure_within_the_floor_stays_open_however_large_the_estimate() -> None:
    noisy = Paired((1.0,) * 8, (*[1.005] * 3, *[1.12] * 5), Rule())
    found = judge({KEY: noisy}, 0.05)[KEY]
    assert found.low is not None
    assert (found.worse or 0) > 1.05
    assert 1 < found.low < 1.01
    assert found.verdict == "INCONCLUSIVE"


@pytest.mark.parametrize(("again", "verdict"), [(1.08, "FAIL"), (1.0, "INCONCLUSIVE")])
def test_a_failure_must_be_found_twice(again: float, verdict: str) -> None:
    script = Script(first=pairs(1.08, 0.005, 10), confirmation=pairs(again, 0.005, 10, seed=1))
    made = decide(script, [KEY], plan=PairPlan(pairs=10))[KEY]
    assert made.verdict == verdict
    assert script.asked == [("first", 10), ("confirmation", 10)]


class Broken(Subjects):
    """A Source that has nothing for the keys of one part."""

    def __init__(self, part: LookName, keys: Sequence[Key], first: Mapping[Key, Paired]) -> None:
        super().__init__({"first": first, "extension": first, "confirmation": first})
        self.part, self.keys = part, keys

    def __call__(self, part: LookName, keys: Sequence[Key], pairs: int) -> dict[Key, Paired]:
        found = super().__call__(part, keys, pairs)
        return {key: one for key, one in found.items() if part != self.part or key not in self.keys}


def test_a_failure_that_cannot_be_measured_again_stays_open_beside_one_that_can() -> None:
    lost, found = ("one", "p50"), ("two", "p50")
    first = dict.fromkeys((lost, found), pairs(1.08, 0.005, 10))
    made = decide(Broken("confirmation", [lost], first), [lost, found], plan=PairPlan(pairs=10))
    assert (made[lost].verdict, made[lost].note) == ("INCONCLUSIVE", UNCONFIRMED)
    assert (made[found].verdict, made[found].note) == ("FAIL", "failed twice")


def test_what_cannot_be_extended_stays_open_on_the_pairs_it_has() -> None:
    lost, found, passed = ("one", "p50"), ("two", "p50"), ("one", "memory")
    loud = pairs(1, 0.05, 10)
    first = {lost: loud, found: loud, passed: pairs(1, 0.005, 10)}
    made = decide(Broken("extension", [lost], first), list(first), plan=PairPlan(pairs=10))
    assert (made[lost].verdict, made[lost].note) == ("INCONCLUSIVE", STUCK)
    assert [made[key].pairs for key in first] == [10, 20, 10]
    assert made[passed].verdict == "PASS"


def test_what_cannot_be_measured_is_left_out() -> None:
    def source(part: LookName, keys: Sequence[Key], pairs: int) -> dict[Key, Paired]:
        return {}

    assert decide(source, [KEY], plan=PairPlan(pairs=10)) == {}


@pytest.mark.parametrize(
    ("verdicts", "whole"),
    [
        (["PASS", "PASS"], "PASS"),
        (["PASS", "INCONCLUSIVE"], "INCONCLUSIVE"),
        (["INCONCLUSIVE", "FAIL"], "FAIL"),
        ([], "INCONCLUSIVE"),
    ],
)
def test_the_worst_verdict_is_that_of_all(verdicts: list[str], whole: str) -> None:
    every = [Check.model_validate({"subject": "a", "metric": "b", "verdict": v}) for v in verdicts]
    assert together(every) == whole
