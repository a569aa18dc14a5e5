"""What a start guess costs, and how many fits from it end at the best minimum known.

python -m tests.benchmarks.guesses [--curves N] [--points N ...] [MODEL ...]

Curves are simulated over wide ranges of parameters and noise (`tests.solver.simulated` and
`simulated_sums`, whose names stand for models too), on even points that all share, and on uneven
points of their own. The best minimum is the lower one of two: where the fit from the guess ends,
and where the fit from the parameters that made the curve ends.
Times are processor time of this process a curve, the best of several rounds, on shared x.
"""

import argparse
import time
import warnings
from collections.abc import Callable

import numpy as np

from manyfit import fit_curves
from manyfit.solver.arrays import Floats
from manyfit.solver.library.recipe import Recipe
from manyfit.solver.simd.engine import Points
from manyfit.solver.simd.machine import host
from manyfit.solver.simd.starting import guesses
from tests.solver.simulated import NONLINEAR, Sample, sample
from tests.solver.simulated_sums import SUMS, sample_sum

_ROUNDS = 7


def microseconds(work: Callable[[], object], n_curves: int) -> float:
    """Return the processor time of `work` a curve, once it is compiled."""
    work()
    best = np.inf
    for _ in range(_ROUNDS):
        begin = time.process_time()
        work()
        best = min(best, time.process_time() - begin)
    return 1e6 * best / n_curves


def costs_in_time(made: Sample) -> tuple[float, float]:
    """Return what the guess takes a curve: compiled, and executed by NumPy."""
    guess = made.model.guess
    assert isinstance(guess, Recipe)
    n_curves, n_points = made.y.shape
    x, rows = np.ascontiguousarray(made.x[0]), np.arange(n_curves)
    length = np.full(n_curves, n_points)
    points = Points(made.y.reshape(-1), rows * n_points, length, (x,), (True,))
    valid = np.ones(made.y.shape, dtype=np.bool_)
    return (
        microseconds(lambda: guesses(guess, points, rows, host()), n_curves),
        microseconds(lambda: guess(x[None], made.y, valid), n_curves),
    )


def at_best(made: Sample, x: Floats) -> tuple[float, float, float]:
    """Return the shares of fits at the best minimum: from the guess, from the truth; and nfev."""
    found = [fit_curves(made.model, x, made.y, p0=p0) for p0 in (None, made.truth)]
    costs = np.array([np.where(np.isfinite(fit.cost), fit.cost, np.inf) for fit in found])
    good = costs <= costs.min(axis=0) * (1 + 1e-6)
    return float(good[0].mean()), float(good[1].mean()), float(found[0].nfev.mean())


def measure(spec: str, n_points: int, n_curves: int) -> None:
    """Print one line of the table."""
    draw = sample_sum if spec in SUMS else sample
    even, uneven = (draw(spec, layout, n_points, n_curves) for layout in ("even", "uneven"))
    compiled, by_numpy = costs_in_time(even)
    ends = [*at_best(even, np.ascontiguousarray(even.x[0])), *at_best(uneven, uneven.x)]
    print(
        f"{spec:25s} {n_points:6d} {compiled:9.3f} {by_numpy:9.2f} "
        f"{ends[0]:9.4f} {ends[1]:7.4f} {ends[2]:6.1f} {ends[3]:9.4f} {ends[4]:7.4f} {ends[5]:6.1f}"
    )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", nargs="*")
    parser.add_argument("--curves", type=int, default=4000)
    parser.add_argument("--points", type=int, nargs="*", default=[15, 50, 200])
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    print(f"{'':32s} {'us a guess':>19s} {'at best, even x':>24s} {'at best, uneven x':>24s}")
    print(
        f"{'model':25s} {'points':>6s} {'compiled':>9s} {'NumPy':>9s} "
        + f"{'guess':>9s} {'truth':>7s} {'nfev':>6s} " * 2
    )
    for spec in options.models or [*NONLINEAR, *SUMS]:
        for n_points in options.points:
            measure(spec, n_points, options.curves)


if __name__ == "__main__":
    main()
