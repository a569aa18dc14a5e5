"""The working set: curves that are done make room, and each has the bits it has alone."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from manyfit.solver.bounds import Box
from manyfit.solver.minpack import Rules, solve
from manyfit.solver.state import Solution
from tests.solver.kinds import KINDS, Curves, Kind, assert_same_bits, rules

# f = p¹⁰ x has no slope at its minimum for y = 0: a thousand evaluations, a tenth nearer each time.
FLAT = Kind(
    lambda x, p: p**10 * x,
    lambda x, p: [10 * p**9 * x],
    np.linspace(0.5, 1, 6),
    (1.0,),
    (1.1,),
    0.0,
)


def easy_and_hard(n_curves: int, hard: Sequence[int]) -> Curves:
    """Return curves of which some need about a thousand evaluations and the others about ten."""
    curves = FLAT.curves(n_curves)
    curves.y[list(hard)] = 0
    curves.start[list(hard)] = 1e10
    return curves


def one_by_one(curves: Curves, how: Rules) -> list[Solution]:
    """Solve each curve in a batch of its own."""
    alone = (curves.take(np.array([i])) for i in range(len(curves)))
    return [solve(one, one.start, how) for one in alone]


EXHAUSTIVE = rules(ftol=0.0, xtol=0.0, maxfev=5000)


@pytest.fixture(scope="module")
def alone() -> list[Solution]:
    """Return the ends of the easy and hard curves, each solved by itself."""
    return one_by_one(easy_and_hard(30, hard=[0, 12, 29]), EXHAUSTIVE)


@pytest.mark.parametrize("together", [1, 4, 13, 1000])
def test_any_working_set_gives_the_bits_of_curves_alone(
    together: int, alone: list[Solution]
) -> None:
    curves = easy_and_hard(30, hard=[0, 12, 29])
    found = solve(curves, curves.start, replace(EXHAUSTIVE, together=together))
    assert found.nfev[12] > 500
    assert np.median(found.nfev) < 40
    assert_same_bits(found, alone)


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS.keys())
@pytest.mark.parametrize("exact", [True, False], ids=["exact", "differences"])
def test_a_working_set_that_refills_gives_the_bits_of_curves_alone(kind: Kind, exact: bool) -> None:
    curves = replace(kind.curves(40), exact=exact)
    found = solve(curves, curves.start, rules(together=5))
    assert_same_bits(found, one_by_one(curves, rules()))


def test_a_bounded_working_set_gives_the_bits_of_curves_alone() -> None:
    curves = KINDS["decay"].curves(40)
    box = Box(np.array([0.0, 0.0, 0.0]), np.array([2.0, 1.6, 5.0]))
    found = solve(curves, curves.start, rules(together=6, box=box))
    assert box.on_face(found.params).any()
    assert_same_bits(found, one_by_one(curves, rules(box=box)))


def test_a_hard_curve_does_not_hold_up_the_others() -> None:
    curves = easy_and_hard(200, hard=[0])
    found = solve(curves, curves.start, replace(EXHAUSTIVE, together=20))
    hardest, others = found.nfev[0], found.nfev[1:]
    assert hardest > 500
    # Nothing is evaluated twice or in vain, and all others are done on the way.
    assert sum(curves.calls) == found.nfev.sum()
    assert len(curves.calls) <= hardest + 30
    first_alone = curves.calls.index(1)
    assert first_alone <= 3 * others.sum() / 20


def test_a_batch_of_nothing_is_solved() -> None:
    curves = KINDS["decay"].curves(5).take(np.arange(0))
    found = solve(curves, curves.start, rules())
    assert found.params.shape == (0, 3)
    assert found.status.shape == (0,)


def test_the_start_is_not_overwritten() -> None:
    curves = KINDS["decay"].curves(5)
    before = curves.start.copy()
    solve(curves, curves.start, rules())
    np.testing.assert_array_equal(curves.start, before)
