"""Ill-conditioned curves by QR in lanes beside handing them to the reference engine, in one run.

python -m tests.benchmarks.ill_conditioned [--curves N] [--rounds N] [NAME ...]

"ill" is the share of curves whose normal equations lose too much, "left" that of curves which the
reference engine searches on for nevertheless; "us" is processor time of one thread a curve, the
best of several rounds that take turns: with all ill-conditioned curves left to the reference engine
("before"), and as it is. "reference" is the share of that time which the reference engine takes,
"above" counts curves that end more than 1e-6 above the sum of squares of the other way while they
claim success.
"""

import argparse
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any
from unittest.mock import patch

import numpy as np
import pyarrow.parquet as pq

from manyfit import BatchFit, Model, fit_curves
from manyfit.solver import batch
from manyfit.solver.arrays import Bools, Floats, Ints
from manyfit.solver.compiled import Compiled

_GROWTH = Path(__file__).parents[1] / "data" / "growth" / "plates.parquet"


@dataclass(frozen=True, slots=True)
class Case:
    """Curves of a model, with start values; `options` go to `fit_curves` besides."""

    model: Model
    x: Floats
    y: Floats
    p0: Floats
    options: Mapping[str, Any] = field(default_factory=dict)

    def fit(self) -> BatchFit:
        """Fit all curves."""
        return fit_curves(self.model, self.x, self.y, p0=self.p0, **self.options)


def two_peaks(rng: np.random.Generator, n: int) -> Case:
    """Return two Gaussians 1 to 3 widths apart on a line, 100 points, starts 10 % off."""
    x = np.linspace(0, 100, 100)
    width, middle = rng.uniform(4, 8, n), rng.uniform(35, 65, n)
    half = 0.5 * rng.uniform(1, 3, n) * width
    heights = rng.uniform(50, 150, (2, n))
    widths = (width, width * rng.uniform(0.8, 1.25, n))
    line = rng.uniform(5, 15, n), rng.uniform(-0.1, 0.1, n)
    truth = np.stack(
        [heights[0], middle - half, widths[0], heights[1], middle + half, widths[1], *line], axis=1
    )
    model = Model.from_expression("a*exp(-((x-m)/s)**2/2) + b*exp(-((x-k)/t)**2/2) + c + d*x")
    return _noisy(rng, model, x, truth, 3.0, truth * rng.uniform(0.9, 1.1, truth.shape))


def two_peaks_from_afar(rng: np.random.Generator, n: int) -> Case:
    """Return the same from one start for all."""
    case = two_peaks(rng, n)
    start = np.array([100.0, 40.0, 6.0, 100.0, 60.0, 6.0, 10.0, 0.0])
    return Case(case.model, case.x, case.y, start)


def biexponential(rng: np.random.Generator, n: int) -> Case:
    """Return two decays with lifetimes 1.5 to 3 times apart and an offset, 200 points."""
    x, first = np.linspace(0, 10, 200), rng.uniform(0.5, 1.5, n)
    lifetimes = first, first * rng.uniform(1.5, 3, n)
    heights = rng.uniform(300, 700, (2, n))
    parts = heights[0], lifetimes[0], heights[1], lifetimes[1], rng.uniform(10, 30, n)
    truth = np.stack(parts, axis=1)
    model = Model.from_expression("a*exp(-x/t) + b*exp(-x/u) + c", params=["a", "t", "b", "u", "c"])
    return _noisy(rng, model, x, truth, 5.0, truth * rng.uniform(0.9, 1.1, truth.shape))


def wells(rng: np.random.Generator, n: int) -> Case:
    """Return dose-response curves of 10 points, every tenth of them flat."""
    height = np.where(rng.random(n) < 0.1, 0.0, rng.uniform(80, 120, n))
    place = rng.uniform(-7.5, -5, n), rng.uniform(0.8, 1.5, n)
    low = rng.uniform(3, 7, n)
    truth = np.stack([low, low + height, *place], axis=1)
    model = Model.from_expression(
        "lo + (hi - lo)/(1 + 10**((le - x)*h))", params=["lo", "hi", "le", "h"]
    )
    start = np.array([0.0, 80.0, -7.0, 1.0])
    return _noisy(rng, model, np.linspace(-9, -4.5, 10), truth, 2.0, start)


def narrow_peaks(rng: np.random.Generator, n: int) -> Case:
    """Return at most 2000 Gaussians narrower than the points are apart, from one start for all."""
    x, n = np.arange(64.0), min(n, 2000)
    truth = np.array([100, 32, 0.3, 10]) * rng.uniform(0.8, 1.2, (n, 4))
    model = Model.from_expression("a*exp(-((x-m)/s)**2/2) + d", params=["a", "m", "s", "d"])
    return _noisy(rng, model, x, truth, 3.0, np.array([80.0, 32.0, 0.27, 8.0]))


def plates(_rng: np.random.Generator, _n: int) -> Case:
    """Return 672 real growth curves, blank wells among them."""
    table = pq.read_table(_GROWTH)
    x, y = table["x"].combine_chunks(), table["y"].combine_chunks()
    p0 = np.column_stack([table[f"p0_{name}"].to_numpy() for name in ("c", "K", "r", "tm")])
    model = Model.from_expression("c + K/(1 + exp(-r*(x - tm)))", params=["c", "K", "r", "tm"])
    offsets = x.offsets.to_numpy()
    return Case(model, x.values.to_numpy(), y.values.to_numpy(), p0, {"offsets": offsets})


CASES: Mapping[str, Callable[[np.random.Generator, int], Case]] = MappingProxyType(
    {
        "two peaks": two_peaks,
        "from afar": two_peaks_from_afar,
        "biexponential": biexponential,
        "wells": wells,
        "narrow peaks": narrow_peaks,
        "plates": plates,
    }
)


def _noisy(
    rng: np.random.Generator, model: Model, x: Floats, truth: Floats, sd: float, p0: Floats
) -> Case:
    """Return curves with noise."""
    y = model.func(x, *truth.T[:, :, None])
    return Case(model, x, y + rng.normal(0, sd, y.shape), p0)


def _leave_all(_self: Compiled, _task: object, rows: Ints) -> Bools:
    """Leave ill-conditioned curves to the reference engine, as once it was."""
    return np.zeros(len(rows), dtype=np.bool_)


class Clock:
    """What fits take, and how much of it goes to the reference engine."""

    def __init__(self, case: Case) -> None:
        self._case = case
        self.best_s = self.reference_s = np.inf

    def run(self) -> BatchFit:
        """Fit once; keep the times if they are the best so far."""
        spent, solve_slab = 0.0, batch._solve_slab

        def timed(*args: Any) -> None:
            nonlocal spent
            begin = time.thread_time()
            solve_slab(*args)
            spent += time.thread_time() - begin

        with patch.object(batch, "_solve_slab", timed):
            begin = time.thread_time()
            fit = self._case.fit()
            taken = time.thread_time() - begin
        if taken < self.best_s:
            self.best_s, self.reference_s = taken, spent
        return fit


def measure(name: str, n_curves: int, rounds: int) -> None:
    """Print one line of the table."""
    case = CASES[name](np.random.default_rng(1), n_curves)
    case.fit()
    before, after = Clock(case), Clock(case)
    for _ in range(rounds):
        with patch.object(Compiled, "_by_rotations", _leave_all):
            old = before.run()
        new = after.run()
    n = len(new.params)
    worse = new.success & (new.cost > old.cost * (1 + 1e-6))
    better = old.success & (old.cost > new.cost * (1 + 1e-6))
    print(
        f"{name:14s} {n:7d} {1 - old.compiled.mean():7.4f} {1 - new.compiled.mean():7.4f} "
        f"{1e6 * before.best_s / n:9.2f} {before.reference_s / before.best_s:9.3f} "
        f"{1e6 * after.best_s / n:9.2f} {after.reference_s / after.best_s:9.3f} "
        f"{before.best_s / after.best_s:7.2f} {better.sum():6d} {worse.sum():6d}"
    )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*")
    parser.add_argument("--curves", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    print(
        f"{'':14s} {'curves':>7s} {'ill':>7s} {'left':>7s} {'us before':>9s} {'reference':>9s} "
        f"{'us now':>9s} {'reference':>9s} {'ratio':>7s} {'above':>6s} {'above':>6s}"
    )
    for name in options.names or CASES:
        measure(name, options.curves, options.rounds)


if __name__ == "__main__":
    main()
